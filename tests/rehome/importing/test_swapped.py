"""An import with --source and --database swapped writes nothing into the older database."""

import pytest
from django.db import DEFAULT_DB_ALIAS, connections, models
from django.test import override_settings

from rehome import Import
from rehome.errors import Refused
from rehome.importing import running
from rehome.importing.readonly import APPS
from rehome.importing.running import Options
from tests.rehome.importing.workshop import OLDER, Workshop

BOTH = {"legacy_id": models.IntegerField(unique=True), "name": models.TextField()}
THINGS = Import("old.Thing", "new.Thing", key={"legacy_id": "legacy_id"})


@pytest.fixture
def twins(shop: Workshop) -> Workshop:
    """Both databases have tables of both names, as a copy of one application has."""
    shop.older("old.Thing", BOTH, db_table="thing")
    shop.model("new.Thing", BOTH, db_table="new_thing")
    shop.sql("CREATE TABLE thing (LIKE new_thing INCLUDING ALL)")
    shop.query("CREATE TABLE new_thing (LIKE thing INCLUDING ALL)")
    shop.old("old.Thing").create(legacy_id=1, name="older")
    shop.sql("INSERT INTO thing (id, legacy_id, name) VALUES (9, 9, 'here')")
    return shop


def swap(shop: Workshop) -> None:
    running.run([THINGS], Options(), source=DEFAULT_DB_ALIAS, target=OLDER, apps=shop.apps)


def test_where_it_ran_before_the_record_says_so(twins: Workshop) -> None:
    twins.run(THINGS)
    with pytest.raises(Refused, match="'default' has rows of it that came from 'older'.* Swap --source and --database"):
        swap(twins)
    assert twins.query("SELECT count(*) FROM new_thing") == [(0,)]


class NewRouter:
    def db_for_write(self, model: type, **hints: object) -> str | None:
        return OLDER if model._meta.app_label == "new" else None  # type: ignore[attr-defined]


def test_where_it_never_ran_the_project_writes_to_the_other_one(twins: Workshop) -> None:
    """It has no router and no read-only alias."""
    with pytest.raises(Refused, match="this project writes new.Thing to 'default'.* Swap --source and --database"):
        swap(twins)
    assert twins.query("SELECT count(*) FROM new_thing") == [(0,)]
    assert twins.query("SELECT to_regclass('rehome_importrun')") == [(None,)]
    with override_settings(DATABASE_ROUTERS=[NewRouter()]):
        swap(twins)
    assert twins.query("SELECT legacy_id, name FROM new_thing") == [(9, "here")]


class OldRouter:
    def db_for_read(self, model: type, **hints: object) -> str | None:
        return OLDER if model._meta.app_label == "old" else None  # type: ignore[attr-defined]


@override_settings(DATABASE_ROUTERS=[OldRouter()])
def test_the_projects_routers_say_so(twins: Workshop) -> None:
    with pytest.raises(Refused, match="the routers read old.Thing from 'older'"):
        swap(twins)


@override_settings(DATABASE_ROUTERS=["rehome.ReadOnlyRouter"])
def test_a_read_only_database_is_no_target(twins: Workshop) -> None:
    connections[OLDER].settings_dict[APPS] = ("old",)
    connections.settings[OLDER][APPS] = ("old",)
    with pytest.raises(Refused, match="'older' is a read-only database of the settings"):
        swap(twins)
    (report,) = running.run([THINGS], Options(), apps=twins.apps)
    assert report.counts.inserted == 1
