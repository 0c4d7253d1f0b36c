"""The worked example: the older application's provinces become this project's, as often as it is run."""

import dataclasses
import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from accounts.models import Profile
from core.models import Province
from legacy_app.provinces import CODES
from tests.database import url
from tests.farm import farm
from tests.legacy_app.ostans import FEATURES, TABLE, TYPED, Ostans
from tests.manage import manage
from tests.servers.mariadb import GIS_ENGINE, MariaDB
from tests.servers.postgis import PLAIN_ENGINE
from tests.servers.starting import Database

ROWS = "SELECT xmin::text, ctid::text, to_jsonb(p)::text FROM core_province p ORDER BY id"
THEIRS = f"SELECT xmin::text, ctid::text, to_jsonb(o)::text FROM {TABLE} o ORDER BY id"
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def migrate_province(live: str, older: Ostans) -> Run:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return manage("1_migrate_province", *arguments, DATABASE_URL=url(), **older.database.environment)

    return run


def counts(done: subprocess.CompletedProcess[str]) -> list[int | None]:
    """read, inserted, updated, unchanged, gone, deleted; None for what was not looked at."""
    assert done.returncode == 0, done.stderr
    line = next(line for line in done.stdout.splitlines() if line.startswith("legacy_app.Ostans -> core.Province"))
    return [None if word == "-" else int(word) for word in line.split()[3:9]]


def test_all_provinces_come_with_codes_and_borders_and_a_second_run_touches_nothing(
    migrate_province: Run, older: Ostans
) -> None:
    assert older.sql(f"SELECT count(*) FROM {TABLE} WHERE NOT ST_IsValid(border)") == [(0,)]
    theirs = older.sql(THEIRS)
    assert counts(migrate_province()) == [31, 31, 0, 0, 0, 0]

    assert dict(Province.objects.values_list("name", "code")) == CODES
    for feature in FEATURES:
        province = Province.objects.get(name=feature["properties"]["name:fa"])
        assert province.legacy_id == older.id_of(province.name_en)
        assert province.border == feature["geometry"]
    rows = farm.sql(ROWS)
    assert counts(migrate_province()) == [31, 0, 0, 31, 0, 0]
    assert farm.sql(ROWS) == rows
    assert older.sql(THEIRS) == theirs


@pytest.mark.long
def test_what_changed_at_the_source_is_brought_over_and_keys_stay(migrate_province: Run, older: Ostans) -> None:
    migrate_province()
    keys = dict(Province.objects.values_list("code", "pk"))
    resident = Profile.objects.create(name="Ada", province_id=keys["IR-23"])
    before = {row[2]: row for row in farm.sql(ROWS)}
    older.sql(f"UPDATE {TABLE} SET name_en = 'Teheran' WHERE name_en = 'Tehran'")
    # The same name from another keyboard.
    older.sql(f"UPDATE {TABLE} SET name_fa = replace(name_fa, '\u06cc', '\u064a') WHERE name_en = 'Ardabil'")
    older.sql(f"DELETE FROM {TABLE} WHERE name_en IN ('Qom', 'Yazd')")

    done = migrate_province()

    assert counts(done) == [29, 0, 1, 28, 2, 0]
    assert "2 rows are gone at the source and still here: " in done.stdout
    assert dict(Province.objects.values_list("code", "pk")) == keys
    assert Profile.objects.get(pk=resident.pk).province.name_en == "Teheran"
    assert sum(row[2] in before and before[row[2]] == row for row in farm.sql(ROWS)) == 30

    Province.objects.create(name="made here", code="XX-1")
    assert counts(migrate_province("--delete")) == [29, 0, 0, 29, 2, 2]
    assert Province.objects.count() == 30
    assert Province.objects.filter(code="XX-1").exists()
    older.sql(f"INSERT INTO {TABLE} (id, name_fa, name_en, border) SELECT 99, 'قم', NULL, border FROM {TABLE} LIMIT 1")
    assert counts(migrate_province()) == [30, 1, 0, 29, 0, 0]
    assert (Province.objects.get(legacy_id=99).code, Province.objects.get(legacy_id=99).name_en) == ("IR-25", "")


@pytest.mark.long
def test_a_province_that_somebody_lives_in_is_not_deleted(migrate_province: Run, older: Ostans) -> None:
    migrate_province()
    Profile.objects.create(name="Ada", province=Province.objects.get(code="IR-25"))
    older.sql(f"DELETE FROM {TABLE} WHERE name_en = 'Qom'")
    rows = farm.sql(ROWS)

    done = migrate_province("--delete")

    assert done.returncode == 1
    assert "accounts_profile" in done.stderr.splitlines()[-1]
    assert farm.sql(ROWS) == rows


