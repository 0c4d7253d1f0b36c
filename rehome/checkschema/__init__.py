"""Models beside a live schema: Django makes the same tables once more, as temporary twins, and both are compared.

Use `comparing`, and `report` for what it finds. It may import `parts` and what is below that; only `management` and
`graph.faking` may import it.
"""
