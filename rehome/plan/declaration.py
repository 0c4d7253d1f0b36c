"""Declaration: what a move says, before any table is looked at."""

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from django.db.models.expressions import Combinable, F

from rehome.errors import Refused


class Declaration:
    """Which model's rows go to which model, and how their fields are matched; see `rehome.Move`."""

    def __init__(
        self,
        source: str,
        target: str,
        *,
        fields: Mapping[str, str | Combinable] | None = None,
        backwards: Mapping[str, str | Combinable] | None = None,
        discard: Iterable[str] = (),
        discard_triggers: Iterable[str] = (),
        online: bool | None = None,
        in_place: bool = False,
        identity: Literal["move", "retire"] = "move",
        irreversible: bool = False,
    ) -> None:
        if online and in_place:
            raise Refused(
                f"Move({source!r}, {target!r}) can't be both online and in place.",
                "Leave one out: in place copies no row, so nobody waits for it.",
            )
        if identity not in {"move", "retire"}:
            raise Refused(
                f"Move({source!r}, {target!r}) has identity={identity!r}, which says not when the content type moves.",
                "Write 'move', at once, or 'retire', with the retirement.",
            )
        if identity == "retire" and in_place:
            raise Refused(
                f"Move({source!r}, {target!r}) can't be in place and leave the content type with the source until "
                "retirement: a move in place has none.",
                "Leave one out.",
            )
        if irreversible and in_place:
            raise Refused(
                f"Move({source!r}, {target!r}) can't be both irreversible and in place.",
                "Leave irreversible=True out: in place nothing is computed, so there is always a way back.",
            )
        self.source = source
        self.target = target
        self.fields = {name: without_f(value) for name, value in (fields or {}).items()}
        self.backward_fields = {name: without_f(value) for name, value in (backwards or {}).items()}
        self.discard = frozenset(discard)
        self.discard_triggers = frozenset(discard_triggers)
        self.online = online
        self.in_place = in_place
        self.identity = identity
        self.irreversible = irreversible

    def __str__(self) -> str:
        return f"{self.source} -> {self.target}"

    def __repr__(self) -> str:
        return f"Move({self.source!r}, {self.target!r})"

    def __eq__(self, other: object) -> bool:
        """Whether both say the same; models have the same label in any case."""
        return type(other) is type(self) and self.said() == other.said()

    def __hash__(self) -> int:
        return hash(self.resolve_labels())

    def said(self) -> dict[str, Any]:
        source, target = self.resolve_labels()
        return {**vars(self), "source": source, "target": target}

    def options(self) -> dict[str, Any]:
        """What it says besides its two models, by the names of the arguments; what says nothing is left out."""
        said = {
            "fields": self.fields,
            "backwards": self.backward_fields,
            "discard": sorted(self.discard),
            "discard_triggers": sorted(self.discard_triggers),
            "in_place": self.in_place,
            "irreversible": self.irreversible,
            "identity": "" if self.identity == "move" else self.identity,
        }
        online = {} if self.online is None else {"online": self.online}
        return {name: value for name, value in said.items() if value} | online

    def resolve_labels(self) -> tuple[tuple[str, str], tuple[str, str]]:
        """(app label, lower-case model name) of the source and of the target, as in django_content_type."""
        source_app, _, source_model = self.source.partition(".")
        target_app, _, target_model = self.target.partition(".")
        return (source_app, source_model.lower()), (target_app, target_model.lower())

    def answers_to(self, name: str) -> bool:
        """Whether `name`, as given to a command, means this move: either of its models, in any case."""
        return name.lower() in {str(self).lower(), self.source.lower(), self.target.lower()}


def without_f(value: str | Combinable) -> str | Combinable:
    """F("name") alone says no more than "name"."""
    if type(value) is not F:
        return value
    name: str = vars(value)["name"]
    return name
