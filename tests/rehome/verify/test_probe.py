"""What cannot work is found by trying it: each kind of write, through each name, as each role that may write."""

import uuid
from collections.abc import Callable
from typing import Any

import pytest
from django.db import models
from django.db.models import F
from django.db.models.functions import Lower, Upper

from rehome import Move
from rehome.errors import MoveFailed
from rehome.moves import way
from rehome.moves.steps import open_session
from rehome.parts import writes
from rehome.plan.ledger import Ledger
from rehome.plan.phases import standing
from rehome.plan.record import Record
from rehome.plan.resolve import resolve
from rehome.postgres.session import Session
from rehome.verify import roles
from rehome.verify.probe import Probe, try_writes
from rehome.verify.roles import KINDS
from tests.rehome.support.lab import Lab

pytestmark = pytest.mark.server

MOVE = Move("old.Thing", "new.Thing")
WRITE = "SELECT, INSERT, UPDATE, DELETE"
Roles = Callable[[str], str]


def probe(lab: Lab, move: Move = MOVE, user: str = "") -> Probe:
    """As `user` would try, or whoever is connected."""
    lab.sql(f'SET SESSION AUTHORIZATION "{user}"' if user else "RESET SESSION AUTHORIZATION")
    try:
        plan = lab.plan(move)
        run = Ledger(lab.alias).current(plan)
        assert run is not None
        return try_writes(plan, open_session(plan), Record.of(run), views=standing(run).compared == "view")
    finally:
        lab.sql("RESET SESSION AUTHORIZATION")


def outcomes(found: Probe, role: str) -> dict[tuple[str, str], Any]:
    """By name and kind: whether it worked."""
    return {(trial.name, trial.kind): trial.worked for trial in found.trials if trial.role == role}


ALL = {(f"public.{app}_thing", kind): True for app in ("old", "new") for kind in KINDS}


@pytest.fixture
def things(lab: Lab) -> Lab:
    lab.twins(lambda app: {"name": models.TextField(unique=True), "n": models.IntegerField(db_default=7)})
    lab.sql("INSERT INTO old_thing (name) SELECT 'thing ' || n FROM generate_series(1, 20) n")
    return lab


@pytest.fixture
def app(things: Lab, make_role: Roles) -> str:
    role = make_role("app")
    things.sql(f'GRANT {WRITE} ON old_thing TO "{role}"')
    return role


FUNCTIONS = "SELECT oid::regprocedure::text FROM pg_proc WHERE proname ~ '^rehome_(forward|backward)_[0-9a-f]+$'"


def damage_functions(*changes: str) -> Callable[[Lab, str], None]:
    def damage(lab: Lab, role: str) -> None:
        for (function,) in lab.sql(FUNCTIONS):
            for change in changes:
                lab.sql(f"ALTER FUNCTION {function} {change.format(role=role)}")

    return damage


def run(statement: str) -> Callable[[Lab, str], None]:
    return lambda lab, role: lab.sql(statement.format(role=role)) and None


def drop_counter(lab: Lab, role: str) -> None:
    (pair,) = lab.plan(MOVE).pairs
    lab.sql(f"DROP SEQUENCE {writes.place(pair).as_string()}")


STATES = {
    "the counter of writes is gone": drop_counter,
    "a function has the rights of nobody": damage_functions("SECURITY DEFINER", 'OWNER TO "{role}"'),
    "a function has the rights of whoever writes": lambda lab, role: (
        damage_functions("SECURITY INVOKER")(lab, role),
        lab.sql(f'REVOKE DELETE ON new_thing FROM "{role}"'),
    ),
    "the shared sequence is closed": run('REVOKE ALL ON SEQUENCE new_thing_id_seq FROM "{role}"'),
    "the sequence counts downwards": run("ALTER SEQUENCE new_thing_id_seq INCREMENT BY -1"),
    "the sequence begins again": run("ALTER SEQUENCE new_thing_id_seq MAXVALUE 20 CYCLE"),
    "the sequence has ended": run("ALTER SEQUENCE new_thing_id_seq MAXVALUE 20"),
    "the next key is that of the first row": run("SELECT setval('new_thing_id_seq', 1, false)"),
    "the default lags behind": run("ALTER TABLE old_thing ALTER id SET DEFAULT nextval('new_thing_id_seq') - 10"),
}


