"""What a move refuses because of the rows: before the first write, or in the transaction that is undone."""

from collections.abc import Callable

import pytest
from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import ArrayField, IntegerRangeField, RangeOperators
from django.db import models
from django.db.models import CheckConstraint, Deferrable, Q, UniqueConstraint
from django.db.models.functions import NullIf, Upper

from rehome import Move
from rehome.errors import MoveFailed
from tests.rehome.support.lab import Lab

pytestmark = pytest.mark.server

MOVE = Move("old.Thing", "new.Thing")
Refusal = Callable[..., str]


def fill(lab: Lab, *names: str | None, **others: object) -> None:
    """Rows 1, 2, ... of the source with these names."""
    thing = lab.get("old.Thing")
    thing.objects.bulk_create(thing(name=name, **others) for name in names)


def test_target_not_empty(lab: Lab, refused: Refusal) -> None:
    lab.twins(lambda app: {"name": models.TextField()})
    lab.get("new.Thing").objects.create(name="too early")
    message = refused(MOVE)
    assert message.startswith("public.new_thing is not empty.")
    assert "Move or delete its rows first" in message


def test_target_of_a_many_to_many_field_not_empty(lab: Lab, refused: Refusal) -> None:
    lab.twins(lambda app: {"owners": models.ManyToManyField("auth.User", db_constraint=False)})
    lab.sql("ALTER TABLE new_thing_owners DISABLE TRIGGER ALL")
    lab.sql("INSERT INTO new_thing_owners (thing_id, user_id) VALUES (1, 1)")
    assert refused(MOVE).startswith("public.new_thing_owners is not empty.")


# ----- NOT NULL, length, checks


def test_null_into_not_null(lab: Lab, refused: Refusal) -> None:
    lab.model("old.Thing", {"name": models.TextField(null=True)})
    lab.model("new.Thing", {"name": models.TextField()})
    fill(lab, "lamp", None, "", None, None, None)
    message = refused(MOVE)
    assert message.startswith(
        "public.new_thing.name is NOT NULL, but its value is null in rows 2, 4, 5, ... of public.old_thing."
    )
    assert "fields={'name': Coalesce(...)}" in message


def test_expression_that_gives_null(lab: Lab, refused: Refusal) -> None:
    lab.twins(lambda app: {"name": models.TextField()})
    fill(lab, "lamp", "")
    move = Move("old.Thing", "new.Thing", fields={"name": NullIf("name", models.Value(""))}, backwards={"name": "name"})
    assert "is null in rows 2 of public.old_thing." in refused(move)


@pytest.mark.parametrize("source", [models.CharField(max_length=20), models.TextField()])
def test_too_long_values(lab: Lab, refused: Refusal, source: models.Field) -> None:
    lab.model("old.Thing", {"name": source})
    lab.model("new.Thing", {"name": models.CharField(max_length=4)})
    fill(lab, "lamp", "🖨🖨🖨🖨", "lamps", "lamp ")
    message = refused(MOVE)
    assert message.startswith("public.new_thing.name holds 4 characters, but rows 3, 4 of public.old_thing have more.")
    assert "Widen the field, shorten the values" in message
    lab.sql("DELETE FROM old_thing WHERE id IN (3, 4)")
    lab.forward(MOVE)


def test_too_long_elements_of_an_array(lab: Lab, refused: Refusal) -> None:
    lab.model("old.Thing", {"name": ArrayField(models.CharField(max_length=20))})
    lab.model("new.Thing", {"name": ArrayField(models.CharField(max_length=4))})
    fill(lab, ["lamp"], ["lamp", "lamps"])
    assert "public.old_thing.name is character varying(20)[] and does not fit public.new_thing.name" in refused(MOVE)


def test_target_check(lab: Lab, refused: Refusal) -> None:
    lab.model("old.Thing", {"name": models.TextField()})
    check = CheckConstraint(condition=Q(name__regex="^[a-z]{4}$"), name="four")
    lab.model("new.Thing", {"name": models.TextField()}, constraints=[check])
    fill(lab, "lamp", "Lamp", "lamps")
    message = refused(MOVE)
    assert message.startswith("Rows 2, 3 of public.old_thing violate 'four' of public.new_thing: CHECK (")
    assert "'^[a-z]{4}$'" in message
    assert message.endswith("Correct those rows, or give an expression in fields={...}.")


def test_check_of_the_source_that_was_never_validated(lab: Lab, refused: Refusal) -> None:
    lab.twins(lambda app: {"size": models.PositiveIntegerField(), "name": models.TextField(default="")})
    ((name,),) = lab.sql("SELECT conname FROM pg_constraint WHERE conrelid = 'old_thing'::regclass AND contype = 'c'")
    lab.sql(f"ALTER TABLE old_thing DROP CONSTRAINT {name}")
    lab.sql("INSERT INTO old_thing (id, size, name) VALUES (1, -1, '')")
    lab.sql(f"ALTER TABLE old_thing ADD CONSTRAINT {name} CHECK (size >= 0) NOT VALID")
    assert refused(MOVE).startswith("Rows 1 of public.old_thing violate 'new_thing_size_check' of public.new_thing")


# ----- duplicates


