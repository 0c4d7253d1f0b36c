"""Prints: found by looks and by control, ended by looks, signed off by people.

`recording` writes them, `signing` is what people say of them, `rates` counts.
"""
