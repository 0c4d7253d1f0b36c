"""`migrate --fake-initial` takes no migration for applied that would have made other tables."""

import sys
from collections.abc import Callable, Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.commands.migrate import Command as DjangoMigrate

from rehome.errors import Refused
from tests.farm.databases import WORKER, connected_to, database
from tests.farm.farm import picture, sql

# One wrong column each, in six tables that Django would know by their names.
WRONG = {
    "portal_profile": "ALTER organization TYPE varchar(250)",
    "portal_printer": "ALTER ip_address DROP NOT NULL",
    "accounts_profile": "ALTER email TYPE text",
    "printers_printer": "ALTER ping SET DEFAULT true",
    "django_session": "ALTER expire_date TYPE timestamp",
    "django_admin_log": "RENAME object_repr TO object_name",
}
APPS = ["portal", "accounts", "printers", "sessions", "admin"]


def migrate(*target: str, **options: Any) -> str:
    out = StringIO()
    call_command("migrate", *target, stdout=out, no_color=True, **options)
    return out.getvalue()


def forget(*apps: str) -> None:
    """As if no migration of them had ever run here."""
    sql("DELETE FROM django_migrations WHERE app = ANY(%s)", [list(apps)])


def applied(app: str) -> list[str]:
    return [name for (name,) in sql("SELECT name FROM django_migrations WHERE app = %s ORDER BY name", [app])]


def test_six_tables_of_one_wrong_column_each(planned: str) -> None:
    forget(*APPS)
    for table, change in WRONG.items():
        sql(f"ALTER TABLE {table} {change}")
    before = picture(records=True)

    with pytest.raises(Refused) as raised:
        migrate(fake_initial=True)

    said = str(raised.value)
    for line in (
        'portal.Profile, column "organization": length: character varying(200) in the model, character varying(250) in',
        'portal.Printer, column "ip_address": null: NOT NULL in the model, NULL in the database',
        'accounts.Profile, column "email": type: character varying(500) in the model, text in the database',
        'printers.Printer, column "ping": default: - in the model, true in the database',
        'sessions.Session, column "expire_date": type: timestamp with time zone in the model, timestamp without',
        'admin.LogEntry, column "object_repr": missing: character varying(200) NOT NULL in the model, - in the',
        'admin.LogEntry, column "object_name": unknown: - in the model, character varying(200) NOT NULL, without which',
    ):
        assert line in said
    assert "`manage.py checkschema portal --database default`" in said
    assert picture(records=True) == before


def test_django_alone_looks_at_names(planned: str) -> None:
    forget(*APPS)
    for table, change in WRONG.items():
        sql(f"ALTER TABLE {table} {change}")

    for app in APPS:
        call_command(DjangoMigrate(), app, "0001", fake_initial=True, verbosity=0)

    assert [applied(app) for app in APPS] == [["0001_initial"]] * len(APPS)


def test_without_drift_it_is_django_s_own(planned: str) -> None:
    forget("portal", "sessions")

    assert "Applying portal.0001_initial... FAKED" in migrate("portal", fake_initial=True)
    assert "Applying sessions.0001_initial... FAKED" in migrate("sessions", fake_initial=True)
    assert applied("portal")[0] == "0001_initial"


def test_only_what_would_be_faked_is_looked_at(planned: str) -> None:
    sql("ALTER TABLE portal_profile ALTER organization TYPE varchar(250)")
    forget("sessions")

    assert "Applying sessions.0001_initial... FAKED" in migrate("sessions", fake_initial=True)
    assert "No migrations to apply" in migrate("portal", "0001", fake_initial=True)


@pytest.mark.parametrize("options", [{"plan": True}, {"fake": True}, {}])
def test_other_ways_of_migrating_are_left_alone(planned: str, options: dict[str, bool]) -> None:
    sql("ALTER TABLE django_session ALTER expire_date TYPE timestamp")
    if options:
        forget("sessions")

    migrate("sessions", **options, fake_initial=bool(options))

    assert applied("sessions") == ([] if "plan" in options else ["0001_initial"])


SPLIT = {
    "0001_initial": """
    initial = True
    operations = [
        migrations.CreateModel("Profile", [("id", models.BigAutoField(primary_key=True)),
                                           ("name", models.CharField(max_length=9))]),
        migrations.CreateModel("Printer", [("id", models.BigAutoField(primary_key=True))]),
    ]
""",
    "0002_initial": """
    initial = True
    dependencies = [("portal", "0001_initial")]
    operations = [
        migrations.AddField("Printer", "profile", models.ForeignKey("portal.Profile", models.CASCADE)),
        migrations.AddConstraint("Profile", models.UniqueConstraint(fields=["name"], name="one_name")),
    ]
""",
    # Others depend on it.
    "0002_printer_longer_api_key": """
    dependencies = [("portal", "0002_initial")]
    operations = [migrations.AddField("Printer", "note", models.TextField(default=""))]
""",
}


@pytest.fixture
def split(
    tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch, django_db_setup: None, django_db_blocker: Any
) -> Iterator[Callable[[], None]]:
    """`portal` has two initial migrations, as Django writes them where models point at each other, and one more."""
    package = tmp_path / "split_portal"
    package.mkdir()
    (package / "__init__.py").touch()
    for name, body in SPLIT.items():
        code = f"from django.db import migrations, models\n\n\nclass Migration(migrations.Migration):{body}"
        (package / f"{name}.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    settings.MIGRATION_MODULES = {"portal": "split_portal"}

    def take_over() -> None:
        migrate("portal", "0002_initial")
        forget("portal")

    with django_db_blocker.unblock(), database(f"test_split_{WORKER}") as name, connected_to(name):
        yield take_over
    for module in [name for name in sys.modules if name.startswith("split_portal")]:
        del sys.modules[module]


def test_several_initial_migrations_are_compared_as_they_leave_the_tables(split: Callable[[], None]) -> None:
    split()

    out = migrate("portal", fake_initial=True)

    assert "portal.0001_initial... FAKED" in out
    assert "portal.0002_initial... FAKED" in out
    assert "portal.0002_printer_longer_api_key... OK" in out
    assert applied("portal") == list(SPLIT)


def test_drift_in_the_second_of_them_stops_the_first(split: Callable[[], None]) -> None:
    split()
    sql("ALTER TABLE portal_profile DROP CONSTRAINT one_name")

    with pytest.raises(Refused, match='portal.0001_initial, portal.0002_initial can.t be faked.*\n.*unique "one_name"'):
        migrate("portal", fake_initial=True)

    assert applied("portal") == []
