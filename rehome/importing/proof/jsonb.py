"""The text that PostgreSQL writes a jsonb as, made of any text of JSON: by a parser that loses no digit."""

import json
from decimal import Decimal
from typing import Any

MOST_DIGITS = 200_000
"""No number of PostgreSQL has as many."""


def written(text: str) -> str:
    """Raises ValueError where the text is no JSON that PostgreSQL takes."""
    value = json.loads(text, parse_int=Decimal, parse_float=Decimal, parse_constant=refuse)
    return "".join(parts(value))


def refuse(name: str) -> Any:
    raise ValueError(f"{name} is no JSON.")


def parts(value: Any) -> list[str]:
    match value:
        case None | bool():
            return [{None: "null", True: "true", False: "false"}[value]]
        case Decimal():
            return [number(value)]
        case str():
            return [string(value)]
        case list():
            return ["[", *between([parts(one) for one in value]), "]"]
    # Keys in jsonb's own order; of several with one name the last one counts, which is what a dict keeps.
    members = sorted(value.items(), key=lambda member: (len(member[0].encode()), member[0].encode()))
    return ["{", *between([[string(name), ": ", *parts(one)] for name, one in members]), "}"]


def between(several: list[list[str]]) -> list[str]:
    found: list[str] = []
    for one in several:
        found += [", ", *one] if found else one
    return found


def string(value: str) -> str:
    if "\0" in value:
        raise ValueError("jsonb has no NUL character.")
    return json.dumps(value, ensure_ascii=False)


def number(value: Decimal) -> str:
    """All digits that were written, and no exponent."""
    exponent = value.as_tuple().exponent
    if not isinstance(exponent, int) or abs(exponent) > MOST_DIGITS:
        raise ValueError(f"{value} has too many digits.")
    return format(abs(value) if value == 0 else value, "f")
