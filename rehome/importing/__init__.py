"""Import: rows of another server become rows of a model here, as often as it is run.

`declaration` is public as `rehome.Import`, `Lookup` and `Changed`, `readonly` as `read_only` and `ReadOnlyRouter` for
settings, and `functions` has expressions; commands use `running`, `verifying`, `discovery` and `ledger`. It may import
`verify` and what is below that; only `management` may import it, besides the public names.
"""
