"""Move: the declaration in a migration that a model's rows go to another app's model, and may come back."""

from collections.abc import Iterable, Mapping
from types import ModuleType

from django.apps import apps as django_apps
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.state import StateApps
from django.db.models.expressions import Combinable, F

from rehome.errors import Refused


class Move:
    """The rows of `source` become the rows of `target`, with the same keys, in a migration's `RunPython`.

    `fields` names, per field of the target, the source's field or an expression over the source's fields;
    fields of the same name need no mention. `backwards` does the same the other way round and is needed for
    each source field that only an expression reads. `discard` lists the fields of either model whose values
    may be lost.

    The rows go in one transaction, for which writers of the source wait. With `online=True`, or where the setting
    or environment variable REHOME_ONLINE is 1 and `online` is not False, they go in batches while everybody writes.
    With `in_place=True` no row is copied: the table takes the target's name.

    Both callables open their own transactions, so the migration has `atomic = False`. Running one again after
    a crash goes on where it stopped, and after success changes nothing. They raise `rehome.errors.RehomeError`.
    """

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

    def forwards(self, apps: StateApps, schema_editor: BaseDatabaseSchemaEditor) -> None:
        """Move the rows from the source to the target and keep both tables in step from then on."""
        load_runner().forward(self, apps, schema_editor.connection)

    def backwards(self, apps: StateApps, schema_editor: BaseDatabaseSchemaEditor) -> None:
        """Give everything written since back to the source, and leave the target empty and fenced."""
        load_runner().backward(self, apps, schema_editor.connection)

    def resolve_labels(self) -> tuple[tuple[str, str], tuple[str, str]]:
        """(app label, lower-case model name) of the source and of the target, as in django_content_type."""
        source_app, _, source_model = self.source.partition(".")
        target_app, _, target_model = self.target.partition(".")
        return (source_app, source_model.lower()), (target_app, target_model.lower())

    def answers_to(self, name: str) -> bool:
        """Whether `name`, as given to a command, means this move: either of its models, in any case."""
        return name.lower() in {str(self).lower(), self.source.lower(), self.target.lower()}


def load_runner() -> ModuleType:
    """The ledger has a model, which can't be imported before the app registry has imported this module."""
    if not django_apps.is_installed("rehome"):
        raise Refused("'rehome' is not in INSTALLED_APPS.", "Add it, for the ledger of the moves is a model of it.")
    from rehome import runner

    return runner


def without_f(value: str | Combinable) -> str | Combinable:
    """F("name") alone says no more than "name"."""
    if type(value) is not F:
        return value
    name: str = vars(value)["name"]
    return name
