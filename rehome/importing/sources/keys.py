"""Which rows have the keys that a file of rejects names, asked of the server that wrote these keys as text.

A key is known by that text alone: what two servers, a driver or Python make of a value need not be what it was.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence

from rehome.errors import Refused
from rehome.importing.plan import ImportPlan

Parts = tuple[str | None, ...]
Literal = Callable[[int, str], str]
"""SQL of the text of a part of a key, by the number of the part."""


def places(plan: ImportPlan) -> list[int]:
    """Where the parts of the key are among the columns of the import's query."""
    columns = [taken.column.name for taken in plan.taken]
    return [columns.index(column) for column in plan.key]


def names(plan: ImportPlan) -> list[str]:
    return [f"rehome_{place}" for place in places(plan)]


def asked(plan: ImportPlan) -> list[int]:
    """The parts of the key that the source has; the others are the same in every row."""
    return [number for number, place in enumerate(places(plan)) if not plan.taken[place].constant]


def wanted(plan: ImportPlan) -> list[Parts]:
    return [tuple(key[name] for name in plan.declared.key) for key in plan.only or ()]


def refuse(plan: ImportPlan, reason: str) -> Refused:
    return Refused(f"{plan} can't look for a key: {reason}.", "Correct it in the file of rejects.")


def are_among(keys: Iterable[Parts], parts: Sequence[int], forms: Sequence[str], rows: str, literal: Literal) -> str:
    """Whether `forms`, SQL of each part of the key, are what one of `keys` has for `parts`; `rows` begins a list."""
    groups = defaultdict[tuple[bool, ...], list[str]](list)
    for key in dict.fromkeys(tuple(key[n] for n in parts) for key in keys):
        given = [literal(n, part) for n, part in zip(parts, key, strict=True) if part is not None]
        groups[tuple(part is None for part in key)].append(f"({', '.join(given)})")
    return " OR ".join(one_group([forms[n] for n in parts], *group, rows) for group in groups.items()) or "false"


def one_group(forms: Sequence[str], nulls: Sequence[bool], keys: Sequence[str], rows: str) -> str:
    """Keys that have null in the same parts."""
    conditions = [f"{form} IS NULL" for form, null in zip(forms, nulls, strict=True) if null]
    if known := [form for form, null in zip(forms, nulls, strict=True) if not null]:
        conditions.append(f"({', '.join(known)}) IN ({rows}{', '.join(keys)})")
    return f"({' AND '.join(conditions) or 'true'})"
