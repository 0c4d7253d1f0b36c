"""What is done with rows that can't be imported, once a run without them has failed.

`running` uses `text_staging`, `skipping` and `rejects`: every value is looked at, the good rows are merged, and the
others are named or written to a file. It may import all of the importing package but `running` and `verifying`.
"""