def test_every_write_of_a_role_with_every_right_works(things: Lab, app: str) -> None:
    things.forward(MOVE)
    assert outcomes(probe(things), app) == ALL


@pytest.mark.parametrize("state", STATES)
def test_what_a_comparison_does_not_see_is_found(state: str, things: Lab, app: str, make_role: Roles) -> None:
    things.forward(MOVE)
    nobody = make_role("nobody")
    things.sql(f'GRANT CREATE ON SCHEMA public TO "{nobody}"')

    STATES[state](things, nobody if "nobody" in state else app)

    found = probe(things)
    assert found.faults, state
    assert {fault.role for fault in found.faults} >= {app}


# ----- nothing is left behind


def everything(lab: Lab) -> list[Any]:
    """Every row with the transaction that wrote it, and where the old writes' counter stands for showmoves."""
    plan = lab.plan(MOVE)
    run = Ledger(lab.alias).current(plan)
    assert run is not None
    counted = writes.read(plan, run)
    rows = [lab.sql(f"SELECT xmin::text, t::text FROM {app}_thing t ORDER BY id") for app in ("old", "new")]
    return [rows, counted.since_move, counted.since_verification, counted.writers]


def test_nothing_is_left_but_numbers(things: Lab, app: str, live_audit: None) -> None:
    things.forward(MOVE)
    things.sql("UPDATE old_thing SET n = 1 WHERE id = 3")
    plan = things.plan(MOVE)
    writes.release(open_session(plan), plan.main)
    before, audited = everything(things), things.sql("SELECT count(*) FROM audit")

    found = probe(things)
    run = Ledger(things.alias).current(plan)
    Ledger(things.alias).record_probe(run, found.counted)

    assert found.counted["public.old_thing"] > 0
    assert everything(things) == before
    assert things.sql("SELECT count(*) FROM audit") == audited
    assert things.sql("SELECT current_user = session_user, current_setting('role')") == [(True, "none")]


@pytest.fixture
def live_audit(things: Lab) -> None:
    """A trigger of the project's that writes, and tells."""
    things.sql("CREATE TABLE audit (who text); GRANT INSERT ON audit TO PUBLIC")
    things.sql(
        "CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS "
        "'BEGIN INSERT INTO audit VALUES (current_user); NOTIFY audited; RETURN NULL; END'"
    )
    things.sql("CREATE TRIGGER note AFTER INSERT OR UPDATE OR DELETE ON old_thing FOR EACH ROW EXECUTE FUNCTION note()")


@pytest.mark.parametrize("online", [False, True])
def test_a_move_draws_no_number_of_the_tables_own(online: bool, things: Lab, app: str) -> None:
    things.forward(Move("old.Thing", "new.Thing", online=online))
    assert everything(things)[1] == {"public.old_thing": 0}
    assert things.sql("INSERT INTO old_thing (name) VALUES ('next') RETURNING id") == [(21,)]


def test_a_sequence_that_somebody_has_drawn_from_is_left_as_it_is(
    things: Lab, app: str, another: Callable[[str], Any]
) -> None:
    things.forward(MOVE)
    another("SELECT nextval('new_thing_id_seq')")
    things.retire(MOVE)
    assert outcomes(probe(things), app) == ALL


