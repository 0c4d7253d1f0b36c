"""Refuses a declaration's mistakes, by name, before a row is read."""

import contextlib
from collections.abc import Iterator, Sequence

from django.core.exceptions import FieldError
from django.db import DEFAULT_DB_ALIAS, DatabaseError, InterfaceError, router
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Q, Value

from rehome.errors import Refused
from rehome.importing import lookups, readonly, watermark
from rehome.importing.plan import ImportPlan, Taken
from rehome.models import ImportRun
from rehome.plan.historical import concrete_fields

PARTS_OF_MOMENTS = {"DateField": "TruncDate", "TimeField": "TruncTime"}
"""By the type of a field, what takes its value of a date with a time."""
APART = "Keep their rows apart with a Value in key, such as 'kind': Value('a')"


def check(plans: Sequence[ImportPlan]) -> None:
    refuse_same_rows(plans)
    for plan in plans:
        refuse_swapped(plan)
        refuse_unreadable(plan)
        refuse_left_behind(plan)
        lookups.find(plan)
        if plan.declared.changed:
            watermark.find_overlap(plan)


def refuse_same_rows(plans: Sequence[ImportPlan]) -> None:
    """Each of two such imports would take the other's rows for its own, or for gone."""
    names: set[str] = set()
    keys: dict[object, ImportPlan] = {}
    for plan in plans:
        if str(plan) in names:
            raise Refused(f"{plan} is declared twice.", f"{APART}.")
        names.add(str(plan))
        constants = sorted((taken.column.name, repr(taken.expression)) for taken in plan.constants)
        key = (plan.target.oid, frozenset(plan.key), tuple(constants))
        if not plan.declared.shared and (other := keys.setdefault(key, plan)) is not plan:
            raise Refused(
                f"{other} and {plan} find rows by the same key of {plan.target}.",
                f"{APART}, or say with shared=True that one of them only adds to the other's.",
            )


def refuse_swapped(plan: ImportPlan) -> None:
    """An older database may have tables of both names, and would be written to."""
    source, target = plan.source.alias, plan.connection.alias
    if reason := why_swapped(plan):
        raise Refused(
            f"{plan} would read {source!r} and write to {target!r}, but {reason}.",
            f"Swap --source and --database, or leave both out; a router can say that {target!r} is meant.",
        )


def why_swapped(plan: ImportPlan) -> str:
    """What says that the target is the older database; empty where nothing does."""
    source, target = plan.source.alias, plan.connection.alias
    if readonly.is_read_only(target):
        return f"{target!r} is a read-only database of the settings"
    # Routers may give no answer of their own, which then is the default database.
    if router.db_for_read(plan.source_model) == target != DEFAULT_DB_ALIAS:
        return f"the routers read {plan.source_model._meta.label} from {target!r}"
    if plan.target_model._meta.managed and not router.allow_migrate_model(target, plan.target_model):
        return f"the routers keep {plan.target_model._meta.label} out of {target!r}"
    if plan.source.vendor != plan.connection.vendor:
        return ""
    if was_read_from(plan.source, plan, target):
        return f"{source!r} has rows of it that came from {target!r}"
    # Nothing has come in there so far, and everybody looks for these rows in the other one.
    if router.db_for_write(plan.target_model) == source and not was_read_from(plan.connection, plan, source):
        return f"this project writes {plan.target_model._meta.label} to {source!r}"
    return ""


def was_read_from(connection: BaseDatabaseWrapper, plan: ImportPlan, alias: str) -> bool:
    """Whether a database has a record of this import, as its target, from that database."""
    table = ImportRun._meta.db_table
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_catalog.to_regclass(%s) IS NOT NULL", [table])
            if cursor.fetchone() != (True,):
                return False
            cursor.execute(f"SELECT 1 FROM {table} WHERE name = %s AND source = %s", [str(plan), alias])  # noqa: S608
            return cursor.fetchone() is not None
    except (DatabaseError, InterfaceError):
        return False  # It can't be read, and the import says why.


def refuse_unreadable(plan: ImportPlan) -> None:
    """Names that Django can't resolve to columns of the source."""
    rows = plan.source_model._base_manager.using(plan.source.alias)
    for taken in plan.taken:
        refuse_array(plan, taken)
        with readable(plan, taken.field.name):
            read = rows.annotate(rehome=taken.expression).query.annotations["rehome"]
            # A Value(None) has no type.
            kind = getattr(read, "_output_field_or_none", None)
        refuse_part_of_moment(plan, taken, kind.get_internal_type() if kind else "")
    with readable(plan, "where"):
        rows.filter(plan.declared.where or Q())


def refuse_array(plan: ImportPlan, taken: Taken) -> None:
    """A list for every row is sent by the source's server, and MySQL has none."""
    value = taken.given.value if isinstance(taken.given, Value) else None
    if plan.source.vendor == "mysql" and isinstance(value, list | tuple):
        name = taken.field.name
        raise Refused(
            f"{plan}: {name} is to be {value!r} in every row, and {plan.source.display_name} has no arrays.",
            f"Give it as PostgreSQL writes it, such as fields={{{name!r}: Value('{{a,b}}')}}, or use a db_default.",
        )


def refuse_part_of_moment(plan: ImportPlan, taken: Taken, read: str) -> None:
    """PostgreSQL would keep its date or its time, and drop the rest in silence."""
    part = PARTS_OF_MOMENTS.get(taken.field.get_internal_type())
    if read == "DateTimeField" and part and taken.lookup is None:
        name = taken.field.name
        raise Refused(
            f"{plan}: the source of {name} is a date with a time, and {name} keeps only a part of it.",
            f"Say which with fields={{{name!r}: {part}(...)}}.",
        )


@contextlib.contextmanager
def readable(plan: ImportPlan, place: str) -> Iterator[None]:
    try:
        yield
    except FieldError as error:
        raise Refused(
            f"{plan}: {place} can't be read from {plan.source_model._meta.label}: {error}.", "Correct the name."
        ) from error


def refuse_left_behind(plan: ImportPlan) -> None:
    """Fields of the source, except for its key, that the import neither reads nor discards."""
    model, left = plan.source_model, plan.declared.discard
    read = Q(*(taken.expression for taken in plan.taken), plan.declared.where or Q()).referenced_base_fields
    read |= {plan.declared.changed.field} if plan.declared.changed else set()
    for name, field in concrete_fields(model).items():
        if not (field.primary_key or field.generated or name in left or {name, field.attname} & read):
            raise Refused(
                f"{plan}: the import does not read {model._meta.label}.{name}.",
                f"Name it in fields, or leave it out with discard=[{name!r}].",
            )
