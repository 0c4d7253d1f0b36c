"""The proof of an import: what the source has and what the target has, compared without a word of the import's code.

`proving` compares one import. It reads the declaration anew and imports nothing of the importing package but
`declaration`, which a contract in pyproject.toml holds: a fault of the plan, of a reader or of the merge can't hide in
it. Whoever calls it opens the read-only session of the source.
"""
