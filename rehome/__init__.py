"""Move Django models between apps on PostgreSQL: proved row by row, and back without losing a write."""

from rehome.importing.declaration import Import, Lookup
from rehome.move import Move

__all__ = ["Import", "Lookup", "Move"]
