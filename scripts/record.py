"""Writes rows and remembers what it wrote, so that what survived is known without comparing two tables."""

from typing import Any

from django.db import models

Model = type[models.Model]
Values = dict[str, Any]


class Record:
    """Rows by the model's name in lower case, which the old and the new model share, and by primary key.

    Of a row that was inserted every column is remembered, of one that was updated those that were written;
    None stands for a row that must be gone.
    """

    def __init__(self) -> None:
        self.rows: dict[str, dict[int, Values | None]] = {}
        self.writes = 0

    def insert(self, model: Model, **values: Any) -> int:
        row = model.objects.create(**values)
        self._of(model)[row.pk] = {field.attname: getattr(row, field.attname) for field in model._meta.concrete_fields}
        return row.pk

    def update(self, model: Model, pk: int, **values: Any) -> None:
        """`values` are by column: `profile_id`, not `profile`."""
        self._touched(model, pk, model.objects.filter(pk=pk).update(**values))
        rows = self._of(model)
        rows[pk] = (rows.get(pk) or {}) | values

    def change_key(self, model: Model, pk: int, new: int) -> None:
        whole = model.objects.filter(pk=pk).values().get()
        self._touched(model, pk, model.objects.filter(pk=pk).update(id=new))
        self._of(model)[pk] = None
        self._of(model)[new] = whole | {"id": new}

    def delete(self, model: Model, pk: int) -> None:
        """The row, and with it those that the model's relations delete in cascade."""
        _, deleted = model.objects.get(pk=pk).delete()
        self._touched(model, pk, deleted.get(model._meta.label, 0))
        self._of(model)[pk] = None

    def lost_from(self, model: Model) -> list[str]:
        """One sentence for each row of the record that `model` does not hold as it was written."""
        rows = self._of(model)
        found = {row["id"]: row for row in model.objects.filter(pk__in=rows).values()}
        lost = []
        for pk, values in rows.items():
            row = found.get(pk)
            if values is None and row is not None:
                lost.append(f"{model._meta.label} {pk} was deleted and is there.")
            elif values is not None and row is None:
                lost.append(f"{model._meta.label} {pk} was written and is gone.")
            elif values is not None and row is not None:
                wrong = [name for name, value in values.items() if row[name] != value]
                lost += [f"{model._meta.label} {pk} has {name}={row[name]!r}, not {values[name]!r}." for name in wrong]
        return lost

    def _of(self, model: Model) -> dict[int, Values | None]:
        return self.rows.setdefault(str(model._meta.model_name), {})

    def _touched(self, model: Model, pk: int, count: int) -> None:
        if count != 1:
            raise LookupError(f"{model._meta.label} has no row {pk} to write to.")
