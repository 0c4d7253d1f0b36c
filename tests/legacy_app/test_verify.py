"""`verifymoves` compares the provinces with the older database, and says so when it can't be reached."""

import json
from typing import Any

import pytest

from accounts.models import Profile
from core.models import Province
from tests.database import url
from tests.legacy_app.ostans import TABLE, Ostans
from tests.manage import manage

NAME = "legacy_app.Ostans -> core.Province"


def verify(*arguments: str, **environment: str) -> tuple[int, Any]:
    done = manage("verifymoves", "--format", "json", *arguments, DATABASE_URL=url(), **environment)
    return done.returncode, json.loads(done.stdout)


@pytest.mark.long
def test_provinces_are_verified_with_the_moves(live: str, older: Ostans) -> None:
    connected = older.database.environment
    assert manage("1_migrate_province", DATABASE_URL=url(), **connected).returncode == 0
    code, found = verify(**connected)
    assert (code, found["ok"], [one["import"] for one in found["imports"]]) == (0, True, [NAME])
    [one] = found["imports"]
    assert one.pop("compared") == {
        "legacy_id": "by both servers, as numbers",
        "name": "value by value, looked up in the 31 values given",
        "name_en": "value by value, computed by an expression",
        "code": "value by value, looked up in the 31 values given",
        "border": "value by value, parsed, as JSON",
    }
    assert one | {"seconds": 0} == {
        "import": NAME, "ok": True, "source_rows": 31, "target_rows": 31, "missing": 0, "extra": 0, "different": 0,
        "seconds": 0, "problem": "", "differences": [], "figures": [],
    }  # fmt: skip
    assert len(found["moves"]) == 2

    Province.objects.filter(code="IR-23").update(name_en="Changed here")
    older.sql(f"DELETE FROM {TABLE} WHERE name_en = 'Qom'")
    Profile.objects.create(name="Ada", province=Province.objects.get(code="IR-25"))
    code, found = verify("core.Province", **connected)
    (one,) = found["imports"]
    assert (code, found["moves"], one["extra"], one["different"], one["missing"]) == (1, [], 1, 1, 0)
    assert {(line["kind"], *line["columns"]) for line in one["differences"]} == {("extra",), ("different", "name_en")}

    code, found = verify(**connected | {"LEGACY_DB_PASSWORD": "wrong"})
    assert (code, found["imports"][0]["source_rows"], found["imports"][0]["ok"]) == (1, None, False)
    assert "password authentication failed" in found["imports"][0]["problem"]
    # Without the connection the app is not installed, and its imports are nobody's.
    code, found = verify()
    assert (code, found["imports"], len(found["moves"])) == (0, [], 2)
