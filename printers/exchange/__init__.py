"""Printers to and from files: what a row means, what it would change, and what answers at its address."""
