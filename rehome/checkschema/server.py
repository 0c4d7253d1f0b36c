"""What a comparison needs of a server, and of its statements that change a table."""

from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

from django.db.backends.base.base import BaseDatabaseWrapper

from rehome.checkschema.joined import Key, Known
from rehome.checkschema.shape import Column, Part, Shape
from rehome.checkschema.twins import Twin


class Remedies(Protocol):
    """The statements that make a live table the same as its twin."""

    def alter_column(self, kind: str, table: Shape, expected: Column, found: Column) -> tuple[str, ...]: ...
    def let_insert(self, table: Shape, found: Column) -> tuple[str, ...]: ...
    def comment(self, table: Shape, text: str) -> tuple[str, ...]: ...
    def add(self, table: Shape, part: Part, name: str) -> tuple[str, ...]: ...
    def drop(self, table: Shape, part: Part) -> tuple[str, ...]: ...
    def replace(self, table: Shape, expected: Part, found: Part, name: str) -> tuple[str, ...]: ...
    def rename(self, table: Shape, part: Part, name: str) -> tuple[str, ...]: ...
    def repair(self, table: Shape, part: Part, name: str) -> tuple[str, ...]: ...
    def engine(self, table: Shape, engine: str) -> tuple[str, ...]: ...


class Server(Protocol):
    """Makes temporary tables, and describes live and temporary ones. By default, a method does nothing."""

    makes_foreign_keys: bool
    """Whether a temporary table can have any."""
    connection: BaseDatabaseWrapper
    """On which the temporary tables are made."""
    remedies: Remedies
    known: Known
    """What remedies have to know of other tables."""
    installable: str
    """What can be done where the server lacks what a model names."""
    indexes_foreign_keys: bool = False
    """Whether a foreign key uses an index of its columns, and makes one where there is none."""

    def temporary_tables(self) -> AbstractContextManager[object]:
        """They can be made in this block, and are dropped after it. Raises Refused where none can be made."""

    def attempt(self) -> AbstractContextManager[object]:
        """A block whose statements are rolled back together when one of them fails."""
        return nullcontext()

    def table_options(self, twin: Twin) -> str:
        """Options of the live table that a twin's table needs too, and no model says."""
        return ""

    def as_twin(self, statement: str) -> str:
        """What makes a twin's part, where a live table may have taken its name."""
        return statement

    def stand_for(self, name: str, live_name: str) -> None:
        """Read foreign keys of twins that refer to table `name` as referring to `live_name`."""

    def read(self, name: str) -> Shape | None:
        """A live table; None where none has the name. Takes no lock that a writer could wait for."""

    def read_twin(self, twin: Twin) -> Shape: ...

    def foreign_keys(self) -> Iterable[Key]:
        """All of the database."""
        return []

    def table_names(self) -> list[str]:
        return list(self.connection.introspection.table_names(include_views=True))

    def lacks(self, error: BaseException) -> bool:
        """Whether it refused something because it has no such type, collation or operator class."""
        return False

    def engine_note(self, shape: Shape) -> str:
        """What else than InnoDB means; empty where the table has that, or the server one engine."""
        return ""

    def notes(self) -> Iterable[str]:
        """On the database as a whole."""
        return []

    def simplified(self, definition: str) -> str:
        """The same text for definitions of the same meaning."""