@pytest.mark.parametrize(
    "constraint",
    [
        UniqueConstraint(fields=["name"], name="one"),
        UniqueConstraint(fields=["name"], name="one", deferrable=Deferrable.DEFERRED),
        UniqueConstraint(fields=["name"], name="one", opclasses=["text_pattern_ops"]),
        UniqueConstraint(fields=["name"], name="one", include=["id"]),
    ],
)
def test_duplicates(lab: Lab, refused: Refusal, constraint: UniqueConstraint) -> None:
    lab.model("old.Thing", {"name": models.TextField(null=True)})
    lab.model("new.Thing", {"name": models.TextField(null=True)}, constraints=[constraint])
    fill(lab, "lamp", "lamp", None, None, "lamps", "desk", "desk")
    message = refused(MOVE)
    assert message.startswith("public.new_thing is unique over name, but rows of public.old_thing share the values ")
    assert all(value in message for value in ("lamp", "desk"))
    assert message.endswith("Make them different, or give an expression in fields={...}.")
    lab.sql("DELETE FROM old_thing WHERE id IN (2, 7)")
    lab.forward(MOVE)


def test_duplicates_over_several_columns(lab: Lab, refused: Refusal) -> None:
    lab.model("old.Thing", {"name": models.TextField(), "size": models.IntegerField()})
    lab.model(
        "new.Thing", {"name": models.TextField(), "size": models.IntegerField()}, unique_together={("size", "name")}
    )
    fill(lab, "lamp", "lamp", "desk", size=7)
    assert "is unique over name, size, but rows of public.old_thing share the values lamp, 7." in refused(MOVE)


def test_constant_for_a_unique_column(lab: Lab, refused: Refusal) -> None:
    lab.model("old.Thing", {"name": models.TextField()})
    lab.model("new.Thing", {"name": models.TextField(), "slug": models.SlugField(default="none")})
    lab.sql("CREATE UNIQUE INDEX ON new_thing (slug)")
    fill(lab, "lamp", "desk")
    assert "is unique over slug, but rows of public.old_thing share the values none." in refused(MOVE)


@pytest.mark.parametrize(
    ("constraint", "key"),
    [
        (UniqueConstraint(fields=["name"], name="one", condition=Q(size__gt=0)), "(name)=(lamp)"),
        (UniqueConstraint(Upper("name"), name="one"), "(upper(name))=(LAMP)"),
        (UniqueConstraint(fields=["name", "note"], name="one", nulls_distinct=False), "(name, note)=(lamp, null)"),
        (
            ExclusionConstraint(
                name="one",
                expressions=[("span", RangeOperators.OVERLAPS)],
            ),
            "(span)=([1,5))",
        ),
    ],
)
def test_duplicates_that_only_the_index_sees(
    lab: Lab, refused: Refusal, constraint: models.constraints.BaseConstraint, key: str
) -> None:
    def fields() -> dict[str, models.Field]:
        return {
            "name": models.TextField(db_index=True),
            "note": models.TextField(null=True),
            "size": models.IntegerField(),
            "span": IntegerRangeField(),
            "owner": models.ForeignKey("auth.User", models.CASCADE, null=True),
            "friends": models.ManyToManyField("auth.User", related_name="+"),
        }

    lab.model("old.Thing", fields())
    lab.model("new.Thing", fields(), constraints=[constraint])
    fill(lab, "lamp", "lamp", size=1, span=(1, 5))
    message = refused(MOVE, error=MoveFailed)
    assert message.startswith("old.Thing -> new.Thing: PostgreSQL refused: could not create ")
    assert f"Key {key} " in message
    assert "Nothing has been moved. Correct the rows or the definition that it names, then" in message
    assert "\n" not in message
    lab.sql("DELETE FROM old_thing WHERE id = 2")
    lab.forward(MOVE)
    assert lab.verify(MOVE).ok


def test_what_no_definition_says_of_an_index_is_kept(lab: Lab, refused: Refusal) -> None:
    """Nothing of it is put away: a comment, a view that leans on the key, the order that CLUSTER goes by."""
    lab.twins(lambda app: {"name": models.TextField(unique=True), "size": models.IntegerField(db_index=True)})
    lab.sql("ALTER TABLE new_thing ADD CONSTRAINT small CHECK (size < 9)")
    lab.sql("CREATE VIEW named AS SELECT id, name, count(*) FROM new_thing GROUP BY id")
    ((index,),) = lab.sql("SELECT indexname FROM pg_indexes WHERE tablename = 'new_thing' AND indexdef ~ '.size.$'")
    lab.sql(f"COMMENT ON INDEX {index} IS 'for the report'; ALTER TABLE new_thing CLUSTER ON new_thing_name_key")
    lab.sql("COMMENT ON CONSTRAINT new_thing_pkey ON new_thing IS 'the number on the box'")
    fill(lab, "lamp", "desk", size=7)
    lab.sql("CREATE UNIQUE INDEX only_one ON new_thing ((size > 0))")
    refused(MOVE, error=MoveFailed)
    lab.sql("DROP INDEX only_one")
    lab.forward(MOVE)
    assert lab.verify(MOVE).ok
    assert lab.sql("SELECT obj_description(%s::regclass, 'pg_class')", [index]) == [("for the report",)]
    assert lab.sql("SELECT indexrelid::regclass::text FROM pg_index WHERE indisclustered") == [("new_thing_name_key",)]
