"""The moves in a project's migrations: where each is declared, how it stands, whether it can go back.

Commands use all of it. Imports `moves` and what is below it, and `checkschema` in `faking` alone; it has no SQL text.
"""
