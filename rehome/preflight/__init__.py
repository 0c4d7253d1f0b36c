"""The refusals: whatever would fail, or lose something, is found before anything is written, and told with its cure.

Ways of moving use `checks`, `in_place` and `retirement`, which say what to ask and in which order, and `notices` for
what is only worth knowing. It imports `parts` and what is below them, and writes nothing.
"""
