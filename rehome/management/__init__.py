"""What is typed: the commands, which parse, call and print.

A project derives commands of its own from `importing.ImportCommand`; nothing else is used from outside. Imports any
room, and has no SQL text.
"""
