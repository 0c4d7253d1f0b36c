"""What a comparison asks of a server, and of the language in which it is told to change a table."""

from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

from django.db.backends.base.base import BaseDatabaseWrapper

from rehome.checkschema.shape import Column, Part, Shape
from rehome.checkschema.twins import Twin


class Remedies(Protocol):
    """The statements that make a live table what its twin is."""

    def alter_column(self, kind: str, table: Shape, expected: Column, found: Column) -> tuple[str, ...]: ...
    def let_insert(self, table: Shape, found: Column) -> tuple[str, ...]: ...
    def comment(self, table: Shape, text: str) -> tuple[str, ...]: ...
    def add(self, table: Shape, part: Part, name: str) -> tuple[str, ...]: ...
    def drop(self, table: Shape, part: Part) -> tuple[str, ...]: ...
    def replace(self, table: Shape, expected: Part, found: Part, name: str) -> tuple[str, ...]: ...
    def rename(self, table: Shape, part: Part, name: str) -> tuple[str, ...]: ...
    def repair(self, table: Shape, part: Part) -> tuple[str, ...]: ...


class Server(Protocol):
    """Makes temporary tables and describes tables of both kinds. Where nothing else is said, it has nothing to do."""

    makes_foreign_keys: bool
    """Whether a temporary table can have any."""
    connection: BaseDatabaseWrapper
    """On which the temporary tables are made."""
    remedies: Remedies

    def temporary_tables(self) -> AbstractContextManager[object]:
        """Within it they can be made; after it there are none. Raises Refused where there can't be any."""

    def attempt(self) -> AbstractContextManager[object]:
        """A block whose statements are undone together when one of them fails."""
        return nullcontext()

    def table_options(self, twin: Twin) -> str:
        """What a twin's table gets that no model says, because the live one has it."""
        return ""

    def stand_for(self, name: str, live_name: str) -> None:
        """Let foreign keys of twins that point at table `name` be read as pointing at `live_name`."""

    def read(self, name: str) -> Shape | None:
        """A live table; None where there is none of the name. Takes no lock that a writer could wait for."""

    def read_twin(self, twin: Twin) -> Shape: ...

    def table_names(self) -> list[str]:
        with self.connection.cursor() as cursor:
            return list(self.connection.introspection.table_names(cursor, include_views=True))

    def notes(self) -> Iterable[str]:
        """On the database as a whole."""
        return []

    def simplified(self, definition: str) -> str:
        """The same for two definitions that are written differently and mean the same."""
