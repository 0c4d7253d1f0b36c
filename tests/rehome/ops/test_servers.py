"""What is looked at and made beside a database: with any rows, names, encodings and rights, whoever else is there."""

import contextlib
import io
import os
import signal
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from django.core.management import call_command, load_command_class
from django.db import connection
from psycopg import conninfo, sql

from rehome import terminal
from rehome.errors import BackupFailed, Refused
from rehome.ops import scratch, servers, space
from rehome.ops.backups import restoring, work
from rehome.ops.backups.store import Store
from rehome.ops.servers import KEYWORDS, Server
from rehome.postgres.settings import FORMATS
from tests.farm import farm
from tests.farm.databases import WORKER, Owned, connected_to, database
from tests.rehome.support.backups import databases, made, rows, run
from tests.waiting import until

pytestmark = pytest.mark.server

LONG = pytest.mark.long
PUBLIC = "SELECT has_database_privilege('pg_monitor', %s, 'CONNECT')"


@contextlib.contextmanager
def session_of(name: str, **options: str) -> Iterator["psycopg.Connection[Any]"]:
    """Of the superuser, in any database."""
    given = connection.get_connection_params()
    where = {one: given[one] for one in ("user", "password", "host", "port") if given.get(one)}
    with psycopg.connect(conninfo.make_conninfo(**where, dbname=name, **options), autocommit=True) as session:
        yield session


# ----- looking at a database


@pytest.mark.parametrize("moment", ["-infinity", "infinity", "0044-03-15 BC", "9999-12-31", "290000-01-01"])
def test_no_moment_in_a_row_keeps_anybody_from_looking(small: str, moment: str) -> None:
    rows(f"CREATE TABLE odd AS SELECT '{moment}'::timestamptz AS at, '{moment}'::timestamp AS local")

    with Server.of(connection).session() as session:
        found = servers.look(session)
    assert found.last_written.endswith(".written_at")


def test_values_print_the_same_whatever_the_database_sets(small: str) -> None:
    """A checksum is of what they print as."""
    for setting in ("DateStyle = 'SQL, DMY'", "IntervalStyle = 'iso_8601'", "bytea_output = 'escape'",
                    "extra_float_digits = 0", "xmloption = 'document'", "statement_timeout = '1s'",
                    "search_path = 'public'"):  # fmt: skip
        rows(f'ALTER DATABASE "{small}" SET {setting}')
    connection.close()

    with Server.of(connection).session() as session:
        assert servers.look(session).last_write
        for name, value in FORMATS.items():
            for (shown,) in session.execute("SELECT current_setting(%s, true)", [name]):
                assert shown is None or shown.partition(",")[0] == value


