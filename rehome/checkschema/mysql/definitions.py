"""The definition of a column, as SHOW CREATE TABLE prints it, with a part of it changed."""

import re

from rehome.checkschema.mysql.show_create import words

IGNORED, INVISIBLE, NOT_ENFORCED = "IGNORED", "INVISIBLE", "NOT ENFORCED"
"""What people can say of an index or a check, as MariaDB and MySQL call it."""
OF_TYPES = {"UNSIGNED", "ZEROFILL"}
PART = re.compile(r"`(?:[^`]|``)+`")
REFERENCED = re.compile(r"REFERENCES ((?:`(?:[^`]|``)+`\.)?`(?:[^`]|``)+`)")


def type_of(definition: str) -> str:
    """The type with its sign, its character set and its collation."""
    _, kind, *rest = words(definition)
    return " ".join([kind, *rest[: length_of_type(rest)]])


def length_of_type(rest: list[str]) -> int:
    """How many of the words behind a type belong to it."""
    taken = 0
    while taken < len(rest):
        word = rest[taken].upper()
        if word in OF_TYPES:
            taken += 1
        elif word == "COLLATE":
            taken += 2
        elif word == "CHARACTER":
            taken += 3
        else:
            break
    return taken


def retyped(definition: str, other: str) -> str:
    """With the type of another definition."""
    name, _, *rest = words(definition)
    return " ".join([name, type_of(other), *rest[length_of_type(rest) :]])


def collated(definition: str, collation: str) -> str:
    """With a collation, which is not printed where it is the table's."""
    name, kind, *rest = words(definition)
    taken = length_of_type(rest)
    said = {word.upper() for word in rest[:taken]}
    more = ["COLLATE", collation] if collation and "COLLATE" not in said else []
    return " ".join([name, kind, *rest[:taken], *more, *rest[taken:]])


def nullable(definition: str) -> str:
    found = words(definition)
    place = next((n for n, word in enumerate(found) if word.upper() == "NOT" and found[n + 1].upper() == "NULL"), None)
    return " ".join(found if place is None else [*found[:place], *found[place + 1 :]])


def without_checks(definition: str, checks: set[str]) -> str:
    """Without the check that is one of these, as a table has it."""
    found = words(definition)
    for place, word in enumerate(found[:-1]):
        if word == "CHECK" and f"CHECK {found[place + 1]}" in checks:
            return " ".join(found[:place] + found[place + 2 :])
    return definition


def referenced(key: str) -> str:
    """The table that the definition of a foreign key refers to."""
    found = REFERENCED.search(key)
    return found[1] if found else ""


def split(place: str) -> tuple[str | None, str]:
    """Of a table as a statement names it, the database where that is said, and its name."""
    *schema, name = [part[1:-1].replace("``", "`") for part in PART.findall(place)]
    return (schema[0] if schema else None), name


def quoted(name: str) -> str:
    return f"`{name.replace('`', '``')}`"