@pytest.mark.long
def test_a_dry_run_finds_what_a_run_would_and_leaves_nothing(migrate_province: Run, older: Ostans) -> None:
    done = migrate_province("--dry-run")
    assert counts(done) == [31, 31, 0, 0, 0, 0]
    assert not Province.objects.exists()

    Province.objects.create(name="by hand", code="IR-25")
    done = migrate_province("--dry-run")
    assert done.returncode == 1
    assert "IR-25" in done.stderr
    assert Province.objects.count() == 1


@pytest.mark.long
def test_rows_that_cannot_be_imported_are_all_named_and_nothing_is_committed(
    migrate_province: Run, older: Ostans, tmp_path: Path
) -> None:
    unknown, null, twice = older.id_of("Kermanshah"), older.id_of("Fars"), older.id_of("Qom")
    tehran = older.id_of("Tehran")
    older.sql(f"UPDATE {TABLE} SET name_fa = 'باختران' WHERE id = %s", [unknown])
    older.sql(f"UPDATE {TABLE} SET name_fa = NULL WHERE id = %s", [null])
    older.sql(f"UPDATE {TABLE} SET name_fa = 'تهران ' WHERE id = %s", [twice])

    done = migrate_province()

    assert done.returncode == 1
    for row, reason in (
        (unknown, "code 'باختران': is not found in the 31 values given"),
        (unknown, "name 'باختران': is not found in the 31 values given"),
        (null, "code: is null, and the column is NOT NULL"),
        (tehran, "code 'IR-23': 2 rows of the source have it"),
        (twice, "code 'IR-23': 2 rows of the source have it"),
    ):
        assert f"legacy_app.Ostans -> core.Province, legacy_id={row}: {reason}" in done.stderr
    assert not Province.objects.exists()

    rejects = str(tmp_path / "rejects.jsonl")
    assert counts(migrate_province("--skip-bad", rejects)) == [27, 27, 0, 0, 0, 0]
    keys = dict(Province.objects.values_list("code", "pk"))
    for row, name in ((unknown, "کرمانشاه"), (null, "فارس"), (twice, "قم")):
        older.sql(f"UPDATE {TABLE} SET name_fa = %s WHERE id = %s", [name, row])
    assert counts(migrate_province("--from-rejects", rejects))[:4] == [4, 4, 0, 0]
    assert dict(Province.objects.values_list("name", "code")) == CODES
    assert keys.items() <= dict(Province.objects.values_list("code", "pk")).items()


def test_what_is_wrong_with_the_connection_is_said_before_a_row_is_read(migrate_province: Run, older: Ostans) -> None:
    older.sql(f"ALTER TABLE {TABLE} RENAME name_en TO english")
    plain = dataclasses.replace(older.database, engine=PLAIN_ENGINE)
    done = manage("1_migrate_province", DATABASE_URL=url(), **plain.environment)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines() == [
        f"CommandError: The older database has no column {TABLE}.name_en, which legacy_app.Ostans.name_en names. "
        "Correct the field's db_column, or remove the field from the model.",
        f"legacy_app.Ostans.border is a geometry, which {PLAIN_ENGINE} does not support. Set LEGACY_DB_ENGINE="
        "django.contrib.gis.db.backends.postgis.",
    ]


@pytest.mark.long
def test_from_mariadb_they_come_alike(live: str, maria: Database, mariadb: MariaDB) -> None:
    rows = []
    for number, feature in enumerate(FEATURES, start=1):
        name, english = feature["properties"]["name:fa"], feature["properties"]["name:en"]
        border = f"ST_GeomFromGeoJSON('{json.dumps(feature['geometry'])}')"
        rows.append(f"({number}, '{TYPED.get(name, name)}', '{english}', {border})")
    mariadb.run(f"INSERT INTO {TABLE} (id, name_fa, name_en, border) VALUES {', '.join(rows)}", name=maria.name)
    environment = dataclasses.replace(maria, engine=GIS_ENGINE).environment
    for expected in ([31, 31, 0, 0, 0, 0], [31, 0, 0, 31, 0, 0]):
        assert counts(manage("1_migrate_province", DATABASE_URL=url(), **environment)) == expected
    assert dict(Province.objects.values_list("name", "code")) == CODES
    borders = dict(Province.objects.values_list("legacy_id", "border"))
    assert [borders[number] for number in range(1, 32)] == [feature["geometry"] for feature in FEATURES]