def test_a_table_that_somebody_holds_tells_no_last_write_and_the_others_do(
    small: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(servers, "QUICK_MS", 300)
    rows("CREATE TABLE zz AS SELECT now() AS at")
    with session_of(small) as holder, holder.transaction():
        holder.execute("LOCK zz IN ACCESS EXCLUSIVE MODE")
        with Server.of(connection).session() as session:
            assert servers.look(session).last_written.endswith(".written_at")


@pytest.mark.parametrize("encoding", ["SQL_ASCII", pytest.param("LATIN1", marks=LONG)])
def test_a_database_of_another_encoding_is_backed_up_proved_and_restored(
    small: str, store: Store, encoding: str
) -> None:
    name = f"test_encoded_{WORKER}"
    farm.on_server(
        f'DROP DATABASE IF EXISTS "{name}"',
        f"CREATE DATABASE \"{name}\" TEMPLATE template0 ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C' "
        "LOCALE_PROVIDER libc",
    )
    try:
        with connected_to(name):
            rows('CREATE TABLE "käse %" AS SELECT \'ü\'::text AS "größe", 1.5 AS price')
            backup = made(store)
            assert run("checkbackup").startswith("Proved: ")
            run("restorebackup", str(backup), confirm=name)
            assert rows('SELECT "größe" FROM "käse %"') == [("ü",)]
    finally:
        dropped(name)


@LONG
@pytest.mark.parametrize("name", ['we"ird', "sp ace", "per%cent%s", "ünï", "a/b", "..", "tab\tx", "'; drop"])
def test_a_database_may_have_any_name(filled_small: str, django_db_blocker: Any, store: Store, name: str) -> None:
    quoted = sql.Identifier(name).as_string()
    with django_db_blocker.unblock():
        farm.on_server(f"DROP DATABASE IF EXISTS {quoted}", f'CREATE DATABASE {quoted} TEMPLATE "{filled_small}"')
        try:
            with connected_to(name):
                backup = made(store)
                assert run("checkbackup").startswith("Proved: ")
                restored(str(backup), name)
                told = run("restorebackup", undo=True, confirm=name)
                (kept,) = restoring.kept_ones(Server.of(connection))
                assert f"DROP DATABASE {sql.Identifier(kept).as_string()};" in told
        finally:
            dropped(name)


def restored(backup: str, name: str) -> list[str]:
    run("restorebackup", backup, confirm=name)
    return restoring.kept_ones(Server.of(connection))


def dropped(name: str) -> None:
    connection.close()
    for one in databases(name):
        farm.on_server(f"DROP DATABASE {sql.Identifier(one).as_string()} WITH (FORCE)")


# ----- a database for a while


@pytest.mark.parametrize("acting", [False, True])
def test_nobody_but_its_owner_looks_into_a_copy_while_it_is_made(owned: Owned, store: Store, acting: bool) -> None:
    """Grants of the tables may rely on who may connect to the database."""
    farm.on_server(f'ALTER ROLE "{owned.owner}" CREATEDB', f'ALTER ROLE "{owned.clerk}" NOINHERIT')
    farm.on_server(f'GRANT "{owned.owner}" TO "{owned.clerk}"')
    as_whom = {"USER": owned.clerk, "OPTIONS": {"assume_role": owned.owner}} if acting else {"USER": owned.owner}
    with connected_to(owned.name, PASSWORD="secret", **as_whom):  # type: ignore[arg-type]
        server = Server.of(connection)
        with scratch.made(server, "a look") as copy:
            with session_of(owned.name) as session:
                assert session.execute(PUBLIC, [copy.database]).fetchall() == [(False,)]
            with psycopg.connect(**{**server.parameters, "dbname": copy.database}):
                pass


def test_who_may_connect_may_do_so_after_a_restore_as_before(small: str, store: Store) -> None:
    backup = made(store)
    rights = f"SELECT has_database_privilege('pg_monitor', '{small}', 'CONNECT, TEMPORARY')"
    run("restorebackup", str(backup), confirm=small)
    assert rows(rights) == [(True,)]
    farm.on_server(f'REVOKE CONNECT, TEMPORARY ON DATABASE "{small}" FROM PUBLIC')
    run("restorebackup", str(backup), confirm=small)
    assert rows(rights) == [(False,)]


def test_a_copy_is_dropped_although_the_session_that_made_it_was_lost(small: str) -> None:
    """As by a firewall that forgets what says nothing for hours."""
    server = Server.of(connection)
    with scratch.made(server, "a long one") as copy:
        rows(
            "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 1 "
            f"AND (classid::bigint << 32 | objid::bigint) = {scratch.key(copy.database)}"
        )
        with session_of(copy.database):
            assert scratch.leftovers(server) == []  # Somebody is at work in it.
        until(lambda: scratch.leftovers(server), "what nobody uses any more is not found")
    assert databases(copy.database) == []


# ----- the swap


def test_whoever_may_not_be_disconnected_is_named_and_nothing_is_changed(
    owned: Owned, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(restoring, "TRIES", 1)
    farm.on_server(f'ALTER ROLE "{owned.owner}" CREATEDB')
    with (
        session_of(owned.name, application_name="exporter") as session,
        connected_to(owned.name, USER=owned.owner, PASSWORD="secret"),
    ):
        backup = made(store)
        with pytest.raises(
            BackupFailed, match=r"can't be renamed: .*Connected: pid \d+ \(exporter.*Nothing is changed"
        ):
            run("restorebackup", str(backup), confirm=owned.name)
        session.execute("SELECT 1")
        assert (databases(f"{owned.name}_"), databases("rehome_scratch")) == ([], [])


@LONG
def test_a_swap_that_waited_for_somebody_who_left_is_said_to_be_done(
    owned: Owned, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    farm.on_server(f'ALTER ROLE "{owned.owner}" CREATEDB')
    superuser = {name: connection.settings_dict[name] for name in ("USER", "PASSWORD")}
    with contextlib.ExitStack() as opened, connected_to(owned.name, USER=owned.owner, PASSWORD="secret"):
        backup, end_others = made(store), restoring.end_others
        with connected_to(owned.name, **superuser):
            opened.enter_context(session_of(owned.name))

        def leave(*args: Any) -> None:
            end_others(*args)
            opened.close()

        monkeypatch.setattr(restoring, "end_others", leave)
        told = run("restorebackup", str(backup), confirm=owned.name)
        (kept,) = databases(f"{owned.name}_before_")
        assert f"The one before is kept as {kept}" in told
    farm.on_server(f'DROP DATABASE "{kept}" WITH (FORCE)')


@pytest.mark.parametrize("done", [True, False])
def test_a_swap_whose_answer_is_lost_is_looked_for(small: str, monkeypatch: pytest.MonkeyPatch, done: bool) -> None:
    rename = restoring.rename

    def lost(*args: Any) -> None:
        if done:
            rename(*args)
        raise psycopg.OperationalError("server closed the connection unexpectedly")

    monkeypatch.setattr(restoring, "rename", lost)
    with scratch.made(Server.of(connection), "another") as new:
        expected = contextlib.nullcontext() if done else pytest.raises(psycopg.OperationalError)
        with expected:  # type: ignore[attr-defined]
            restoring.swap(Server.of(connection), new.database)
    connection.close()
    assert len(databases(f"{small}_before_")) == done


@pytest.mark.parametrize("name", servers.OUTSIDE)
def test_a_database_is_renamed_from_another_one_also_where_it_has_a_usual_name(small: str, name: str) -> None:
    server = Server.of(connection).on(name)
    with server.outside() as session:
        assert session.info.dbname in {*servers.OUTSIDE} - {name}


def test_a_role_that_can_connect_to_no_other_database_is_refused_before_anything(
    small: str, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    backup = made(store)
    monkeypatch.setattr(servers, "OUTSIDE", ("none_of_this_name",))
    with pytest.raises(Refused, match="connect to no database of the server besides"):
        run("restorebackup", str(backup), confirm=small)


def test_undo_takes_no_database_of_somebody_elses_that_is_named_and_remarked_alike(owned: Owned, store: Store) -> None:
    """Whoever may make databases may name and remark theirs as they like."""
    farm.on_server(f'ALTER ROLE "{owned.owner}" CREATEDB')
    false = f"{owned.name}_before_20990101_000000"
    with database(false):
        farm.on_server(
            f'ALTER DATABASE "{false}" OWNER TO "{owned.clerk}"',
            f"COMMENT ON DATABASE \"{false}\" IS '{restoring.remark(owned.name)}2099-01-01'",
        )
        with connected_to(owned.name):
            assert restoring.kept_ones(Server.of(connection)) == []


@LONG
def test_the_last_one_that_was_kept_is_the_last_whatever_the_clock_says(small: str, store: Store) -> None:
    backup = made(store)
    future = f"{small}_before_20990101_000000"
    farm.on_server(
        f'CREATE DATABASE "{future}"', f"COMMENT ON DATABASE \"{future}\" IS '{restoring.remark(small)}2099-01-01'"
    )
    kept = restored(str(backup), small)
    assert kept == [future, f"{small}_before_20990101_000001"]


# ----- room, arguments, secrets, signals, temporary files


def test_a_disk_that_has_no_room_is_left_alone(small: str, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    backup = made(store)
    monkeypatch.setattr(space, "free", lambda session: 1 << 20)
    with pytest.raises(Refused, match=r"The database took .*, and the server's disk has 1,024 kB left.*--on URL"):
        run("checkbackup")
    assert databases("rehome_scratch") == []
    said = io.StringIO()
    call_command("restorebackup", str(backup), confirm=small, stdout=io.StringIO(), stderr=said)
    assert "A full disk would stop it and every other database" in said.getvalue()


@pytest.mark.parametrize(
    "words",
    [
        [*command, value]
        for command in (["checkbackup", "--within"], ["migrate", "--require-backup"], ["moveready", "--backup-hours"],
                        ["moveready", "--seconds"], ["moveready", "--window"])
        for value in ("nan", "inf", "-1", "1e300", "soon")
    ],
    ids=" ".join,
)  # fmt: skip
def test_a_number_that_means_nothing_exits_with_2(words: list[str]) -> None:
    command = load_command_class("rehome", words[0])
    with pytest.raises(SystemExit) as raised:
        command.run_from_argv(["manage.py", *words[:1], f"{words[1]}={words[2]}"])
    assert raised.value.code == 2


HARMLESS = {
    *("fallback_application_name", "keepalives", "keepalives_idle", "keepalives_interval", "keepalives_count"),
    *("tcp_user_timeout", "replication", "authtype", "service", "servicefile", "oauth_issuer", "oauth_client_id"),
    *("oauth_scope", "sslkeylogfile", "client_encoding"),
}


@pytest.mark.parametrize("keyword", sorted(name for name, variable in KEYWORDS.items() if not variable))
def test_no_secret_is_among_the_arguments_of_a_program(keyword: str) -> None:
    """Of every keyword of the libpq that is installed: one that is new has to be looked at."""
    server = Server({keyword: "hidden"}, "farm")
    if keyword in HARMLESS:
        assert "hidden" in " ".join(server.arguments())
    else:
        with pytest.raises(Refused, match=f"has {keyword}, which every user of this machine could read"):
            server.arguments()


@pytest.mark.usefixtures("_hung_up")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_end_of_a_terminal_interrupts_like_ctrl_c(number: signal.Signals) -> None:
    with terminal.noticed() as interrupts:
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), number)
        assert interrupts.received == number


def test_whoever_ignores_the_end_of_the_terminal_still_does() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with terminal.noticed():
            os.kill(os.getpid(), signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)


def test_what_somebody_else_puts_into_the_folder_for_work_is_left_alone(tmp_path: Any) -> None:
    """Opening a pipe would wait for ever."""
    names = [f"{work.PREFIX}{one}{work.PART}" for one in ("pipe", "link", "file")]
    os.mkfifo(tmp_path / names[0])
    (tmp_path / names[1]).symlink_to("/etc/passwd")
    (tmp_path / names[2]).touch()

    work.clear(tmp_path)

    assert sorted(os.listdir(tmp_path)) == sorted(names[:2])
