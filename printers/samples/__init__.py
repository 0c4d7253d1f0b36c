"""Sample printers, which speak the protocols of real ones over real sockets: for `make up`, and for tests.

`python -m printers.samples` serves the sample farm until its input ends.
"""
