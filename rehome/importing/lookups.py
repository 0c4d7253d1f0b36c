"""SQL that looks up what arrived from the source: in a map of values, or among the rows of a model."""

import contextlib
import dataclasses
from collections.abc import Mapping
from typing import Any

from django.core.exceptions import FieldError, ValidationError
from django.db.models import F, TextField, Value
from django.db.models.expressions import Combinable, RawSQL
from django.db.models.functions import Cast

from rehome.errors import Refused
from rehome.importing.declaration import Given, Lookup
from rehome.importing.plan import ImportPlan, Taken, find_model, has_spellings
from rehome.plan.expressions import ROW
from rehome.plan.historical import column_of, concrete_fields, get_table
from rehome.plan.plan import Model
from rehome.postgres import sql
from rehome.postgres.sql import SQL, Identifier, Literal, Statement, inlined

BOOLEANS = {True: ["t", "1"], False: ["f", "0"]}
"""How PostgreSQL and MySQL print what Python calls so."""


@dataclasses.dataclass(frozen=True)
class Found:
    """One lookup of an import, as part of a query over the rows that arrived."""

    taken: Taken
    alias: str
    among: Statement
    """A relation of (natural, value, hits): each different natural key once, and how many values it has."""
    natural: str
    """What arrived, as it is looked up."""

    @property
    def value(self) -> Statement:
        return SQL("CASE WHEN {0}.hits = 1 THEN {0}.value END").format(Identifier(self.alias))

    @property
    def hits_in(self) -> str:
        """The column that says how many values there are for what arrived; null where there is none."""
        return f"{self.alias} hits"

    @property
    def join(self) -> Statement:
        return SQL('LEFT JOIN ({}) AS {alias} ON {} = {alias}."natural"').format(
            self.among, SQL(self.natural), alias=Identifier(self.alias)
        )


def find(plan: ImportPlan, *, own: bool | None = None) -> list[Found]:
    """All lookups; with `own` those among the rows of the target itself, or without them."""
    return [
        Found(
            taken,
            f"lookup_{n}",
            among(plan, taken, lookup),
            as_looked_up(plan, lookup, Identifier(ROW, taken.arrives_in)),
        )
        for n, taken in enumerate(plan.taken)
        if (lookup := taken.lookup) and own in (None, taken in plan.own_lookups)
    ]


def find_by_changes(plan: ImportPlan) -> bool:
    """Whether this import may change the values by which its own rows are found, or that are taken of them."""
    model = plan.target_model
    return any(
        changes(plan, model, named)
        for taken in plan.own_lookups
        if taken.lookup
        for named in (taken.lookup.by, given(taken, taken.lookup, model))
    )


def changes(plan: ImportPlan, model: Model, named: Given) -> bool:
    """Whether a field is one that the import may change; a path or an expression may be of such ones."""
    fields = {name: field for field in concrete_fields(model).values() for name in (field.name, field.attname)}
    if named == "pk":
        columns = {field.column for field in model._meta.pk_fields}
    elif isinstance(named, str) and named in fields:
        columns = {column_of(fields[named])}
    else:
        return True
    written = (taken.column for taken in plan.taken)
    return not columns.isdisjoint(c.name for c in written if c.name not in plan.key or has_spellings(c))


def as_looked_up(plan: ImportPlan, lookup: Lookup, value: Statement) -> str:
    """SQL of a value that was read, in the form in which it is compared."""
    raw = RawSQL(value.as_string().replace("%", "%%"), [], output_field=TextField())  # noqa: S611
    return compiled(normalised(lookup, raw), plan)


def among(plan: ImportPlan, taken: Taken, lookup: Lookup) -> Statement:
    """Each different natural key once, with its value and its number of values. Values are compared as they are, nulls
    and arrays too, which no aggregate takes whole.
    """
    return SQL(
        'SELECT DISTINCT ON ("natural") "natural", value, count(*) OVER (PARTITION BY "natural") AS hits '
        'FROM (SELECT DISTINCT * FROM ({}) AS known ("natural", value)) AS known'
    ).format(known(plan, taken, lookup))


def known(plan: ImportPlan, taken: Taken, lookup: Lookup) -> Statement:
    """A relation of (natural, value) of all that a value is looked up in."""
    return (among_values if isinstance(lookup.among, Mapping) else among_rows)(plan, taken, lookup)


