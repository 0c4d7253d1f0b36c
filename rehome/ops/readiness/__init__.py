"""Go or no-go: whether everything is there that the day of a move needs, a line each, with what to do.

Commands use `day` and `verdict`. It imports the rest of `ops` and what is below.
"""
