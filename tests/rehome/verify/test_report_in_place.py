"""The verification of a move in place reads through the old name, and fails for whatever old code would miss."""

from collections.abc import Callable

import pytest
from django.contrib.contenttypes.models import ContentType
from django.db import models

from rehome import Move
from rehome.verify.problems import find_problems
from rehome.verify.report import Report
from tests.rehome.support.lab import Lab
from tests.rehome.support.people import register

pytestmark = pytest.mark.server

MOVE = Move("old.Thing", "new.Thing", in_place=True)
KEY = ("new", "0002")


@pytest.fixture
def things(lab: Lab, make_role: Callable[[str], str]) -> Lab:
    lab.twins(
        lambda app: {
            "name": models.CharField(max_length=20, db_default="nameless"),
            "owner": models.ForeignKey("auth.User", models.CASCADE, null=True, related_name=f"{app}_things"),
        }
    )
    lab.sql("INSERT INTO old_thing (name) SELECT 'thing ' || n FROM generate_series(1, 20) n")
    lab.sql(f'GRANT SELECT, UPDATE (name) ON old_thing TO "{make_role("clerk")}"')
    register("old")
    lab.forward(MOVE)
    return lab


def problems(lab: Lab, report: Report) -> str:
    return "\n".join(map(str, find_problems(report, lab.plan(MOVE), KEY, {})))


def test_a_move_that_stands_is_in_order(things: Lab) -> None:
    report = things.verify(MOVE)
    assert report.ok
    assert (report.comparison.source_rows, report.comparison.target_rows) == (20, 20)
    assert (report.sync, report.view, report.as_json()["sync"]) == (None, (), None)


def test_a_name_may_have_spaces_of_any_kind(lab: Lab) -> None:
    """PostgreSQL prints the view with spaces of its own."""
    for app, column in (("old", "two  spaces"), ("new", "no\xa0break\n")):
        table = f"{app}  thing"
        lab.model(f"{app}.Thing", {"name": models.CharField(max_length=20, db_column=column)}, db_table=table)
    lab.forward(MOVE)
    assert lab.verify(MOVE).ok


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (
            "CREATE OR REPLACE VIEW old_thing AS SELECT id, name, owner_id FROM new_thing WHERE id < 30",
            "is not the view",
        ),
        (
            "CREATE OR REPLACE VIEW old_thing AS SELECT id, 'x'::varchar(20) AS name, owner_id FROM new_thing",
            "is not the",
        ),
        ("CREATE RULE deaf AS ON DELETE TO old_thing DO INSTEAD NOTHING", "does not carry every write"),
        ("ALTER VIEW old_thing RESET (security_invoker)", "has lost security_invoker"),
        ("REVOKE ALL ON old_thing FROM {clerk}", "lacks privileges that public.new_thing gives to clerk"),
        ("REVOKE UPDATE (name) ON old_thing FROM {clerk}", "lacks privileges that public.new_thing gives to clerk"),
    ],
)
def test_a_view_that_old_code_can_not_rely_on_is_named_and_made_again(things: Lab, damage: str, said: str) -> None:
    ((clerk,),) = things.sql("SELECT rolname FROM pg_roles WHERE rolname = 'clerk_' || current_database()")
    things.sql(damage.format(clerk=f'"{clerk}"'))

    report = things.verify(MOVE)
    assert not report.ok
    assert said in problems(things, report)
    assert "sqlmove new 0002 | manage.py dbshell" in problems(things, report)

    things.forward(MOVE)
    assert things.verify(MOVE).ok
    assert things.get("old.Thing").objects.create().name == "nameless"


def test_a_privilege_that_the_table_lost_too_is_not_missed(things: Lab) -> None:
    ((clerk,),) = things.sql("SELECT rolname FROM pg_roles WHERE rolname = 'clerk_' || current_database()")
    things.sql(f'REVOKE ALL ON old_thing, new_thing FROM "{clerk}"')
    assert things.verify(MOVE).ok


def test_a_view_without_security_invoker_needs_none_later(lab: Lab, make_role: Callable[[str], str]) -> None:
    """Who read single columns through it has been shut out since."""
    lab.twins(lambda app: {"name": models.CharField(max_length=20)})
    reader = make_role("reader")
    lab.sql(f'GRANT SELECT (name) ON old_thing TO "{reader}"')
    lab.forward(MOVE)
    lab.sql(f'REVOKE ALL (name) ON old_thing, new_thing FROM "{reader}"')
    assert lab.verify(MOVE).ok


def test_a_constraint_that_is_not_validated_is_named(things: Lab) -> None:
    things.sql("ALTER TABLE new_thing ADD CONSTRAINT short CHECK (length(name) < 30) NOT VALID")
    report = things.verify(MOVE)
    assert (report.ok, report.unvalidated) == (False, ("short",))


def test_a_key_that_would_be_used_twice_is_found_and_corrected(things: Lab) -> None:
    things.sql("SELECT setval('new_thing_id_seq', 7)")
    report = things.verify(MOVE)
    assert (report.ok, report.sequence_ok) == (False, False)
    things.forward(MOVE)
    assert things.verify(MOVE).ok
    assert things.get("old.Thing").objects.create(name="next").pk == 21


def test_a_key_that_nothing_numbers_any_more_is_found(things: Lab) -> None:
    things.sql("ALTER TABLE new_thing ALTER id DROP IDENTITY")
    report = things.verify(MOVE)
    assert (report.ok, report.sequence_ok) == (False, False)


def test_a_foreign_key_that_is_gone_is_found(things: Lab) -> None:
    ((key,),) = things.sql("SELECT conname FROM pg_constraint WHERE contype = 'f' AND conrelid = 'new_thing'::regclass")
    things.sql(f"ALTER TABLE new_thing DROP CONSTRAINT {key}")
    things.sql("UPDATE new_thing SET owner_id = 77 WHERE id = 1")
    report = things.verify(MOVE)
    assert (report.ok, len(report.dropped), report.comparison.orphans) == (False, 1, 1)


def test_a_lost_label_is_found(things: Lab) -> None:
    ContentType.objects.filter(app_label="new").update(model="other")
    assert not things.verify(MOVE).identity_ok
