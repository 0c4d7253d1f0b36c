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
    `by`, a field or an expression, is the source's value, and gives its primary key, or the field `gives`.
    `normalise` makes an expression of an expression; both sides of the comparison go through it, as text.

    A value that is not found, or that several rows answer to, is reported as a row that can't go in. Null stays null.
    """

    def __init__(
        self,
        among: str | Mapping[Any, Any],
        *,
        by: Given = "pk",
        gives: str = "pk",
        normalise: Callable[[Combinable], Combinable] | None = None,
    ) -> None:
        if isinstance(among, Mapping) and None in among:
            raise Refused(
                "A lookup has None among its values, but null is never looked up.",
                "Give another value for null with Coalesce(...) in fields.",
            )
        self.among = among
        self.by = by
        self.gives = gives
        self.normalise = normalise

    def __str__(self) -> str:
        return f"{self.among} by {self.by}" if isinstance(self.among, str) else f"the {len(self.among)} values given"


class Import:
    """The rows of `source` become rows of `target`, which is on another database, in one transaction.

    `key` says, per field of the target, which value of the source finds a row again from run to run; a `Value` in it
    keeps apart what comes from several sources. `fields` names, per field of the target, the source's field, a path
    over its relations, or an expression; fields of the same name need no mention, but for the primary key. `lookups`
    says in what the value of such a field is looked up. `where` chooses rows of the source, `discard` lists fields of
    it that are left behind, and `changed` names a field of it that grows with every change, for `--since-last`.

    Running it again inserts what is new, updates what has changed and touches no other row.
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
        changed: str | None = None,
    ) -> None:
        if not key:
            raise Refused(
                f"Import({source!r}, {target!r}) has no key.",
                "Name what finds a row again, such as key={'legacy_id': 'id'}.",
            )
        self.source = source
        self.target = target
        self.key = dict(key)
        self.fields = dict(fields or {})
        self.lookups = {name: as_lookup(value) for name, value in (lookups or {}).items()}
        self.where = where
        self.discard = frozenset(discard)
        self.changed = changed

    def __str__(self) -> str:
        constants = [f"{name}={value.value}" for name, value in self.key.items() if isinstance(value, Value)]
        return f"{self.source} -> {self.target}" + (f" [{', '.join(constants)}]" if constants else "")

    def __repr__(self) -> str:
        return f"Import({self.source!r}, {self.target!r})"

    def answers_to(self, name: str) -> bool:
        """Whether `name`, as given to a command, means this import: either of its models, in any case."""
        return name.lower() in {str(self).lower(), self.source.lower(), self.target.lower()}


def as_lookup(value: Lookup | Mapping[Any, Any]) -> Lookup:
    return value if isinstance(value, Lookup) else Lookup(value)
