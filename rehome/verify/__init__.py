"""The proof: both tables compared on terms of its own, and what is wrong with a move that stands, with its cure.

Use `comparison` before a commit, `report` for a whole move, and `problems` for its words. It imports `parts` and what
is below them, and reads rows by no code that has copied them.
"""
