"""Faults: unhandled exceptions, gathered by what is the same, told once an hour, and shown to staff. No secrets."""
