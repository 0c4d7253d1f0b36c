"""Each view reads what was sent, calls what pages call, and writes what came of it."""
