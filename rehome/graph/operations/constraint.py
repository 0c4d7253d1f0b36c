"""The constraint of a foreign key is exchanged for one that leads elsewhere; nobody waits while rows are looked at."""

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from django.db import IntegrityError
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.loader import MigrationLoader
from django.db.models import ForeignKey, ManyToManyField

from rehome.errors import MoveFailed, Refused, one_line
from rehome.graph.discovery import find_moves
from rehome.parts import references, repointing
from rehome.parts.repointing import Wanted
from rehome.postgres import catalog
from rehome.postgres.locks import PATIENT_MS
from rehome.postgres.session import Session
from rehome.postgres.tables import ForeignKey as Constraint

SUFFIX = "_fk_%(to_table)s_%(to_column)s"
"""With which Django names the constraint of a foreign key."""


@dataclasses.dataclass(frozen=True)
class Ends:
    """One column with a foreign key, before and after."""

    before: Any
    after: Any

    @property
    def differ(self) -> bool:
        return end_of(self.before) != end_of(self.after)


def end_of(field: Any) -> tuple[str, str]:
    return field.target_field.model._meta.db_table, field.target_field.column


def find_ends(before: Any, after: Any) -> list[Ends]:
    """Of a field: its own column, or those of the table that Django makes for it. Empty where it has none."""
    if isinstance(before, ManyToManyField) and isinstance(after, ManyToManyField):
        throughs: list[Any] = [field.remote_field.through for field in (before, after)]
        if not all(through._meta.auto_created for through in throughs):
            return []
        old, new = throughs
        names = [(field.m2m_field_name(), field.m2m_reverse_field_name()) for field in (before, after)]
        both = [Ends(old._meta.get_field(a), new._meta.get_field(b)) for a, b in zip(*names, strict=True)]
        return [ends for ends in both if ends.differ]
    return [Ends(before, after)] if isinstance(before, ForeignKey) and isinstance(after, ForeignKey) else []


class Repointing:
    """What one operation does to the constraints of one field.

    `rest` is what Django changes of the field besides: nothing, where it only leads to another model.
    """

    def __init__(
        self, ends: Sequence[Ends], editor: BaseDatabaseSchemaEditor, place: str, rest: Callable[[], None]
    ) -> None:
        self.editor = editor
        self.connection = editor.connection
        self.place = place
        self.rest = rest
        self.exchanges = [Exchange(one, editor) for one in ends]
        oids = [table.oid for one in self.exchanges for table in (one.table, one.end) if table]
        self.session = Session(self.connection, oids)

    def run(self) -> None:
        """Raises Refused before anything is changed."""
        if self.editor.collect_sql:
            self.exchange()
            self.validate()
            return
        for one in self.exchanges:
            one.refuse_unfit(self.place)
            if self.connection.in_atomic_block:
                one.refuse_rows(self.place)
            one.refuse_orphans(self.place)
        with self.session.without_timeouts():
            deferred = list(self.editor.deferred_sql)
            self.session.attempt(functools.partial(self.exchange, deferred))
            self.session.attempt(self.validate, lock_timeout_ms=PATIENT_MS)

    def exchange(self, deferred: Sequence[Any] | None = None) -> None:
        """One short transaction, unless Django has to write the column anew."""
        if deferred is not None:  # An earlier try has left its own there.
            self.editor.deferred_sql[:] = deferred
        for one in self.exchanges:
            self.execute(one.dropped())
        with without_constraints(one.ends for one in self.exchanges):
            self.rest()
        for one in self.exchanges:
            self.execute(one.added())

    def validate(self) -> None:
        try:
            for one in self.exchanges:
                self.execute(one.validated())
        except IntegrityError as error:
            raise MoveFailed(
                f"{self.place}: PostgreSQL refused: {one_line(error)}. The foreign key holds for every later write. "
                "Correct the rows that it names, then run the migration again."
            ) from error

    def execute(self, statements: Sequence[str]) -> None:
        for statement in statements:
            self.editor.execute(statement, None)


