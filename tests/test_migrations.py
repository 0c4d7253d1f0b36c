"""The migration graph as it is delivered; what the moves do to rows is tested in tests/farm."""

import pytest
from django.core.management import call_command
from django.db import connection
from django.db.migrations.loader import MigrationLoader

MIGRATIONS = {
    "core": ["0001_province", "0002_cutover_and_faults", "0003_discrepancy"],
    "portal": ["0001_initial", "0002_printer_longer_api_key"],
    "accounts": [
        "0001_initial",
        "0002_migrate_profile_data",
        "0003_profile_organization_index",
        "0004_profile_province",
    ],
    "history": ["0001_initial"],
    "fleet": ["0001_initial", "0002_draft", "0003_password_for", "0004_misses_and_waits", "0005_name_that_can_be_seen"],
    "printers": [
        "0001_initial",
        "0002_migrate_printer_data",
        "0003_printer_printing_index",
        "0004_printer_longer_api_key",
    ],
}


@pytest.mark.django_db
def test_no_model_has_changed_without_a_migration() -> None:
    call_command("makemigrations", check=True, dry_run=True, verbosity=0)


@pytest.mark.parametrize("app", MIGRATIONS)
def test_the_migrations_of_each_app(app: str) -> None:
    graph = MigrationLoader(None).graph

    assert sorted(name for label, name in graph.nodes if label == app) == MIGRATIONS[app]


@pytest.mark.parametrize("move", [("accounts", "0002_migrate_profile_data"), ("printers", "0002_migrate_printer_data")])
def test_going_back_before_a_move_unapplies_no_other_app(move: tuple[str, str]) -> None:
    """What people have noted of printers since stays where it is."""
    undone = {app for app, _ in MigrationLoader(None).graph.backwards_plan(move)}

    assert undone <= {"accounts", "printers"}


def test_profiles_move_before_the_printers_that_point_at_them() -> None:
    plan = MigrationLoader(None).graph.forwards_plan(("printers", "0002_migrate_printer_data"))

    assert ("accounts", "0002_migrate_profile_data") in plan


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("table", "index"),
    [
        ("accounts_profile", "USING btree (organization)"),
        ("printers_printer", "USING btree (profile_id) WHERE printing"),
    ],
)
def test_the_new_tables_have_the_indexes_of_their_models(table: str, index: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT indexdef FROM pg_indexes WHERE tablename = %s", [table])
        definitions = [definition for (definition,) in cursor.fetchall()]

    assert any(definition.endswith(index) for definition in definitions), definitions
