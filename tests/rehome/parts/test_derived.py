"""Columns of the target that follow from the source's and that no way back reads: they belong to the source."""

from typing import Any

import pytest
from django.db import models
from django.db.models import Value
from django.db.models.functions import Concat, Lower, Upper

from rehome import Move
from rehome.errors import Refused
from rehome.moves.steps import open_session
from rehome.plan.ledger import Ledger
from rehome.plan.record import Record
from rehome.verify.report import verify_views
from tests.rehome.support.lab import Lab
from tests.rehome.verify.test_probe import probe

SIZE = models.GeneratedField(expression=Lower("name"), output_field=models.TextField(), db_persist=True)
DERIVED: dict[str, tuple[Any, str]] = {
    "computed": (Upper("name"), "upper(name)"),
    "as it is, a second time": ("name", "name"),
    "made of what is generated": (Concat("low", Value("!")), "lower(name) || '!'"),
}


@pytest.mark.parametrize("kind", DERIVED)
def test_they_follow_the_source_and_are_the_targets_own_while_it_is_retired(lab: Lab, kind: str) -> None:
    """Carrying, verification, retirement and what is tried agree."""
    value, sql = DERIVED[kind]
    lab.model("old.Thing", {"name": models.TextField(), "low": SIZE.clone()})
    lab.model("new.Thing", {"name": models.TextField(), "low": SIZE.clone(), "more": models.TextField(db_default="")})
    move = Move("old.Thing", "new.Thing", fields={"more": value})
    lab.sql("CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM new.name; RETURN new; END'")
    lab.sql(
        "CREATE TRIGGER tell AFTER UPDATE OF name ON old_thing FOR EACH ROW WHEN (new.name <> '') "
        "EXECUTE FUNCTION tell()"
    )
    lab.sql("INSERT INTO old_thing (name) VALUES ('Ada'), ('Bob')")
    lab.forward(move)

    def follow() -> bool:
        return lab.sql(f"SELECT bool_and(more = {sql}) FROM new_thing") == [(True,)] and lab.verify(move).ok

    lab.sql("UPDATE new_thing SET more = 'x' WHERE id = 1")
    lab.sql("UPDATE new_thing SET more = 'x', name = 'Bea' WHERE id = 2")
    lab.sql("INSERT INTO new_thing (name, more) VALUES ('Cleo', 'x')")
    lab.sql("INSERT INTO new_thing (name) VALUES ('Dan')")
    lab.sql("UPDATE old_thing SET name = 'Eve' WHERE name = 'Dan'")
    assert follow()
    assert not probe(lab, move).faults
    definitions = lab.sql("SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE tgname = 'tell'")
    assert len({text.replace("old_thing", "new_thing") for (text,) in definitions}) == 1
    if "generated" in kind:
        with pytest.raises(Refused, match=r"new_thing.more is made of public.old_thing.low, which is generated"):
            lab.retire(move)
        lab.back(move)
        return

    lab.retire(move)
    assert not probe(lab, move).faults
    lab.sql("UPDATE new_thing SET more = 'x' WHERE id = 1")
    lab.sql("UPDATE new_thing SET name = 'Fay' WHERE name = 'Bea'")
    lab.sql("UPDATE old_thing SET name = 'Gus' WHERE name = 'Cleo'")
    lab.sql("INSERT INTO old_thing (name) VALUES ('Hal')")
    assert lab.sql(f"SELECT name FROM new_thing WHERE more <> {sql} ORDER BY id") == [("Ada",), ("Fay",)]
    plan = lab.plan(move)
    run = Ledger(lab.alias).current(plan)
    assert run is not None
    assert verify_views(plan, open_session(plan), Record.of(run)).ok

    lab.unretire(move)
    assert follow()
    lab.back(move)
    assert lab.sql("SELECT name FROM old_thing ORDER BY name") == [("Ada",), ("Eve",), ("Fay",), ("Gus",), ("Hal",)]


KEPT_UNIQUE = {
    "constraint": "ALTER TABLE new_thing ADD CONSTRAINT once UNIQUE (more)",
    "deferrable constraint": "ALTER TABLE new_thing ADD CONSTRAINT once UNIQUE (more) DEFERRABLE",
    "constraint over several": "ALTER TABLE new_thing ADD CONSTRAINT once UNIQUE (same, more) INCLUDE (name)",
    "exclusion": "ALTER TABLE new_thing ADD CONSTRAINT once EXCLUDE USING btree (more WITH =)",
    "index": "CREATE UNIQUE INDEX once ON new_thing (more)",
    "index of an expression": "CREATE UNIQUE INDEX once ON new_thing (lower(more)) WHERE more <> ''",
}


@pytest.mark.parametrize("kind", KEPT_UNIQUE)
def test_unique_values_change_places_while_retired(lab: Lab, kind: str) -> None:
    lab.model("old.Thing", {"name": models.TextField(), "same": models.IntegerField(default=1)})
    more = {"more": models.TextField(db_default="")}
    lab.model("new.Thing", {"name": models.TextField(), "same": models.IntegerField(default=1), **more})
    lab.sql(KEPT_UNIQUE[kind])
    move = Move("old.Thing", "new.Thing", fields={"more": Upper("name")})
    lab.sql("INSERT INTO old_thing (name, same) VALUES ('a', 1), ('b', 1), ('c', 1), ('d', 1)")
    definitions = "SELECT pg_get_indexdef('once'::regclass), (SELECT pg_get_constraintdef(oid) FROM pg_constraint "
    definitions += "WHERE conname = 'once')"
    before = lab.sql(definitions)
    lab.forward(move)
    lab.retire(move)
    lab.sql("UPDATE new_thing SET name = chr(ascii(name) + CASE name WHEN 'd' THEN -3 ELSE 1 END)")

    lab.unretire(move)

    assert lab.sql("SELECT name, more FROM new_thing ORDER BY id") == [("b", "B"), ("c", "C"), ("d", "D"), ("a", "A")]
    assert lab.sql(definitions) == before
    assert lab.verify(move).ok
