"""Speaks with printers' servers: OctoPrint, Moonraker and PrusaLink, behind one interface.

`asking` is for views, `kinds.client_for` for code that runs in an event loop, `base` has what they take and return.
"""
