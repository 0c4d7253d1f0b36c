"""A move carried out on a copy, each step measured, and the report of it, with which the real move compares itself.

Commands use `rehearse`, `reports` and `comparing`. It imports `graph` and what is below, and the rest of `ops`.
"""
