"""PostgreSQL itself: what its catalog says, how its SQL is put together, how a session runs it and waits for locks.

Everything here is true without any move, and every room above may use all of it. It imports `errors` alone.
"""
