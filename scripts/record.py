"""Writes rows and remembers what it wrote, so that what survived is known without comparing two tables."""

from collections.abc import Iterable
from typing import Any

from django.db import models

Model = type[models.Model]
Values = dict[str, Any]


class Record:
    """Rows by the model's name in lower case, which the old and the new model share, and by primary key.

    Of a row that was inserted every column is remembered, of one that was updated those that were written;
    None stands for a row that must be gone. Columns go by their own names: `profile_id`, not `profile`.
    """

    def __init__(self) -> None:
        self.rows: dict[str, dict[int, Values | None]] = {}

    def insert(self, model: Model, **values: Any) -> int:
        row = model.objects.create(**values)
        self.of(model)[row.pk] = {field.attname: getattr(row, field.attname) for field in model._meta.concrete_fields}
        return row.pk

    def update(self, model: Model, keys: int | Iterable[int], **values: Any) -> None:
        """Write the same values to one row or to many, in one statement."""
        wanted = [keys] if isinstance(keys, int) else list(keys)
        require(model, wanted, model.objects.filter(pk__in=wanted).update(**values))
        rows = self.of(model)
        for key in wanted:
            rows[key] = (rows.get(key) or {}) | values

    def change_key(self, model: Model, key: int, new: int) -> None:
        whole = model.objects.filter(pk=key).values().get()
        require(model, [key], model.objects.filter(pk=key).update(id=new))
        self.of(model).update({key: None, new: whole | {"id": new}})

    def delete(self, model: Model, key: int) -> None:
        require(model, [key], model.objects.filter(pk=key).delete()[1].get(model._meta.label, 0))
        self.gone(model, key)

    def gone(self, model: Model, *keys: int) -> None:
        """Something else deleted these rows, such as a cascade."""
        self.of(model).update(dict.fromkeys(keys))

    def lost_from(self, model: Model) -> list[str]:
        """One sentence for each row of the record that `model` does not hold as it was written."""
        rows = self.of(model)
        found = {row["id"]: row for row in model.objects.filter(pk__in=rows).values()}
        lost = []
        for key, values in rows.items():
            row = found.get(key)
            if values is None and row is not None:
                lost.append(f"{model._meta.label} {key} was deleted and is there.")
            elif values is not None and row is None:
                lost.append(f"{model._meta.label} {key} was written and is gone.")
            elif values is not None and row is not None:
                held = {name: row.get(name) for name in values}  # A column that the other model alone has is null.
                wrong = [name for name, value in values.items() if held[name] != value]
                lost += [
                    f"{model._meta.label} {key} has {name}={held[name]!r}, not {values[name]!r}." for name in wrong
                ]
        return lost

    def of(self, model: Model) -> dict[int, Values | None]:
        return self.rows.setdefault(str(model._meta.model_name), {})


def require(model: Model, keys: list[int], count: int) -> None:
    if count != len(keys):
        raise LookupError(f"{model._meta.label}: {count} rows were written instead of {len(keys)}, keys {keys[:3]}.")