def test_a_switch_takes_no_longer_for_more_roles(things: Lab, app: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever's turn has not come is left to `verifymoves --probe`."""
    monkeypatch.setattr(way, "TRYING_S", 0)
    break_inserts(things)
    things.forward(MOVE)
    assert {fault.kind for fault in probe(things).faults if fault.role == app} == {"INSERT"}


def test_connections_that_prepare_their_statements(things: Lab) -> None:
    things.connection.ensure_connection()
    things.connection.connection.prepare_threshold = 0
    things.forward(MOVE)
    assert probe(things).faults == []
    things.connection.close()


# ----- roles


def test_a_role_that_may_do_less_is_tried_with_what_it_may_do(things: Lab, make_role: Roles) -> None:
    clerk, reader, adder = (make_role(name) for name in ("clerk", "reader", "adder"))
    things.sql(f'GRANT SELECT, UPDATE (n) ON old_thing TO "{clerk}"; GRANT SELECT ON old_thing TO "{reader}"')
    things.sql(f'GRANT INSERT ON old_thing TO "{adder}"')
    things.forward(MOVE)

    found = probe(things)

    assert found.faults == []
    assert outcomes(found, clerk) == {(f"public.{app}_thing", "UPDATE"): True for app in ("old", "new")}
    assert outcomes(found, reader) == {}
    assert outcomes(found, adder) == {(f"public.{app}_thing", "INSERT"): True for app in ("old", "new")}


def test_a_role_that_this_connection_may_not_become_is_compared_in_the_catalog(
    things: Lab, app: str, make_role: Roles
) -> None:
    owner, group, member, stranger = (make_role(name) for name in ("owner", "grp", "member", "stranger"))
    things.sql(f'GRANT CREATE, USAGE ON SCHEMA public TO "{owner}"')
    things.sql(f'ALTER TABLE old_thing OWNER TO "{owner}"; ALTER TABLE new_thing OWNER TO "{owner}"')
    things.sql(f'GRANT {WRITE} ON old_thing TO "{group}", "{stranger}"; GRANT "{group}" TO "{member}"')
    things.sql(f'GRANT "{member}" TO "{owner}"')
    things.forward(MOVE)
    things.sql(f'GRANT SELECT ON rehome_moverun TO "{owner}"')
    found = probe(things, user=owner)

    assert outcomes(found, owner) == ALL
    assert outcomes(found, group) == ALL
    assert outcomes(found, stranger) == {("public.new_thing", ""): None}
    assert outcomes(found, app) == {("public.new_thing", ""): None}
    assert found.faults == []

    things.sql(f'REVOKE ALL ON SEQUENCE new_thing_id_seq FROM "{stranger}"')
    found = probe(things, user=owner)
    (fault,) = found.faults
    assert (fault.role, fault.kind) == (stranger, "")
    assert "USAGE on" in fault.reason
    assert "new_thing_id_seq" in fault.reason


def test_a_membership_counts_as_far_as_it_allows_to_become_the_role(things: Lab, make_role: Roles) -> None:
    owner, kept, closed = (make_role(name) for name in ("owner", "kept", "closed"))
    things.sql(f'ALTER ROLE "{owner}" NOINHERIT; GRANT CREATE, USAGE ON SCHEMA public TO "{owner}"')
    things.sql(f'ALTER TABLE old_thing OWNER TO "{owner}"; ALTER TABLE new_thing OWNER TO "{owner}"')
    things.sql(f'GRANT {WRITE} ON old_thing TO "{kept}", "{closed}"; GRANT "{kept}" TO "{owner}"')
    chosen = things.connection.pg_version >= 160000
    if chosen:
        things.sql(f'GRANT "{closed}" TO "{owner}" WITH SET FALSE')
    things.forward(MOVE)
    things.sql(f'GRANT SELECT ON rehome_moverun TO "{owner}"')
    found = probe(things, user=owner)
    assert (outcomes(found, owner), outcomes(found, kept)) == (ALL, ALL)
    assert outcomes(found, closed) == {("public.new_thing", ""): None}


def test_what_everybody_may_do_is_named_as_not_tried(things: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    things.sql(f"GRANT {WRITE} ON old_thing TO PUBLIC")
    things.forward(MOVE)
    assert outcomes(probe(things), "PUBLIC") == {("public.new_thing", ""): None}
    told = capsys.readouterr().err
    assert "Note: PUBLIC, public.new_thing: not tried: this connection may not become the role. Its rights are " in told


def test_a_role_is_tried_with_its_own_search_path(things: Lab, app: str, live_audit: None) -> None:
    """What its writes fire finds other tables than the writes of this connection, or none."""
    things.sql(f'CREATE SCHEMA empty; GRANT USAGE ON SCHEMA empty TO "{app}"')
    things.sql(f'ALTER ROLE "{app}" SET search_path = empty')
    things.forward(MOVE)

    found = probe(things)

    # It fails on the source alone as well, so that is no fault of the move.
    assert found.faults == []
    refused = {(t.name, t.kind): t.reason for t in found.untried if t.role == app}
    assert 'relation "audit" does not exist' in refused["public.old_thing", "INSERT"]


def test_a_predefined_role_counts(things: Lab, make_role: Roles) -> None:
    role = make_role("bulk")
    things.sql(f'ALTER ROLE "{role}" LOGIN; GRANT pg_write_all_data, pg_read_all_data TO "{role}"')
    things.forward(MOVE)
    assert outcomes(probe(things), role) == ALL


@pytest.mark.parametrize("usable", [True, False])
def test_a_role_that_is_dropped_meanwhile_has_no_rights(
    things: Lab, make_role: Roles, monkeypatch: pytest.MonkeyPatch, usable: bool
) -> None:
    things.forward(MOVE)
    read = roles.find_writers

    def with_one_that_goes(session: Session, names: list[str]) -> list[roles.Writer]:
        return [roles.Writer("gone with the wind", usable), *read(session, names)]

    monkeypatch.setattr(roles, "find_writers", with_one_that_goes)
    found = probe(things)

    assert found.faults == []
    assert {trial.worked for trial in found.trials if trial.role == "gone with the wind"} == {None}


def test_public_has_what_is_granted_to_it(things: Lab) -> None:
    things.sql("GRANT SELECT (name), UPDATE (name), DELETE ON old_thing TO PUBLIC")
    session = open_session(things.plan(MOVE))

    rights = roles.read_rights(session, roles.PUBLIC, "public.old_thing")

    assert (rights.delete, rights.select, rights.update, rights.insert) == (True, {"name"}, {"name"}, frozenset())
    assert roles.find_lacking(session, roles.PUBLIC, [("public.old_thing", "INSERT", "")]) == [
        "INSERT on public.old_thing"
    ]


# ----- rows


def test_empty_tables_are_tried_with_a_row_of_the_smallest_values(lab: Lab) -> None:
    lab.twins(
        lambda app: {
            "name": models.TextField(unique=True),
            "state": models.CharField(max_length=3),
            "made": models.DateTimeField(),
            "day": models.DateField(),
            "at": models.TimeField(),
            "took": models.DurationField(),
            "price": models.DecimalField(max_digits=6, decimal_places=2),
            "ok": models.BooleanField(),
            "token": models.UUIDField(),
            "raw": models.BinaryField(),
            "details": models.JSONField(),
            "ip": models.GenericIPAddressField(),
            "parent": models.ForeignKey("self", models.CASCADE, null=True),
        }
    )
    lab.forward(MOVE)
    found = probe(lab)
    assert {trial.kind: trial.worked for trial in found.trials} == dict.fromkeys(KINDS, True), found.trials
    assert lab.sql("SELECT count(*) FROM new_thing") == [(0,)]


def test_an_empty_table_whose_rows_need_another_row_is_not_tried(lab: Lab) -> None:
    lab.model("shop.Parent", {"name": models.TextField()})
    lab.twins(lambda app: {"parent": models.ForeignKey("shop.Parent", models.CASCADE, related_name="+")})
    lab.forward(MOVE)
    (trial,) = probe(lab).trials
    assert (trial.worked, trial.kind) == (None, "")
    assert trial.reason == "not tried: the table is empty, and no row could be made of default values."


def test_constraints_that_no_second_row_satisfies(lab: Lab) -> None:
    """A copy would repeat what is unique, so a row takes the place of another."""
    lab.twins(
        lambda app: {
            "code": models.CharField(max_length=4, unique=True),
            "owner": models.OneToOneField("auth.User", models.CASCADE, related_name="+"),
            "size": models.IntegerField(),
            "double": models.GeneratedField(
                expression=models.F("size") * 2, output_field=models.IntegerField(), db_persist=True
            ),
            "parent": models.ForeignKey("self", models.CASCADE, null=True),
        }
    )
    for app in ("old", "new"):
        lab.sql(f"ALTER TABLE {app}_thing ADD CONSTRAINT {app}_size CHECK (size IN (3, 5))")
        lab.sql(
            f"ALTER TABLE {app}_thing ADD CONSTRAINT {app}_area EXCLUDE USING gist (int4range(0, size * 10) WITH &&)"
        )
    lab.sql(
        "INSERT INTO auth_user (id, username, password, first_name, last_name, email, is_superuser, is_staff, "
        "is_active, date_joined) VALUES (1, 'ann', '', '', '', '', false, false, true, now())"
    )
    lab.sql("INSERT INTO old_thing (code, owner_id, size) VALUES ('a-12', 1, 3)")
    lab.forward(MOVE)
    found = probe(lab)
    assert {(t.name, t.kind): t.worked for t in found.trials} == ALL, found.trials


def test_a_row_that_others_point_at(lab: Lab) -> None:
    """Django's own keys wait for the end of a transaction; a key of the database's own refuses at once."""
    lab.twins(lambda app: {"name": models.TextField()})
    lab.model("shop.Part", {"thing": models.ForeignKey("old.Thing", models.CASCADE)})
    lab.sql("INSERT INTO old_thing (name) VALUES ('lamp'); INSERT INTO shop_part (thing_id) VALUES (1)")
    lab.forward(MOVE)
    assert {(t.name, t.kind): t.worked for t in probe(lab).trials} == ALL
    lab.sql("CREATE TABLE strict (thing integer REFERENCES new_thing ON DELETE CASCADE); INSERT INTO strict VALUES (1)")
    found = {(t.name, t.kind): t.worked for t in probe(lab).trials}
    assert found == ALL | {(f"public.{app}_thing", kind): None for app in ("old", "new") for kind in KINDS[2:]}
    assert lab.sql("SELECT count(*) FROM strict") == [(1,)]


# ----- kinds of keys, and computed columns


@pytest.mark.parametrize(
    "key",
    [
        models.UUIDField(primary_key=True, default=uuid.uuid4),
        models.CharField(max_length=8, primary_key=True),
        models.SmallAutoField(primary_key=True),
        models.DateField(primary_key=True),
    ],
    ids=lambda key: type(key).__name__,
)
def test_every_kind_of_key(key: models.Field, lab: Lab) -> None:
    lab.twins(lambda app: {"id": key.clone(), "name": models.TextField()})
    value = {"CharField": "abc", "UUIDField": str(uuid.uuid4()), "DateField": "2020-02-02"}.get(type(key).__name__, "1")
    lab.sql(f"INSERT INTO old_thing (id, name) VALUES ('{value}', 'lamp')")
    lab.forward(MOVE)
    found = probe(lab)
    assert {(t.name, t.kind): t.worked for t in found.trials} == ALL, found.trials


COMPUTED = Move(
    "old.Thing",
    "new.Thing",
    fields={"name": Upper(models.F("title"))},
    backwards={"title": Lower(models.F("name"))},
)


@pytest.mark.parametrize("end", ["live", "retired"])
def test_computed_columns(end: str, lab: Lab) -> None:
    lab.model("old.Thing", {"title": models.TextField()})
    lab.model("new.Thing", {"name": models.TextField()})
    lab.sql("INSERT INTO old_thing (title) VALUES ('lamp'), ('desk')")
    lab.forward(COMPUTED)
    if end == "retired":
        lab.retire(COMPUTED)
    found = probe(lab, COMPUTED)
    assert {(t.name, t.kind): t.worked for t in found.trials} == ALL, found.trials


def test_a_move_without_a_way_back_is_tried_through_the_new_name(lab: Lab) -> None:
    lab.model("old.Thing", {"name": models.TextField(), "note": models.TextField()})
    lab.model("new.Thing", {"name": models.TextField()})
    move = Move("old.Thing", "new.Thing", discard=["note"], irreversible=True)
    lab.sql("INSERT INTO old_thing (name, note) VALUES ('lamp', '')")
    lab.forward(move)
    assert {(t.name, t.kind): t.worked for t in probe(lab, move).trials} == {
        ("public.new_thing", kind): True for kind in KINDS
    }


@pytest.mark.parametrize("way", ["retired", "in place"])
def test_views(way: str, things: Lab, app: str) -> None:
    move = Move("old.Thing", "new.Thing", in_place=way == "in place")
    things.forward(move)
    if way == "retired":
        things.retire(move)
    assert outcomes(probe(things, move), app) == ALL
    things.sql(f'REVOKE INSERT ON new_thing FROM "{app}"')
    (fault,) = [fault for fault in probe(things, move).faults if fault.role == app]
    assert (fault.name, fault.kind) == ("public.old_thing", "INSERT")
    assert "permission denied for table new_thing" in fault.reason


@pytest.mark.parametrize("way", ["retired", "in place"])
def test_a_view_that_is_gone_is_left_out(way: str, things: Lab) -> None:
    move = Move("old.Thing", "new.Thing", in_place=way == "in place")
    things.forward(move)
    if way == "retired":
        things.retire(move)
    things.sql("DROP VIEW old_thing")
    plan = resolve(move, things.apps, things.connection)
    found = try_writes(plan, open_session(plan), Record(), views=True)
    assert {(trial.name, trial.kind): trial.worked for trial in found.trials} == {
        ("public.new_thing", kind): True for kind in KINDS
    }


# ----- what is refused, and what is not


def break_inserts(lab: Lab) -> None:
    """New code brought a trigger that works for nobody."""
    body = "'BEGIN PERFORM nothing(); RETURN new; END'"
    lab.sql(f"CREATE FUNCTION broken() RETURNS trigger LANGUAGE plpgsql AS {body}")
    lab.sql("CREATE TRIGGER broken BEFORE INSERT ON new_thing FOR EACH ROW EXECUTE FUNCTION broken()")


def test_a_switch_that_would_break_a_write_is_undone(things: Lab, app: str, refused: Callable[..., str]) -> None:
    break_inserts(things)
    message = refused(MOVE, error=MoveFailed)
    assert "INSERT through public.old_thing, public.new_thing: PostgreSQL refused it: function nothing()" in message
    assert message.endswith("or revoke a privilege that is not used; then run the migration again.")


def test_a_write_that_the_project_refuses_is_no_fault(things: Lab, app: str) -> None:
    things.sql(
        "CREATE FUNCTION protect() RETURNS trigger LANGUAGE plpgsql AS "
        "'BEGIN RAISE insufficient_privilege USING MESSAGE = ''things stay''; END'"
    )
    things.sql("CREATE TRIGGER protect BEFORE DELETE ON old_thing FOR EACH ROW EXECUTE FUNCTION protect()")
    things.forward(MOVE)
    found = probe(things)
    assert found.faults == []
    assert outcomes(found, app) == ALL | {(f"public.{side}_thing", "DELETE"): None for side in ("old", "new")}
    things.retire(MOVE)
    assert probe(things).faults == []


def test_a_trigger_that_fails_for_a_role_before_the_move_is_no_fault_of_the_move(
    things: Lab, app: str, live_audit: None
) -> None:
    things.sql("REVOKE ALL ON audit FROM PUBLIC")
    things.forward(MOVE)
    found = probe(things)
    assert found.faults == []
    assert {outcomes(found, app)["public.old_thing", kind] for kind in KINDS} == {None}
    things.retire(MOVE)
    assert probe(things).faults == []
    things.unretire(MOVE)
    things.back(MOVE)
    things.forward(Move("old.Thing", "new.Thing", in_place=True))


def test_it_is_none_of_a_move_without_a_way_back_either(things: Lab, app: str, live_audit: None) -> None:
    things.sql("REVOKE ALL ON audit FROM PUBLIC")
    things.forward(Move("old.Thing", "new.Thing", fields={"n": F("n") + 1}, irreversible=True))


def test_what_policies_forbid_before_the_move_is_no_fault_of_the_move(things: Lab, app: str) -> None:
    """The table has another name afterwards, which PostgreSQL's message says."""
    move = Move("old.Thing", "new.Thing", in_place=True)
    things.sql("ALTER TABLE old_thing ENABLE ROW LEVEL SECURITY")
    things.sql("CREATE POLICY seen ON old_thing FOR SELECT USING (true)")
    break_inserts(things)
    with pytest.raises(MoveFailed, match=r"function nothing\(\)"):
        things.forward(move)
    things.sql("DROP TRIGGER broken ON new_thing")
    things.forward(move)
    assert probe(things, move).faults == []


def test_a_row_that_is_locked_is_not_waited_for(things: Lab, another: Callable[[str], Any]) -> None:
    things.forward(MOVE)
    another("SELECT FROM new_thing FOR UPDATE")
    assert {t.reason for t in probe(things).trials} == {
        "not tried: each of the first rows is locked, or differs between the two tables."
    }


def test_a_write_that_does_not_arrive_is_a_fault(things: Lab) -> None:
    things.forward(MOVE)
    things.sql("ALTER TABLE old_thing DISABLE TRIGGER USER")
    faults = probe(things).faults
    assert {(fault.name, fault.kind) for fault in faults} == {("public.old_thing", kind) for kind in KINDS}
    assert {fault.reason for fault in faults} == {"the write raised no error, but is not seen in public.new_thing."}
