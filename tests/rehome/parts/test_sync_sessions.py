"""Whoever writes, with whatever settings, plans and snapshots its session has: the other table gets the same rows."""

from collections.abc import Callable, Iterator

import psycopg
import pytest
from django.db import models
from django.db.models import Value
from django.db.models.functions import Cast, Concat

from rehome import Move
from rehome.parts import sync
from tests.rehome.support.clients import Client, outcome
from tests.rehome.support.lab import Lab
from tests.rehome.support.trio import ALONE, MOVE, SIDES, Trio

pytestmark = pytest.mark.server

Open = Callable[..., Client]


@pytest.fixture
def before(lab: Lab) -> Trio:
    """Three tables, of which none has moved yet."""
    return Trio(lab)


@pytest.fixture
def role(lab: Lab) -> Iterator[str]:
    name = f"{lab.connection.settings_dict['NAME']}_writer"
    lab.sql(f"CREATE ROLE {name}")
    yield name
    lab.sql(f"DROP OWNED BY {name}")
    lab.sql(f"DROP ROLE {name}")


def test_a_role_that_owns_nothing_and_may_write_to_one_table(
    before: Trio, lab: Lab, role: str, open_client: Open
) -> None:
    for table in ("old_thing", ALONE):
        lab.sql(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO {role}")
    lab.forward(MOVE)
    lab.sql(f"REVOKE ALL ON new_thing FROM {role}")
    assert sync.state(lab.plan(MOVE)) == "outdated"
    lab.forward(MOVE)
    before.reset()
    client = open_client(role=role)
    script = """
        INSERT INTO {t} (name) VALUES ('x')
        UPDATE {t} SET name = 'y', id = id - 1
        DELETE FROM {t} WHERE id = 3
        UPDATE new_thing SET name = 'forbidden'
        TRUNCATE {t}
    """
    assert client.play(script, ALONE) == client.play(script, "old_thing") == [1, 21, 1, "42501", "42501"]
    for (function,) in lab.sql("SELECT proname FROM pg_proc WHERE proname LIKE 'rehome%%'", []):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            client.run(f"SELECT {function}()")
    assert before.agrees()


@pytest.mark.parametrize("leader", ["source", "target", "nobody"])
@pytest.mark.parametrize("side", SIDES)
def test_a_session_that_claims_the_lead_changes_nothing(
    before: Trio, lab: Lab, open_client: Open, leader: str, side: str
) -> None:
    """The setting by which the triggers know who leads can be set by anybody."""
    lab.forward(MOVE)
    before.reset()
    client = open_client()
    client.run(f"SET rehome.leader = '{leader}'")
    script = """
        INSERT INTO {t} (name) VALUES ('x')
        UPDATE {t} SET name = name || '!', code = code + 1 WHERE id < 9
        UPDATE {t} SET id = id + 1000 WHERE id IN (3, 4)
        DELETE FROM {t} WHERE id IN (5, 6)
        WITH gone AS (DELETE FROM {t} WHERE id = 7 RETURNING *) INSERT INTO {t} SELECT * FROM gone
    """
    assert client.play(script, ALONE) == client.play(script, side)
    assert before.agrees()


def test_a_table_owner_gains_no_rights_from_a_superuser_who_moves(before: Trio, lab: Lab, role: str) -> None:
    """Functions and the sequence belong to the owner of the tables, so that nobody runs code as the superuser."""
    for table in SIDES:
        lab.sql(f"ALTER TABLE {table} OWNER TO {role}")
    lab.forward(MOVE)
    functions = lab.sql(
        "SELECT DISTINCT proowner::regrole::text FROM pg_proc JOIN pg_trigger ON tgfoid = pg_proc.oid "
        "WHERE tgrelid IN ('old_thing'::regclass, 'new_thing'::regclass) AND NOT tgisinternal"
    )
    sequence = lab.sql("SELECT relowner::regrole::text FROM pg_class WHERE relname = 'new_thing_id_seq'")
    assert functions == sequence == [(role,)]
    lab.back(MOVE)
    assert len(before.rows("old_thing")) == 20


def test_objects_earlier_in_the_search_path_do_not_change_a_trigger(trio: Trio, open_client: Open) -> None:
    """Neither a temporary table of the other's name, nor an operator that would be a better match."""
    client = open_client()
    client.run("CREATE SCHEMA decoy")
    client.run("CREATE FUNCTION decoy.never(bigint, bigint) RETURNS boolean LANGUAGE sql AS 'SELECT false'")
    client.run("CREATE OPERATOR decoy.= (LEFTARG = bigint, RIGHTARG = bigint, FUNCTION = decoy.never)")
    client.run("CREATE TABLE decoy.new_thing (LIKE public.new_thing)")
    for side in SIDES:
        client.run(f"CREATE TEMPORARY TABLE {side} (LIKE public.{side})")
    client.run("SET search_path = decoy, pg_catalog, public")
    script = """
        INSERT INTO public.{t} (id, name) VALUES (31, 'x')
        UPDATE public.{t} SET name = 'y', id = id + 50 WHERE id > 25
        DELETE FROM public.{t} WHERE id < 3
    """
    for side in SIDES:
        trio.reset()
        assert client.play(script, ALONE) == client.play(script, side) == [1, 1, 2]
        assert trio.agrees()


ODD = {
    "datestyle": "German",
    "intervalstyle": "iso_8601",
    "bytea_output": "escape",
    "timezone": "Asia/Tokyo",
    "extra_float_digits": "-15",
    "standard_conforming_strings": "off",
    "escape_string_warning": "off",
    "transform_null_equals": "on",
    "default_transaction_isolation": "serializable",
}


def test_expressions_see_the_settings_of_the_move_and_not_of_the_writer(lab: Lab, open_client: Open) -> None:
    plain: dict[str, models.Field] = {
        "day": models.DateField(),
        "moment": models.DateTimeField(),
        "span": models.DurationField(),
        "blob": models.BinaryField(),
        "ratio": models.FloatField(),
    }
    lab.model("old.Thing", {name: field.clone() for name, field in plain.items()})
    lab.model("new.Thing", {**plain, "label": models.TextField()})
    texts = [Cast(name, models.TextField()) for name in plain]
    move = Move("old.Thing", "new.Thing", fields={"label": Concat(Value("it's a \\n label: "), *texts)})
    insert = "INSERT INTO old_thing (day, moment, span, blob, ratio) VALUES ({})"
    lab.sql(insert.format("'2024-02-29', '2024-02-29 12:00+00', '1 day 02:00', decode('5c00', 'hex'), 0.1"))
    lab.forward(move)

    odd = open_client(**ODD)
    odd.run(insert.format("'29.02.2024', '29.02.2024 21:00', 'P1DT2H', decode('5c00', 'hex'), 0.1"))
    odd.run("UPDATE old_thing SET ratio = 0.5 WHERE id = 1")
    odd.run("UPDATE new_thing SET ratio = 0.1 WHERE id = 1")

    assert lab.sql("SELECT label FROM new_thing") == 2 * [
        ("it's a \\n label: 2024-02-292024-02-29 12:00:00+001 day 02:00:00\\x5c000.1",)
    ]
    assert lab.verify(move).ok


# ----- plans and snapshots that are older than the move


def test_plans_that_were_made_before_the_move_are_carried(before: Trio, lab: Lab, open_client: Open) -> None:
    client = open_client(plan_cache_mode="force_generic_plan")
    for table in ("old_thing", ALONE):
        client.run(f"PREPARE insert_{table} (bigint) AS INSERT INTO {table} (id, name) VALUES ($1, 'prepared')")
        client.run(f"PREPARE update_{table} (bigint) AS UPDATE {table} SET name = 'prepared' WHERE id = $1")
        client.run(f"PREPARE delete_{table} (bigint) AS DELETE FROM {table} WHERE id = $1")
        client.run(
            f"CREATE FUNCTION change_{table}(key bigint) RETURNS void LANGUAGE plpgsql AS $$ BEGIN "
            f"UPDATE public.{table} SET note = 'cached' WHERE id = key; "
            f"INSERT INTO public.{table} (id, name) VALUES (key + 500, 'cached'); END $$"
        )
    script = """
        EXECUTE insert_{t} (%(n)s0)
        EXECUTE update_{t} (%(n)s)
        EXECUTE delete_{t} (1%(n)s)
        SELECT change_{t}(%(n)s)
    """
    for n in (3, 4, 5):
        assert client.play(script % {"n": n}, "old_thing") == client.play(script % {"n": n}, ALONE) == [1, 1, 1, 1]
        if n == 4:
            lab.forward(MOVE)
    assert before.agrees()
    lab.back(MOVE)
    assert client.play(script % {"n": 6}, "old_thing") == client.play(script % {"n": 6}, ALONE) == [1, 1, 1, 1]
    assert before.rows("old_thing") == before.rows(ALONE)


def test_a_transaction_that_began_before_the_move_writes_after_it(before: Trio, lab: Lab, open_client: Open) -> None:
    for table, move in ((ALONE, False), ("old_thing", True)):
        client = open_client()
        client.run("BEGIN")
        client.run("SELECT txid_current(), count(*) FROM auth_user")
        if move:
            lab.forward(MOVE)
        client.run(f"UPDATE {table} SET name = 'late', id = id + 100 WHERE id < 4")
        client.run(f"DELETE FROM {table} WHERE id = 4")
        client.run(f"INSERT INTO {table} (id, name) VALUES (4, 'late')")
        client.run("COMMIT")
    assert before.agrees()


@pytest.mark.parametrize("level", ["REPEATABLE READ", "SERIALIZABLE"])
def test_a_snapshot_from_before_the_move_writes_nothing(lab: Lab, before: Trio, open_client: Open, level: str) -> None:
    """It does not see the rows of the other table, so that what it writes could not be carried."""
    statements = (
        "DELETE FROM {} WHERE id = 1",
        "UPDATE {} SET name = 'x' WHERE id = 1",
        "INSERT INTO {} (name) VALUES ('x')",
    )
    # The second move makes triggers of the names that an old snapshot has seen.
    for _ in range(2):
        late = [(open_client(), statement, side) for statement in statements for side in SIDES]
        for client, _, _ in late:
            client.run(f"BEGIN ISOLATION LEVEL {level}")
            client.run("SELECT FROM auth_user")
        lab.forward(MOVE)
        for client, statement, side in late:
            # In its snapshot the new table is empty.
            expected = 0 if side == "new_thing" and "WHERE" in statement else "40001"
            assert outcome(client.start(statement.format(side))) == expected
            client.run("ROLLBACK")
        assert before.agrees()
        lab.back(MOVE)
