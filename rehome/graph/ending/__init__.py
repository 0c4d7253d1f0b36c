"""Writes the end of a move into the project's migrations, which need nothing of rehome afterwards."""
