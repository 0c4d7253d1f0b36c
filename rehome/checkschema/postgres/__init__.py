"""How PostgreSQL's tables are described, and what makes a live table what its twin is.

`comparing` alone uses it, by the protocols of `checkschema.server`. It may import those, `shape` and `twins` of
checkschema, and `parts` and what is below that.
"""
