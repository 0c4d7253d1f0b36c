"""Finds the rows that cannot be imported, after a run has failed.

`running` uses `text_staging`, `skipping` and `rejects`: they check every value, merge the good rows, and name the
others or write them to a file. It may import all of the importing package but `running` and `verifying`.
"""
