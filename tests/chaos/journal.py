"""What the writers committed, which is all that a check may believe: never one table about the other."""

import collections
import dataclasses
from collections.abc import Iterable


@dataclasses.dataclass(frozen=True)
class Write:
    """One row as a committed transaction left it.

    `born` is the row's own, whatever its key; each write of the row counts its version up by one, under the lock
    of the row, and the last may delete it. So the versions say in which order the writes of all writers came.
    """

    kind: str
    born: int
    version: int
    key: int | None
    """None where the write deleted the row."""
    profile: int | None = None


def rows_of(writes: Iterable[Write], kind: str) -> dict[int, Write]:
    """By key, the last write of each row that there must be; none of it may be missing or be there twice."""
    lives: dict[int, list[Write]] = collections.defaultdict(list)
    for write in writes:
        if write.kind == kind:
            lives[write.born].append(write)
    rows: dict[int, Write] = {}
    for born, life in lives.items():
        life.sort(key=lambda write: write.version)
        versions = [write.version for write in life]
        assert versions == list(range(len(life))), f"{kind} {born}: a write was lost, or came twice: {versions}"
        assert all(write.key is not None for write in life[:-1]), f"{kind} {born} was written to after its end"
        if (last := life[-1]).key is not None:
            assert last.key not in rows, f"{kind}: two rows have the key {last.key}"
            rows[last.key] = last
    return rows


def assert_holds(found: Iterable[Write], expected: dict[int, Write], where: str) -> None:
    """Exactly the rows that the writers left are there."""
    rows = {row.key: row for row in found}
    lost = {key: row for key, row in expected.items() if key not in rows}
    alien = {key: row for key, row in rows.items() if key not in expected}
    changed = {key: (row, rows[key]) for key, row in expected.items() if rows.get(key, row) != row}
    assert (lost, alien, changed) == ({}, {}, {}), (
        f"{where}: {len(lost)} lost, {len(alien)} that nobody wrote, {len(changed)} different"
    )
