"""Import: the declaration that a model's rows come from a model of another database, again and again."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from django.db.models import Q, Value
from django.db.models.expressions import Combinable

from rehome.errors import Refused

Given = str | Combinable
"""A field of the source, a path over its relations, or an expression that the source's server computes."""


class Lookup:
    """What the value of a source is looked up in: a mapping, or the rows of a model of the target's database.

    `Lookup({"A": "active"})` is a map of values. `Lookup("accounts.Person", by="legacy_id")` finds the row whose
    `by`, a field or an expression, equals the source's value, and gives the field that references point at, mostly the
    primary key, or the field `gives`. `normalise` makes an expression of an expression; both sides of the comparison go
    through it, as text.

    A row whose value is found in no row, or in several, cannot be imported and is reported. Null stays null.
    """

    def __init__(
        self,
        among: str | Mapping[Any, Any],
        *,
        by: Given = "pk",
        gives: str | None = None,
        normalise: Callable[[Combinable], Combinable] | None = None,
    ) -> None:
        if isinstance(among, Mapping) and None in among:
            raise Refused(
                "A lookup has None among its values, but null is never looked up.",
                "Replace null with Coalesce(...) in fields.",
            )
        self.among = among
        self.by = by
        self.gives = gives
        self.normalise = normalise

    def __str__(self) -> str:
        return f"{self.among} by {self.by}" if isinstance(self.among, str) else f"the {len(self.among)} values given"


class Changed:
    """A field of the source that grows with every change of a row, by which `--since-last` chooses what to read.

    A transaction may commit after the source was read, with a smaller value than the largest that was read. So the next
    run begins `overlap` before that: ten minutes for times, a day for dates; other types need one. Rows that are read
    twice are not written twice.
    """

    def __init__(self, field: str, *, overlap: Any = None) -> None:
        self.field = field
        self.overlap = overlap

    def __repr__(self) -> str:
        return f"Changed({self.field!r}, overlap={self.overlap!r})"


class Import:
    """The rows of `source` become rows of `target`, which is on another database, in one transaction.

    `key` maps fields of the target to values of the source that find a row again in every run; a `Value` in it keeps
    the rows of several sources apart. `fields` maps fields of the target to a field of the source, a path over its
    relations, or an expression; except for the primary key, fields of the same name need no mention. `lookups` says
    where the values of such fields are looked up. `where` chooses rows of the source, `discard` lists fields of it that
    are not imported, and `changed` names a field of it that grows with every change, or is a `Changed`.

    A time without a zone is one of the source's zone; `fold` chooses, as in `datetime`, the first (0) or the second (1)
    moment of one that its clocks show twice, and without it such a row cannot be imported.

    A row of the target whose key is not null and not at the source is gone there. With `shared`, the target has rows
    of its own under such keys, such as user names, so that none counts as gone.

    The next run inserts new rows, updates changed rows and touches no other row.
    """

    def __init__(
        self,
        source: str,
        target: str,
        *,
        key: Mapping[str, Given],
        fields: Mapping[str, Given] | None = None,
        lookups: Mapping[str, Lookup | Mapping[Any, Any]] | None = None,
        where: Q | None = None,
        discard: Iterable[str] = (),
        changed: str | Changed | None = None,
        shared: bool = False,
        fold: int | None = None,
    ) -> None:
        if fold not in (None, 0, 1):
            raise Refused(
                f"Import({source!r}, {target!r}) has fold={fold!r}.",
                "Give 0 for the first of two moments, or 1 for the second.",
            )
        if not key:
            raise Refused(
                f"Import({source!r}, {target!r}) has no key.",
                "Name the field that finds a row again, such as key={'legacy_id': 'id'}.",
            )
        self.source = source
        self.target = target
        self.key = dict(key)
        self.fields = dict(fields or {})
        given = (lookups or {}).items()
        self.lookups = {name: value if isinstance(value, Lookup) else Lookup(value) for name, value in given}
        self.where = where
        self.discard = frozenset(discard)
        self.shared = shared
        self.fold = fold
        self.changed = Changed(changed) if isinstance(changed, str) else changed

    def __str__(self) -> str:
        constants = [f"{name}={value.value}" for name, value in self.key.items() if isinstance(value, Value)]
        return f"{self.source} -> {self.target}" + (f" [{', '.join(constants)}]" if constants else "")

    def __repr__(self) -> str:
        return f"Import({self.source!r}, {self.target!r})"

    def answers_to(self, name: str) -> bool:
        """Whether `name`, as given to a command, means this import: either of its models, in any case."""
        return name.lower() in {str(self).lower(), self.source.lower(), self.target.lower()}
