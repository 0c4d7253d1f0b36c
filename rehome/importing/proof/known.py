"""What the target answers to a lookup: a table of its own for each, and the answers to many texts at a time."""

from collections.abc import Mapping, Sequence
from typing import Any

from django.apps.registry import Apps
from django.db.models import F, TextField, Value
from django.db.models.expressions import Combinable, RawSQL
from django.db.models.functions import Cast

from rehome.importing.declaration import Lookup
from rehome.importing.proof import trying
from rehome.importing.proof.claims import Claim
from rehome.importing.proof.dialects import NOT_TAKEN
from rehome.plan.plan import Model
from rehome.postgres import sql
from rehome.postgres.session import Session
from rehome.postgres.sql import SQL, Literal

TRUE, FALSE = ("t", "1"), ("f", "0")
"""As the two kinds of servers write them."""


class Known:
    """The answers to one lookup: by each text the value that it stands for, and how many values it might be."""

    def __init__(self, number: int, claim: Claim, lookup: Lookup, model: Model, apps: Apps, session: Session) -> None:
        self.session = session
        self.lookup = lookup
        self.model = model
        self.table = sql.temporary(f"rehome_known_{number}")
        relation = (
            self.of_values(claim, lookup.among) if isinstance(lookup.among, Mapping) else self.of_rows(claim, apps)
        )
        create = SQL(
            'CREATE TEMPORARY TABLE {} ON COMMIT DROP AS SELECT "natural", min(value) AS value, count(*) AS hits FROM '
            '(SELECT DISTINCT "natural", value::text AS value FROM ({}) AS given ("natural", value)) AS known '
            'GROUP BY "natural"'
        )
        # A table of the same name may be left from another proof of this transaction.
        session.execute_all(
            [
                SQL("DROP TABLE IF EXISTS {}").format(self.table),
                create.format(self.table, SQL(relation)),
                # Of any length, and of any type that a text is normalised to.
                SQL('CREATE INDEX ON {} USING hash ("natural")').format(self.table),
                SQL("ANALYZE {}").format(self.table),
            ]
        )
        asked = self.compile(self.normalised(RawSQL("given.text", [], output_field=TextField())))
        self.question = SQL(
            "SELECT known.hits, known.value FROM (SELECT number, {} AS text FROM pg_catalog.unnest({}::text[]) "
            "WITH ORDINALITY AS given (text, number) OFFSET 0) AS asked LEFT JOIN {} AS known "
            'ON known."natural" = asked.text ORDER BY asked.number'
        )
        self.asked = SQL(asked)

    def answers(self, texts: Sequence[str]) -> list[str | None]:
        different = list(dict.fromkeys(texts))
        found: list[str | None] = []
        if different:
            found = trying.each(self.ask, different, self.asked, self.session, refused=NOT_TAKEN)
        known = dict(zip(different, found, strict=True))
        return [known[text] for text in texts]

    def ask(self, texts: Sequence[str]) -> list[str | None]:
        statement = self.question.format(self.asked, Literal(list(texts)), self.table)
        return [value if hits == 1 else NOT_TAKEN for hits, value in self.session.rows(statement)]

    def normalised(self, value: Combinable) -> Combinable:
        return self.lookup.normalise(value) if self.lookup.normalise else value

    def of_values(self, claim: Claim, among: Mapping[Any, Any]) -> str:
        connection = self.session.connection
        rows = [
            f"({self.compile(self.normalised(Value(text, output_field=TextField())))}, "
            f"{Literal(claim.field.get_db_prep_save(value, connection)).as_string()}::{claim.column.type})"
            for key, value in among.items()
            for text in ((TRUE if key else FALSE) if isinstance(key, bool) else (str(key),))
        ]
        return f"VALUES {', '.join(rows)}" if rows else "SELECT NULL::text, NULL::text WHERE false"

    def of_rows(self, claim: Claim, apps: Apps) -> str:
        model: Any = apps.get_model(str(self.lookup.among))
        by = F(self.lookup.by) if isinstance(self.lookup.by, str) else self.lookup.by
        end = claim.field.remote_field
        same = end is not None and end.model._meta.label == model._meta.label
        gives = self.lookup.gives or (claim.field.target_field.attname if same else "pk")
        values = {"proof_natural": self.normalised(Cast(by, TextField())), "proof_value": F(gives)}
        alias = self.session.connection.alias
        rows = model._base_manager.using(alias).order_by().annotate(**values).values_list(*values)
        text, params = rows.query.get_compiler(alias).as_sql()
        return sql.inlined(self.session.connection, text, params)

    def compile(self, expression: Any) -> str:
        alias = self.session.connection.alias
        query = self.model._base_manager.using(alias).all().query
        text, params = query.get_compiler(alias).compile(expression.resolve_expression(query))
        return sql.inlined(self.session.connection, text, params)