def fault(plan: ImportPlan, taken: Taken) -> Identifier:
    """The function that says why a lookup's `normalise` does not take a text; the session has it while the rows of an
    import are looked at one by one.
    """
    return sql.temporary(f"rehome_fault_{plan.number}_{plan.taken.index(taken)}")


def drop_fault(plan: ImportPlan, taken: Taken) -> Statement:
    return SQL("DROP FUNCTION IF EXISTS {} (text)").format(fault(plan, taken))


def constant(plan: ImportPlan, taken: Taken) -> Statement:
    """The value that every row of the import has in a column, by a `Value` of the declaration."""
    value = taken.given.value  # type: ignore[union-attr]
    if taken.lookup is None:
        return SQL("{}::{}").format(stored(plan, taken, value), SQL(taken.column.type))
    natural = compiled(normalised(taken.lookup, Value(str(value), output_field=TextField())), plan)
    return SQL('(SELECT value FROM ({}) AS known WHERE "natural" = {})').format(
        among(plan, taken, taken.lookup), SQL(natural)
    )


def stored(plan: ImportPlan, taken: Taken, value: Any) -> Statement:
    """A value of Python's as the target's field stores it."""
    field: Any = taken.field
    try:
        return Literal(field.get_db_prep_save(value, plan.connection))
    except (ValueError, TypeError, ValidationError) as error:
        raise Refused(
            f"{plan}: {taken.field.name} cannot be {value!r}: {error}.",
            f"Give what a {field.get_internal_type()} takes.",
        ) from error


def gives_moment(lookup: Lookup) -> bool:
    """Whether what is looked up is made a moment of before."""
    made = normalised(lookup, Value("", output_field=TextField()))
    with contextlib.suppress(FieldError):
        kind = getattr(made, "_output_field_or_none", None)
        return kind is not None and kind.get_internal_type() == "DateTimeField"
    return False


def normalised(lookup: Lookup, value: Combinable) -> Combinable:
    return lookup.normalise(value) if lookup.normalise else value


def among_rows(plan: ImportPlan, taken: Taken, lookup: Lookup, key: Statement | None = None) -> Statement:
    """Of all rows of the model, or of the one with a primary key."""
    model = find_model(plan.apps, str(lookup.among))
    get_table(plan.connection, model)
    by = F(lookup.by) if isinstance(lookup.by, str) else lookup.by
    values = {
        "rehome_natural": normalised(lookup, Cast(by, TextField())),
        "rehome_value": F(given(taken, lookup, model)),
    }
    try:
        rows = model._base_manager.using(plan.connection.alias).order_by().annotate(**values).values_list(*values)
        if key is not None:
            rows = rows.filter(pk=RawSQL(key.as_string(), []))  # noqa: S611
    except FieldError as error:
        raise Refused(f"{plan} looks {taken.field.name} up in {lookup}: {error}.", "Correct the name.") from error
    text, params = rows.query.get_compiler(plan.connection.alias).as_sql()
    return SQL(inlined(plan.connection, text, params))


def given(taken: Taken, lookup: Lookup, model: Model) -> str:
    """The field that a row is looked up for: what a reference to its model leads to, or its primary key."""
    field: Any = taken.field
    if lookup.gives is None and field.remote_field and field.remote_field.model._meta.label == model._meta.label:
        return str(field.target_field.attname)
    return lookup.gives or "pk"


def among_values(plan: ImportPlan, taken: Taken, lookup: Lookup) -> Statement:
    rows = [
        SQL("({}, {}::{})").format(
            SQL(compiled(normalised(lookup, Value(key, output_field=TextField())), plan)),
            stored(plan, taken, value),
            SQL(taken.column.type),
        )
        for name, value in dict(lookup.among).items()  # type: ignore[arg-type]
        for key in (BOOLEANS[name] if isinstance(name, bool) else [str(name)])
    ]
    # Of no values at all, nothing is found.
    return SQL("VALUES {}").format(SQL(", ").join(rows)) if rows else SQL("SELECT NULL::text, NULL WHERE false")


def compiled(expression: Combinable, plan: ImportPlan) -> str:
    """SQL of an expression that reads no field of a model."""
    query = plan.target_model._base_manager.using(plan.connection.alias).all().query
    compiler = query.get_compiler(plan.connection.alias)
    text, params = compiler.compile(expression.resolve_expression(query))  # type: ignore[attr-defined]
    return inlined(plan.connection, text, params)
