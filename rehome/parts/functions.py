"""Functions of the values that a move computes: what names and settings mean in them is decided when they are created.

A trigger that computes runs as the session that writes, which may have set or created anything.
"""

import dataclasses
import hashlib
import re

from rehome.parts import grants
from rehome.parts.rows import is_cut
from rehome.plan.expressions import ROW
from rehome.plan.plan import Assignment, Flow, Plan, TablePair
from rehome.postgres import asking, sql
from rehome.postgres.sql import SQL, Identifier, Literal, Statement, aliased, columns, quoted
from rehome.postgres.tables import PREFIX, Column, Grant, Table

# What a session can set that changes the value of an expression.
SETTINGS = (
    "bytea_output", "datestyle", "default_text_search_config", "extra_float_digits", "intervalstyle",
    "lc_monetary", "lc_numeric", "lc_time", "standard_conforming_strings", "timezone",
)  # fmt: skip
CONSTANT = re.compile(r"\((-?\d+(\.\d+)?|'([^'\\]|'')*'|true|false|NULL)\)", re.IGNORECASE)
"""A value that means the same in every session."""


@dataclasses.dataclass(frozen=True)
class Value:
    """The function that computes one column from columns of the other table; it reads and writes nothing."""

    table: Table
    """The table that is read, whose owner the function belongs to."""
    name: str
    reads: tuple[Column, ...]
    column: Column
    expression: str
    search_path: tuple[str, ...]
    """Schemas in which names of the expression are looked up after pg_catalog."""

    @property
    def call(self) -> str:
        row = SQL(", ").join(Identifier(ROW, column.name) for column in self.reads)
        return SQL("{}({})").format(Identifier(self.table.schema, self.name), row).as_string()

    @property
    def signature(self) -> Statement:
        types = SQL(", ").join(sql.type_name(column.base_type) for column in self.reads)
        return SQL("{}({})").format(Identifier(self.table.schema, self.name), types)

    @property
    def body(self) -> Statement:
        value: Statement = SQL("({})").format(SQL(self.expression))
        value = value if is_cut(self.column) else sql.typed(value, self.column)
        if not self.reads:
            return SQL("SELECT {}").format(value)
        row = aliased((parameter(number, column), column.name) for number, column in enumerate(self.reads, start=1))
        return SQL("SELECT {} FROM (SELECT {}) AS {}").format(value, row, Identifier(ROW))

    @property
    def grants(self) -> tuple[Grant, ...]:
        """Everybody's: it has its caller's rights and reads nothing, and some roles write without any grant."""
        return (Grant("", "EXECUTE", grantable=False, column=""),)

    @property
    def digest(self) -> str:
        said = f"{self.signature.as_string()}\n{self.body.as_string()}\n{self.search_path}"
        return hashlib.sha256(said.encode()).hexdigest()[:16]

    def create(self) -> list[Statement]:
        """Idempotent."""
        made = SQL("CREATE FUNCTION {} RETURNS {} LANGUAGE sql STABLE SET search_path = {}{} RETURN ({})").format(
            self.signature,
            sql.type_name(self.column.base_type),
            columns(["pg_catalog", *self.search_path, "pg_temp"]),
            SQL("").join(SQL(f" SET {setting} FROM CURRENT") for setting in SETTINGS),
            self.body,
        )
        return [
            self.drop(),
            sql.Within(made, self.search_path),
            sql.set_owner("FUNCTION", self.signature, self.table.owner),
            *grants.exactly("FUNCTION", self.signature, self.grants),
            SQL("COMMENT ON FUNCTION {} IS {}").format(self.signature, Literal(f"rehome {self.digest}")),
        ]

    def drop(self) -> Statement:
        """With those of its name that the owner has from when other types were read; what others have put beside it
        under that name is theirs.
        """
        body = SQL(DROP).format(
            name=Literal(self.name),
            schema=Literal(self.table.schema),
            owner=Literal(self.table.owner),
            signature=Literal(self.signature.as_string()),
        )
        return SQL("DO {}").format(quoted(body.as_string()))


DROP = """
DECLARE
  it pg_catalog.regprocedure;
BEGIN
  FOR it IN
    SELECT p.oid FROM pg_catalog.pg_proc p
     WHERE p.proname OPERATOR(pg_catalog.=) {name}
       AND p.pronamespace OPERATOR(pg_catalog.=)
           (SELECT n.oid FROM pg_catalog.pg_namespace n WHERE n.nspname OPERATOR(pg_catalog.=) {schema})
       AND (pg_catalog.pg_get_userbyid(p.proowner) OPERATOR(pg_catalog.=) {owner}
            OR p.oid OPERATOR(pg_catalog.=) pg_catalog.to_regprocedure({signature}))
  LOOP
    EXECUTE pg_catalog.concat('DROP FUNCTION ', it);
  END LOOP;
END
"""
STANDING = """
SELECT pg_catalog.obj_description(oid, 'pg_proc') FROM pg_catalog.pg_proc WHERE proname ^@ %s
   AND pg_catalog.pg_get_userbyid(proowner) = ANY(%s)
"""


def standing(plan: Plan) -> set[str]:
    """The digests of the functions of values that there are, of the owners of the plan's tables."""
    owners = [table.owner for pair in plan.pairs for table in (pair.source, pair.target)]
    found = asking.column(plan.connection, STANDING, [f"{PREFIX}value_", owners])
    return {comment.removeprefix("rehome ") for comment in found if comment}


def parameter(number: int, column: Column) -> Statement:
    """With the collation of the column that it stands for."""
    return SQL(f"${number} COLLATE {column.collation}" if column.collation else f"${number}")


def typed_null(column: Column) -> Statement:
    """In the place of a parameter, where nothing is computed."""
    return SQL(f"NULL::{{}}{f' COLLATE {column.collation}' if column.collation else ''}").format(
        sql.type_name(column.base_type)
    )


def compute(pair: TablePair, search_path: tuple[str, ...]) -> tuple[TablePair, tuple[Value, ...]]:
    """The same pair with a call in place of each expression, and the functions that are called."""
    forward, one_way = compute_flow(pair.forward, search_path)
    backward, other_way = compute_flow(pair.backward, search_path)
    return dataclasses.replace(pair, forward=forward, backward=backward), (*one_way, *other_way)


def compute_flow(flow: Flow, search_path: tuple[str, ...]) -> tuple[Flow, tuple[Value, ...]]:
    found = {a.column.name: value_of(a, flow, search_path) for a in flow.assignments if not is_safe(a)}
    called = [
        dataclasses.replace(a, value=found[a.column.name].call) if a.column.name in found else a
        for a in flow.assignments
    ]
    return dataclasses.replace(flow, assignments=tuple(called)), tuple(found.values())


def is_safe(assignment: Assignment) -> bool:
    return assignment.plain or CONSTANT.fullmatch(assignment.value) is not None


def value_of(assignment: Assignment, flow: Flow, search_path: tuple[str, ...]) -> Value:
    place = f"{flow.origin}\n{flow.destination}\n{assignment.column.name}"
    name = f"{PREFIX}value_{hashlib.sha256(place.encode()).hexdigest()[:12]}"
    reads = tuple(flow.origin.column(column) for column in sorted(assignment.reads))
    return Value(flow.origin, name, reads, assignment.column, assignment.value, search_path)
