"""Which types hold the values of which others, by their names alone."""

import re

FAMILIES = (("smallint", "integer", "bigint"), ("varchar", "citext", "text"), ("numeric",))
"""Types between which PostgreSQL converts by itself as it assigns, the narrower one first."""


def family(kind: str) -> tuple[str, ...]:
    base = base_of(kind)
    return next((one for one in FAMILIES if base in one), (base,))


def base_of(kind: str) -> str:
    return re.sub(r"\(.*?\)|\[\]", "", kind).strip().replace("character varying", "varchar")


def length_of(kind: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", kind.partition("(")[2])))


def accepts(wide: str, narrow: str) -> bool:
    """Whether every value of one type fits in another, both as CREATE TABLE or `format_type` has them."""
    if wide == narrow:
        return True
    if family(wide) != family(narrow) or wide.count("[]") != narrow.count("[]"):
        return False
    has, needs = length_of(wide), length_of(narrow)
    match family(wide)[0]:
        case "smallint":
            return family(wide).index(base_of(wide)) >= family(wide).index(base_of(narrow))
        case "varchar":
            return not has or bool(needs) and has[0] >= needs[0]
        case "numeric":
            return not has or len(has) == len(needs) == 2 and has[1] == needs[1] and has[0] >= needs[0]
    return False
