"""`migrate` wants a proved backup where one is required, and the database's name where old rows would be dropped."""

import dataclasses
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core.management import call_command
from pytest_django import Settings

from rehome.errors import Refused
from rehome.ops.backups import store as storing
from rehome.ops.backups.store import Store
from tests.farm import farm
from tests.rehome.support.backups import made, rows, run

pytestmark = pytest.mark.server


def migrate(*target: str, **options: Any) -> None:
    call_command("migrate", *target, verbosity=0, interactive=False, **options)


@pytest.mark.long
def test_a_move_is_refused_without_a_proved_backup_that_is_young_and_goes_back_without(
    planned: str, store: Store, settings: Settings
) -> None:
    before = farm.picture(records=True)
    with pytest.raises(
        Refused,
        match="portal.Profile -> accounts.Profile needs a backup. No proved backup .* is younger than 24 hours: there "
        "is no backup at all.*`manage.py backup` and then `manage.py checkbackup`. Nothing is changed",
    ):
        migrate(require_backup=24)
    settings.REHOME_REQUIRE_BACKUP = 24
    backup = made(store)
    with pytest.raises(Refused, match="dump is there, and is not proved. Prove it with `manage.py checkbackup`"):
        migrate()
    run("checkbackup")
    old = dataclasses.replace(backup.manifest, taken_at=datetime.now(UTC) - timedelta(hours=25))
    place = storing.beside(str(backup), storing.MANIFEST)
    store.save_text(place, old.as_json())
    run("checkbackup")
    with pytest.raises(Refused, match="the last one is 25 hours old"):
        migrate()
    assert farm.picture(records=True) == before
    store.save_text(place, backup.manifest.as_json())
    run("checkbackup")
    migrate()
    farm.assert_in_step()
    store.delete(backup)
    migrate("printers", "0001")
    with pytest.raises(Refused, match="needs a backup"):
        migrate()
    migrate(require_backup=0)


@pytest.mark.long
def test_a_new_database_needs_no_backup(empty: None, store: Store) -> None:
    """Its moves have no rows."""
    migrate(require_backup=24)
    assert rows("SELECT count(*) FROM portal_printer") == [(0,)]


def test_a_wrong_confirmation_is_refused_where_nothing_would_be_dropped(planned: str, store: Store) -> None:
    with pytest.raises(Refused, match=f"--confirm names 'portal', and this is database '{planned}'"):
        migrate(confirm="portal")


def test_a_setting_that_is_no_number_is_refused(planned: str, settings: Settings) -> None:
    settings.REHOME_REQUIRE_BACKUP = "soon"
    with pytest.raises(Refused, match="REHOME_REQUIRE_BACKUP is 'soon', which is no whole number"):
        migrate()
