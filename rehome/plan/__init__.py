"""What a move is: its declaration, the plan that it is resolved into, and the record of its runs.

Every room above reads these, and nothing here writes but the ledger, which writes the record alone. Imports `postgres`,
and has no SQL text.
"""
