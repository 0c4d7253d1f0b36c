"""Move Django models between apps on PostgreSQL: proved row by row, and back without losing a write."""

from rehome.importing.declaration import Changed, Import, Lookup
from rehome.move import Move

__all__ = ["Changed", "Import", "Lookup", "Move"]
