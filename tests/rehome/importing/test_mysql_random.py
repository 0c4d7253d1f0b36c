"""Random rows of MariaDB, compared with what was written there. pytest-randomly prints and repeats the seed."""

# ruff: noqa: S311

import datetime
import random
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from django.db import connections, models

from rehome import Import
from tests.rehome.importing.workshop import OLDER, Workshop

ROWS = 1_000
SPECIAL = [
    "\\",
    "\t",
    "\n",
    "\r",
    "\\N",
    "\\.",
    "'",
    '"',
    "{",
    ",",
    "%",
    " ",
    "a",
    "é",
    "س",
    "🖨",
    "\x01",
    "\x7f",
    "\u200c",
    "\ufeff",
]


def text() -> str:
    return "".join(random.choices(SPECIAL, k=random.choice([0, 1, 2, 5, 50, 3000])))


def moment() -> datetime.datetime:
    return datetime.datetime(1000, 1, 1, tzinfo=datetime.UTC) + random.random() * datetime.timedelta(days=3_000_000)


VALUES: dict[str, Callable[[], Any]] = {
    "note": text,
    "name": lambda: text()[:30],
    # Some are larger than a block by far.
    "photo": lambda: random.randbytes(random.choice([0, 1, 16, 300, 300, 70_000])),
    "price": lambda: Decimal(random.randint(-(10**19), 10**19)).scaleb(-6),
    "ratio": lambda: random.choice([0.0, 1e-300, 1.7e308, random.random(), random.uniform(-1e9, 1e9)]),
    "huge": lambda: Decimal(random.randrange(2**64)),
    "seen": moment,
    "took": lambda: datetime.timedelta(milliseconds=random.randint(-3_016_800_000, 3_016_800_000)),
}
TABLE = """
CREATE TABLE old_thing (id int PRIMARY KEY, note text CHARACTER SET utf8mb4, name varchar(30) CHARACTER SET utf8mb4,
                        photo mediumblob, price decimal(20, 6), ratio double, huge bigint unsigned, seen datetime(6),
                        took time(3))
"""


def test_random_rows_arrive_as_they_were_written(mysql_shop: Workshop) -> None:
    rows = [[n, *(make() if random.random() < 0.9 else None for make in VALUES.values())] for n in range(ROWS)]
    with connections[OLDER].cursor() as cursor:
        cursor.execute(TABLE)
        written = [[v.replace(tzinfo=None) if isinstance(v, datetime.datetime) else v for v in row] for row in rows]
        cursor.executemany(f"INSERT INTO old_thing VALUES ({', '.join(['%s'] * len(rows[0]))})", written)
    fields = {
        "note": models.TextField(null=True),
        "name": models.CharField(max_length=30, null=True),
        "photo": models.BinaryField(null=True),
        "price": models.DecimalField(max_digits=20, decimal_places=6, null=True),
        "ratio": models.FloatField(null=True),
        "huge": models.DecimalField(max_digits=20, decimal_places=0, null=True),
        "seen": models.DateTimeField(null=True),
        "took": models.DurationField(null=True),
    }
    mysql_shop.older("old.Thing", fields, managed=False, db_table="old_thing")
    mysql_shop.model("new.Thing", {"legacy_id": models.IntegerField(unique=True), **fields})

    mysql_shop.run(Import("old.Thing", "new.Thing", key={"legacy_id": "id"}))

    found = mysql_shop.new("new.Thing").order_by("legacy_id").values_list("legacy_id", *VALUES)
    assert [[bytes(v) if isinstance(v, memoryview) else v for v in row] for row in found] == rows
