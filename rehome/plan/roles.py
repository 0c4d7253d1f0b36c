"""The roles that a record names, by what PostgreSQL knows them by: whoever is renamed meanwhile keeps its rights.

On another server, as after a restore, an oid is somebody else's, and a name alone tells.
"""

import dataclasses
from collections.abc import Collection, Iterator, Mapping
from typing import Any, TypeVar

from django.db.backends.base.base import BaseDatabaseWrapper

from rehome.plan.record import Record
from rehome.postgres import rights
from rehome.postgres.tables import Grant

FIELDS = {"grantee", "grantor", "owner"}
"""Of whatever is in a record: the fields that are names of roles; an empty one is nobody's, or PUBLIC's."""

Kept = TypeVar("Kept")


def identified(record: Record, connection: BaseDatabaseWrapper) -> Record:
    """With what the server knows its roles by; one that is gone stays as it was known."""
    names = {name for name in named_in(record) if name}
    if not names:
        return record
    server, found = rights.read_roles(connection, names)
    before = record.roles if record.server == server else {}
    known = {**before, **{name: oid for oid, name in found.items()}}
    return record.keeping(server=server, roles={name: known[name] for name in sorted(names & known.keys())})


def renamed(record: Record, connection: BaseDatabaseWrapper) -> Record:
    """With the names that its roles have by now, and without the rights of one whose name is another's by now."""
    if not record.roles:
        return record
    server, found = rights.read_roles(connection, record.roles, record.roles.values())
    if server != record.server:
        return record
    names = {before: found[oid] for before, oid in record.roles.items() if found.get(oid, before) != before}
    replaced = {name for name, oid in record.roles.items() if oid not in found} & {*found.values()}
    if not (names or replaced):
        return record
    roles = {names.get(name, name): oid for name, oid in record.roles.items() if name not in replaced}
    return with_names(without_grants(record, replaced), names).keeping(roles=roles)


def grants_in(kept: Any) -> Iterator[Grant]:
    """Every grant in a record, wherever it stands."""
    if isinstance(kept, Grant):
        yield kept
    for part in parts_of(kept):
        yield from grants_in(part)


def named_in(kept: Any) -> Iterator[str]:
    for part in parts_of(kept):
        yield from named_in(part)
    if dataclasses.is_dataclass(kept):
        yield from (getattr(kept, field.name) for field in dataclasses.fields(kept) if field.name in FIELDS)


def parts_of(kept: Any) -> Iterator[Any]:
    if isinstance(kept, dict):
        yield from kept.values()
    elif isinstance(kept, tuple):
        yield from kept
    elif dataclasses.is_dataclass(kept):
        yield from vars(kept).values()


def without_grants(kept: Kept, roles: Collection[str]) -> Kept:
    """The same without what these roles were granted; what they passed on comes from the owner."""
    made: Any = kept
    if isinstance(kept, dict):
        made = {key: without_grants(value, roles) for key, value in kept.items()}
    elif isinstance(kept, tuple):
        theirs = [isinstance(one, Grant) and one.grantee in roles for one in kept]
        made = tuple(without_grants(one, roles) for one, gone in zip(kept, theirs, strict=True) if not gone)
    elif isinstance(kept, Grant):
        made = dataclasses.replace(kept, grantor="") if kept.grantor in roles else kept
    elif dataclasses.is_dataclass(kept) and not isinstance(kept, type):
        values = {field.name: getattr(kept, field.name) for field in dataclasses.fields(kept) if field.init}
        made = dataclasses.replace(kept, **{name: without_grants(value, roles) for name, value in values.items()})
    return made  # type: ignore[no-any-return]


def with_names(kept: Kept, names: Mapping[str, str]) -> Kept:
    """The same with other names for some roles."""
    made: Any = kept
    if isinstance(kept, dict):
        made = {key: with_names(value, names) for key, value in kept.items()}
    elif isinstance(kept, tuple):
        made = tuple(with_names(value, names) for value in kept)
    elif dataclasses.is_dataclass(kept) and not isinstance(kept, type):
        values = {field.name: getattr(kept, field.name) for field in dataclasses.fields(kept) if field.init}
        changed = {
            name: names.get(value, value) if name in FIELDS else with_names(value, names)
            for name, value in values.items()
        }
        made = dataclasses.replace(kept, **changed)
    return made  # type: ignore[no-any-return]
