"""Declaration: what a move says, before any table is looked at."""

from collections.abc import Iterable, Mapping

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
        online: bool | None = None,
        in_place: bool = False,
    ) -> None:
        if online and in_place:
            raise Refused(
                f"Move({source!r}, {target!r}) can't be both online and in place.",
                "Leave one out: in place copies no row, so nobody waits for it.",
            )
        self.source = source
        self.target = target
        self.fields = {name: without_f(value) for name, value in (fields or {}).items()}
        self.backward_fields = dict(backwards or {})
        self.discard = frozenset(discard)
        self.online = online
        self.in_place = in_place

    def __str__(self) -> str:
        return f"{self.source} -> {self.target}"

    def __repr__(self) -> str:
        return f"Move({self.source!r}, {self.target!r})"

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
