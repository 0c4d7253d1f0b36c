"""MySQL's times of zeros, which are none, in texts: as MySQL writes them, whoever reads them."""

import pytest
from django.db import connections, models

from rehome import Import
from tests.rehome.importing.proof.test_proof import prove, said
from tests.rehome.importing.test_mysql import make_things, run_at_source, values
from tests.rehome.importing.workshop import OLDER, Workshop

ZEROS = {
    "date": (["0000-00-00", "2024-00-00", "2024-06-01"], ""),
    "datetime": (["0000-00-00 00:00:00", "2024-02-00 10:00:00", "2024-06-01 10:00:00"], ""),
    "datetime(6)": (["0000-00-00 00:00:00.000000", "2024-00-00 00:00:00.000001", "2024-06-01 10:00:00.000000"], ""),
    "timestamp": (["0000-00-00 00:00:00", "1970-01-01 00:00:01", "2024-06-01 10:00:00"], "+00"),
    "timestamp(6)": (["0000-00-00 00:00:00.000000", "1970-01-01 00:00:00.000001", "2024-06-01 10:00:00.500000"], "+00"),
}


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin"])
def test_they_are_as_mysql_writes_them(mysql_shop: Workshop, zone: str) -> None:
    connections[OLDER].settings_dict["TIME_ZONE"] = zone
    connections[OLDER].close()
    for setting in ("timezone", "timezone_name"):
        vars(connections[OLDER]).pop(setting, None)
    names = [f"f{number}" for number, _ in enumerate(ZEROS)]
    texts: dict[str, models.Field] = {name: models.TextField(null=True) for name in names}
    columns = ", ".join(f"{name} {kind} NULL" for name, kind in zip(names, ZEROS, strict=True))
    make_things(mysql_shop, columns, texts, texts)
    rows = [", ".join(f"'{written[number]}'" for written, _ in ZEROS.values()) for number in range(3)]
    run_at_source(
        "SET time_zone = '+00:00'",
        f"INSERT INTO old_thing VALUES {', '.join(f'({number}, {row})' for number, row in enumerate(rows, 1))}",
        f"INSERT INTO old_thing VALUES (4{', NULL' * len(names)})",
    )
    things = Import("old.Thing", "new.Thing", key={"legacy_id": "id"})
    mysql_shop.run(things)
    assert values(mysql_shop, *names) == [
        tuple(written[0] for written, _ in ZEROS.values()),
        *(tuple(f"{written[number]}{utc}" for written, utc in ZEROS.values()) for number in (1, 2)),
        (None,) * len(names),
    ]
    assert said(prove(mysql_shop, things)) == []