class Exchange:
    """The constraints that one column has, and the one that it shall have."""

    def __init__(self, ends: Ends, editor: BaseDatabaseSchemaEditor) -> None:
        self.ends = ends
        self.connection = editor.connection
        self.table = catalog.read_table(self.connection, editor.quote_name(ends.before.model._meta.db_table))
        self.new_name = editor.quote_name(ends.after.model._meta.db_table)
        self.wanted = self.read_wanted(editor) if ends.after.db_constraint else None
        self.end = self.wanted.find_end(self.connection) if self.wanted else None

    def read_wanted(self, editor: Any) -> Wanted:
        model = self.ends.after.model
        name = references.unquoted(str(editor._fk_constraint_name(model, self.ends.after, SUFFIX)))
        made = str(editor._create_fk_sql(model, self.ends.after, SUFFIX))
        return Wanted(name, references.redirect(made, self.connection))

    @functools.cached_property
    def keys(self) -> list[Constraint]:
        own = self.table.foreign_keys if self.table else ()
        return [key for key in own if key.columns == (self.ends.before.column,)]

    @functools.cached_property
    def standing(self) -> Constraint | None:
        """One that leads where it shall lead, by a column that stays as it is."""
        before, after = ((f.column, f.db_parameters(self.connection)["type"]) for f in dataclasses.astuple(self.ends))
        if self.wanted is None or before != after:
            return None
        return next((key for key in self.keys if self.wanted.is_met_by(key, self.end)), None)

    @property
    def at_once(self) -> bool:
        """PostgreSQL validates a constraint of a partitioned table as it is added."""
        return self.table is not None and self.table.kind == "p"

    def dropped(self) -> list[str]:
        return [repointing.drop(key) for key in self.keys if key is not self.standing]

    def added(self) -> list[str]:
        if self.wanted is None:
            return []
        if self.standing:
            return repointing.rename(self.standing, self.wanted)
        return repointing.add(self.wanted, validated=self.at_once)

    def validated(self) -> list[str]:
        done = self.at_once or (self.standing is not None and self.standing.validated)
        return [] if self.wanted is None or done else [repointing.validate(self.new_name, self.wanted.name)]

    def refuse_unfit(self, place: str) -> None:
        if self.table is None:
            raise Refused(
                f"{place} has no table {self.ends.before.model._meta.db_table!r} in the database.",
                "Run `manage.py checkschema` with the name of its app, which compares them.",
            )
        if self.table.kind == "v":
            raise Refused(
                f"{place}: {self.table} is a view, and a view has no foreign keys.",
                "Move its model back, or re-point the field of the new model instead.",
            )

    def refuse_rows(self, place: str) -> None:
        """What a transaction locks is locked to its end."""
        if self.table and repointing.has_rows(self.table, self.connection):
            raise Refused(
                f"The migration that re-points {place} runs in a transaction, in which everybody would wait until all "
                f"rows of {self.table} have been looked at.",
                "Set atomic = False on the Migration class.",
            )

    def refuse_orphans(self, place: str) -> None:
        """Before the move has run, the rows are not there, and a write of such a row would fail from now on."""
        if self.wanted is None or self.standing or self.table is None or self.end is None:
            return
        column, there = self.ends.before.column, references.unquoted(self.wanted.end["column"])
        if orphans := repointing.find_orphans(self.table, column, self.end, there, self.connection):
            shown = [str(value) for value in orphans[: repointing.NAMED]]
            named = ", ".join([*shown, *(["..."] if len(orphans) > repointing.NAMED else [])])
            raise Refused(
                f"{place} can't be re-pointed: {self.table}.{column} names rows {named}, which {self.end} does not "
                "have.",
                f"If they have not been moved there yet, add {self.mover} to the dependencies of this migration. "
                "Otherwise correct these rows.",
            )

    @property
    def mover(self) -> str:
        """The migration that brings the rows, as in a list of dependencies."""
        labels = [field.target_field.model._meta.label_lower for field in (self.ends.before, self.ends.after)]
        for declared in find_moves(MigrationLoader(None)):
            if [declared.move.source.lower(), declared.move.target.lower()] == labels:
                return str(declared.key)
        return "the migration that moves them"


@contextlib.contextmanager
def without_constraints(ends: Iterator[Ends]) -> Iterator[None]:
    """Django knows of no constraint of these columns until the block ends."""
    known = [(field, field.db_constraint) for one in ends for field in (one.before, one.after)]
    for field, _ in known:
        field.db_constraint = False
    try:
        yield
    finally:
        for field, constrained in known:
            field.db_constraint = constrained
