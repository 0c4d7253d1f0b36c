"""What tests of fields share: a table that takes part in no move and gets every write that a test makes, so that it
says what must be there, and a field of any type.
"""

from typing import Any

from django.db import models
from django.db.models.expressions import RawSQL
from psycopg import sql

from tests.rehome.support.lab import Lab


class Plain(models.Field):
    """A column of any type of the server, as a field of somebody's own."""

    def __init__(self, *args: Any, kind: str = "text", **kwargs: Any) -> None:
        self.kind = kind
        super().__init__(*args, **kwargs)

    def deconstruct(self) -> Any:
        name, path, args, kwargs = super().deconstruct()
        return name, path, args, kwargs | {"kind": self.kind}

    def db_type(self, connection: Any) -> str:
        return self.kind


class Witness:
    """`witness.Thing`, with the same fields in the same order as the models it stands beside."""

    def __init__(self, lab: Lab, fields: dict[str, models.Field]) -> None:
        self.lab = lab
        lab.model("witness.Thing", fields)

    def create(self, label: str, **values: Any) -> None:
        """Insert through the model `label`; the witness gets the row under the same key."""
        # Django reads an expression's value back, and can't read every date of PostgreSQL.
        raw = {name: value for name, value in values.items() if isinstance(value, RawSQL)}
        readable = {name: value for name, value in values.items() if name not in raw}
        born = self.lab.get(label).objects.create(**readable)
        self.lab.get("witness.Thing").objects.create(**readable | {"pk": born.pk})
        if raw:
            self.update(label, born.pk, **raw)

    def double(self, label: str, offset: int) -> None:
        """Insert every row again, in one statement, under a key that is larger by `offset`."""
        key, *others = [field.column for field in self.lab.get("witness.Thing")._meta.local_concrete_fields]
        names = sql.SQL(", ").join(map(sql.Identifier, others))
        for table in (self.lab.get(label)._meta.db_table, "witness_thing"):
            query = sql.SQL("INSERT INTO {table} ({key}, {names}) SELECT {key} + {offset}, {names} FROM {table}")
            self.lab.sql(
                query.format(
                    table=sql.Identifier(table), key=sql.Identifier(key), names=names, offset=sql.Literal(offset)
                ).as_string()
            )

    def update(self, label: str, pk: Any, **values: Any) -> None:
        assert self.lab.get(label).objects.filter(pk=pk).update(**values) == 1
        assert self.lab.get("witness.Thing").objects.filter(pk=pk).update(**values) == 1

    def delete(self, label: str, pk: Any) -> None:
        # Without Django's collector, which needs to load the row: it can't read every date of PostgreSQL.
        for model in (self.lab.get(label), self.lab.get("witness.Thing")):
            assert model.objects.filter(pk=pk)._raw_delete("default") == 1

    def confirms(self, label: str) -> None:
        """The model's rows are the witness's, every bit of them."""
        assert self.rows(label) == self.rows("witness.Thing")

    def rows(self, label: str) -> list[tuple[str | None, ...]]:
        """Every column as text, which is how PostgreSQL itself carries a value from one server to another."""
        fields = self.lab.get("witness.Thing")._meta.local_concrete_fields
        columns = [sql.SQL('{}::text COLLATE "C"').format(sql.Identifier(field.column)) for field in fields]
        query = sql.SQL("SELECT {} FROM {} ORDER BY 1").format(
            sql.SQL(", ").join(columns), sql.Identifier(self.lab.get(label)._meta.db_table)
        )
        return self.lab.sql(query.as_string())
