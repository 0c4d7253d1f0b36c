"""Move Django models between apps on PostgreSQL: proved row by row, and back without losing a write."""

from rehome.graph.operations.adopt import Adopt
from rehome.graph.operations.names_aside import NamesAside
from rehome.graph.operations.rebase import Rebase
from rehome.graph.operations.relabel import Relabel
from rehome.graph.operations.repoint import Repoint
from rehome.importing.declaration import Changed, Import, Lookup
from rehome.importing.readonly import ReadOnlyRouter, read_only
from rehome.move import Move

__all__ = [
    "Adopt",
    "Changed",
    "Import",
    "Lookup",
    "Move",
    "NamesAside",
    "ReadOnlyRouter",
    "Rebase",
    "Relabel",
    "Repoint",
    "read_only",
]
