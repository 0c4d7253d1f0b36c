"""What a table has, and its SQL: rows, keys, indexes, sequences, grants, triggers, the model's name, and a view of it.

A module says of its part how it is carried (`carry`), what a run keeps of it (`to_keep`), how it gets back (`revert`),
whether it is whole (`is_intact`, `find_defects`) and how it is made so (`repair`); `verify`, `preflight`, `moves` and
`importing` may use each. It imports `plan` and what is below it.
"""
