"""The ways of moving a model's rows, and of going back: which statements, in which order, in which transactions.

Other rooms call `runner`, ask `state` how far a run has come, and print the `Step`s of `steps`; each way is a `Way`.
Imports `verify`, `preflight`, `parts` and what is below them, and has no SQL text.
"""
