"""The migration graph as it is delivered; what the moves do to rows is tested in tests/farm."""

import pytest
from django.core.management import call_command
from django.db import connection
from django.db.migrations.loader import MigrationLoader

MIGRATIONS = {
    "core": ["0001_province"],
    "portal": ["0001_initial"],
    "accounts": [
        "0001_initial",
        "0002_migrate_profile_data",
        "0003_profile_organization_index",
        "0004_profile_province",
    ],
    "printers": ["0001_initial", "0002_migrate_printer_data", "0003_printer_printing_index"],
}


@pytest.mark.django_db
def test_no_model_has_changed_without_a_migration() -> None:
    call_command("makemigrations", check=True, dry_run=True, verbosity=0)


@pytest.mark.parametrize("app", MIGRATIONS)
def test_the_migrations_of_each_app(app: str) -> None:
    graph = MigrationLoader(None).graph

    assert sorted(name for label, name in graph.nodes if label == app) == MIGRATIONS[app]


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
