"""Reads the words with which PostgreSQL, or rehome itself, defines an index or a key into facts; None for any others.

The facts can be told from a text, but no SQL can be smuggled through them: whatever is no name, option or known word
has no place there.
"""

import re
from collections.abc import Sequence
from typing import Any, cast

from rehome.postgres.tables import Action, ColumnIndex, End, ForeignKey, Grant, IndexKey, Terms

Place = Sequence[str]
"""Schema, table, and the name of an index or a constraint of it."""
NAME = r'(?:"(?:[^"]|"")+"|[a-z_][a-z0-9_$]*)'
QUALIFIED = rf"{NAME}(?:\.{NAME})?"
NAMES = rf"{NAME}(?:, (?:PERIOD )?{NAME})*"
OPTION = rf"{NAME}=(?:{NAME}|'(?:[^']|'')*')"
OPTIONS = rf"{OPTION}(?:, {OPTION})*"
ACTION = "NO ACTION|RESTRICT|CASCADE|SET NULL|SET DEFAULT"
DEFERRABLE = "(?P<deferrable> DEFERRABLE)?(?P<deferred> INITIALLY DEFERRED)?"

FOREIGN_KEY = re.compile(
    rf"FOREIGN KEY \((?P<own>{NAMES})\) REFERENCES (?P<place>{QUALIFIED}) ?\((?P<there>{NAMES})\)"
    rf"(?P<full> MATCH FULL)?(?: ON UPDATE (?P<update>{ACTION}))?"
    rf"(?: ON DELETE (?P<delete>{ACTION})(?: \((?P<set>{NAMES})\))?)?"
    rf"{DEFERRABLE}(?P<lax> NOT ENFORCED)?(?P<new> NOT VALID)?"
)
KEY = re.compile(
    rf"(?P<column>{NAME})(?: COLLATE (?P<collation>{QUALIFIED}))?"
    rf"(?: (?P<opclass>{QUALIFIED})(?: \((?P<options>{OPTIONS})\))?)?"
    r"(?P<down> DESC)?(?: NULLS (?P<nulls>FIRST|LAST))?"
)
KEYS = re.sub(r"\?P<\w+>", "?:", KEY.pattern)
INDEX = re.compile(
    rf"CREATE (?P<unique>UNIQUE )?INDEX {NAME} ON (?:ONLY )?{QUALIFIED} USING (?P<method>{NAME}) "
    rf"\((?P<keys>{KEYS}(?:, {KEYS})*)\)(?: INCLUDE \((?P<included>{NAMES})\))?(?P<alike> NULLS NOT DISTINCT)?"
    rf"(?: WITH \((?P<options>{OPTIONS})\))?"
)
CONSTRAINT = re.compile(
    rf"(?P<kind>UNIQUE|PRIMARY KEY)(?P<alike> NULLS NOT DISTINCT)? \((?P<own>{NAMES})\)"
    rf"(?: INCLUDE \((?P<included>{NAMES})\))?(?: WITH \((?P<options>{OPTIONS})\))?{DEFERRABLE}"
)
GRANT = re.compile(
    r'GRANT (\w+)(?: \("((?:[^"]|"")+)"\))? ON TABLE .+ TO (PUBLIC|"(?:[^"]|"")+")( WITH GRANT OPTION)?', re.DOTALL
)


def is_foreign_key(definition: str) -> bool:
    return definition.startswith("FOREIGN KEY")


def join_foreign_key(head: str, tail: str) -> str:
    """What comes before the end of a key and after it, with an end that stands for any."""
    return f"{head} REFERENCES x (x){tail}"


def read_foreign_key(place: Place, definition: str) -> ForeignKey | None:
    """The schema of its end is empty where the text names none."""
    found = FOREIGN_KEY.fullmatch(definition)
    if found is None:
        return None
    *there, other = names(found["place"])
    end = End(there[0] if there else "", other, names(found["there"]))
    terms = Terms(
        full=bool(found["full"]),
        on_update=cast(Action, found["update"] or "NO ACTION"),
        on_delete=cast(Action, found["delete"] or "NO ACTION"),
        set_columns=names(found["set"]),
        deferrable=bool(found["deferrable"]),
        deferred=bool(found["deferred"]),
        period="PERIOD " in re.sub(NAME, "", found["own"]),
        enforced=not found["lax"],
    )
    schema, table, name = place
    return ForeignKey(schema, table, name, names(found["own"]), end, terms, validated=not found["new"])


def read_index(place: Place, definition: str) -> ColumnIndex | None:
    found = INDEX.fullmatch(definition)
    if found is None:
        return None
    keys = tuple(read_key(key) for key in KEY.finditer(found["keys"]))
    (method,) = names(found["method"])
    schema, table, name = place
    return ColumnIndex(schema, table, name, method, bool(found["unique"]), keys, *extras(found))


def read_key(found: re.Match[str]) -> IndexKey:
    (column,) = names(found["column"])
    down, nulls = bool(found["down"]), found["nulls"]
    options = read_options(found["options"])
    nulls_first = nulls == "FIRST" if nulls else down
    return IndexKey(column, names(found["collation"]), names(found["opclass"]), options, down, nulls_first)


def read_constraint(place: Place, definition: str) -> ColumnIndex | None:
    """Of a primary key or a unique constraint."""
    found = CONSTRAINT.fullmatch(definition)
    if found is None:
        return None
    keys = tuple(map(IndexKey, names(found["own"])))
    timing = bool(found["deferrable"]), bool(found["deferred"])
    kind: Any = found["kind"]
    schema, table, name = place
    return ColumnIndex(schema, table, name, "btree", True, keys, *extras(found), kind, *timing)


def extras(found: re.Match[str]) -> tuple[tuple[str, ...], bool, dict[str, str]]:
    """Included columns, whether nulls are distinct, and storage parameters."""
    return names(found["included"]), not found["alike"], read_options(found["options"])


def read_grant(statement: str) -> Grant | None:
    """From the words of `parts.grants.grant`."""
    found = GRANT.fullmatch(statement)
    if found is None:
        return None
    privilege: Any
    privilege, column, grantee, grantable = found.groups()
    role = "" if grantee == "PUBLIC" else plain(grantee)
    return Grant(role, privilege, grantable=bool(grantable), column=(column or "").replace('""', '"'))


def names(listed: str | None) -> tuple[str, ...]:
    return tuple(plain(name) for name in re.findall(NAME, listed or ""))


def plain(name: str) -> str:
    return name[1:-1].replace('""', '"') if name.startswith('"') else name


def read_options(listed: str | None) -> dict[str, str]:
    found = re.findall(rf"({NAME})=(?:({NAME})|'((?:[^']|'')*)')", listed or "")
    return {plain(name): plain(word) or text.replace("''", "'") for name, word, text in found}
