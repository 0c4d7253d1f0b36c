"""What `check --database legacy` says, of real servers."""

import dataclasses
import re

import pytest
from django.core.checks import run_checks
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from django.db.backends.base.base import BaseDatabaseWrapper

from tests.legacy_app.conftest import Connect
from tests.legacy_app.ostans import TABLE, Ostans
from tests.manage import ROOT, manage
from tests.servers.mariadb import GIS_ENGINE, MariaDB
from tests.servers.postgis import PLAIN_ENGINE
from tests.servers.starting import HOST, Database, free_port


def check() -> list[tuple[str, str]]:
    """(id, message); each has a hint."""
    from legacy_app.management.commands.check import Command

    try:
        call_command(Command(), databases=["legacy"], no_color=True)
    except SystemCheckError as error:
        return sorted(re.findall(r"\((legacy_app\.E\d+)\) (.*)\n\tHINT: .*\.$", str(error), re.MULTILINE))
    return []


def test_a_good_legacy_database_passes(older: Ostans) -> None:
    done = manage("check", "--database", "legacy", **older.database.environment)
    assert (done.returncode, done.stderr) == (0, "")
    assert "no issues" in done.stdout


def test_the_command_names_what_is_wrong_and_ends_with_1(older: Ostans) -> None:
    done = manage("check", "--database", "legacy", **older.database.environment | {"LEGACY_DB_PASSWORD": "wrong"})
    assert done.returncode == 1
    assert "?: (legacy_app.E002) The server of the older database" in done.stderr
    assert "HINT: Correct LEGACY_DB_USER, LEGACY_DB_PASSWORD or LEGACY_DB_DB" in done.stderr
    assert older.database.password not in done.stderr


def test_the_legacy_database_is_checked_only_when_it_is_named(legacy: BaseDatabaseWrapper) -> None:
    legacy.settings_dict["PORT"] = str(free_port())
    assert [
        m for databases in (None, [], ["default"]) for m in run_checks(databases=databases) if "legacy" in m.id
    ] == []


def test_e001_unreachable(older: Ostans, maria: Database, connect: Connect) -> None:
    port = str(free_port())
    for database in (older.database, maria):
        with connect(database, PORT=port):
            ((number, message),) = check()
        assert number == "legacy_app.E001"
        assert message.startswith(f"The older database 'legacy' on {HOST}:{port} can't be reached: ")
        with connect(database, HOST="nowhere.invalid"):
            assert [number for number, _ in check()] == ["legacy_app.E001"]


@pytest.mark.parametrize("wrong", [{"PASSWORD": "wrong"}, {"USER": "nobody"}, {"NAME": "nothing"}])
def test_e002_login_refused(wrong: dict[str, str], older: Ostans, maria: Database, connect: Connect) -> None:
    for database in (older.database, maria):
        with connect(database, **wrong):
            ((number, message),) = check()
        assert (number, "refused the login: " in message) == ("legacy_app.E002", True)


def test_e003_too_old(older: Ostans, maria: Database, connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    for database, name in ((older.database, "PostgreSQL"), (maria, "MariaDB")):
        with connect(database) as connection:
            monkeypatch.setattr(type(connection.features), "minimum_database_version", (99, 1))
            ((number, message),) = check()
        monkeypatch.undo()
        assert (number, f"is too old: {name} 99.1 or later is required" in message) == ("legacy_app.E003", True)


def test_e004_no_postgis(legacy: BaseDatabaseWrapper, older: Ostans, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("legacy_app.checks.OLDEST_POSTGIS", (99, 0))
        assert "The older database has PostGIS 3." in dict(check())["legacy_app.E004"]
    older.server.run("DROP EXTENSION postgis CASCADE", name=older.database.name)
    del legacy.ops.__dict__["spatial_version"]
    found = dict(check())
    assert "The older database has no PostGIS, and Django needs 3.1 or newer." in found["legacy_app.E004"]
    assert "legacy_app.E007" in found, "its column went with the extension"


def test_e005_a_session_that_may_write(older: Ostans, maria: Database, connect: Connect) -> None:
    for database in (older.database, maria):
        with connect(database, OPTIONS={}):
            assert check()[0][0] == "legacy_app.E005"


def test_e006_missing_table(legacy: BaseDatabaseWrapper, older: Ostans, maria: Database, connect: Connect) -> None:
    older.sql(f"ALTER TABLE {TABLE} RENAME TO provinces")
    message = f"The older database has no table {TABLE}, which legacy_app.Ostans names, or hides it."
    assert check() == [("legacy_app.E006", message)]


def test_e007_missing_column(legacy: BaseDatabaseWrapper, older: Ostans) -> None:
    older.sql(f"ALTER TABLE {TABLE} RENAME name_en TO english")
    older.sql(f"ALTER TABLE {TABLE} DROP border")
    assert check() == [
        ("legacy_app.E007", f"The older database has no column {TABLE}.{name}, which legacy_app.Ostans.{name} names.")
        for name in ("border", "name_en")
    ]


def test_e008_no_right_to_read(legacy: BaseDatabaseWrapper, older: Ostans) -> None:
    older.server.run(f"ALTER TABLE {TABLE} OWNER TO postgres", name=older.database.name)
    assert check() == [("legacy_app.E008", f"The role 'legacy' may not read {TABLE} of the older database.")]
    older.server.run(f"GRANT SELECT (id, name_fa, border) ON {TABLE} TO legacy", name=older.database.name)
    assert check() == [("legacy_app.E008", f"The role 'legacy' may not read {TABLE}.name_en of the older database.")]
    older.server.run(f"GRANT SELECT ON {TABLE} TO legacy", name=older.database.name)
    assert check() == []


def test_tables_columns_and_rights_on_mariadb(maria: Database, mariadb: MariaDB, connect: Connect) -> None:

    with connect(dataclasses.replace(maria, engine=GIS_ENGINE)):
        assert check() == []
        mariadb.run(f"ALTER TABLE {TABLE} DROP name_en", name=maria.name)
        assert [number for number, _ in check()] == ["legacy_app.E007"]
        mariadb.run(
            f"REVOKE ALL ON {maria.name}.* FROM 'legacy'@'%'",
            f"GRANT SELECT (id) ON {maria.name}.{TABLE} TO 'legacy'@'%'",
        )
    with connect(dataclasses.replace(maria, engine=GIS_ENGINE)):
        assert {number for number, _ in check()} == {"legacy_app.E008"}
        mariadb.run(f"DROP TABLE {TABLE}", name=maria.name)
        assert [number for number, _ in check()] == ["legacy_app.E006"]
    mariadb.run("REVOKE ALL, GRANT OPTION FROM 'legacy'@'%'")


def test_e009_a_geometry_that_the_engine_does_not_know(older: Ostans, maria: Database, connect: Connect) -> None:

    with connect(dataclasses.replace(older.database, engine=PLAIN_ENGINE)):
        assert check() == [
            ("legacy_app.E009", f"legacy_app.Ostans.border is a geometry, which {PLAIN_ENGINE} does not support.")
        ]
    with connect(maria):
        assert [number for number, _ in check()] == ["legacy_app.E009"]


def test_the_page_has_every_id() -> None:
    written = set(re.findall(r'"(?:legacy_app\.)?(E\d+)"', (ROOT / "legacy_app" / "checks.py").read_text()))
    documented = re.findall(r"^\| `legacy_app\.(E\d+)` \|", (ROOT / "docs" / "legacy.md").read_text(), re.MULTILINE)
    assert sorted(written) == documented
