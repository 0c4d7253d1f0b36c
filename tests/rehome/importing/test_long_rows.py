"""Memory holds a few of the largest rows at a time, however many there are."""

import re
from pathlib import Path

import pytest
from django.db.models import BinaryField, TextField

from tests.rehome.importing.test_rejects import make, simple
from tests.rehome.importing.workshop import Workshop

pytestmark = pytest.mark.long

SIZE = 2_000_000
ROWS = 30
LINE = 5 * SIZE
"""Of COPY: a text, one whose characters are escaped, and as many bytes in hexadecimal."""
HELD = {"shop": 9, "mysql_shop": 5}
"""How many times a line: as it came, decoded and encoded again, gathered, and what both drivers hold of it. Of MySQL
one value of a row at a time.
"""
GENERATED = {
    "shop": f"SELECT n, repeat('x', {SIZE}), repeat(chr(92), {SIZE}), decode(repeat('0a', {SIZE}), 'hex') "
    f"FROM generate_series(1, {ROWS}) AS n",
    "mysql_shop": f"SELECT seq, repeat('x', {SIZE}), repeat(char(92), {SIZE}), repeat(char(10), {SIZE}) "
    f"FROM seq_1_to_{ROWS}",
}


def peak() -> int:
    """The most memory that this process has had since `forget_peak`, in bytes."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found
    return int(found[1]) * 1024


def forget_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


@pytest.mark.parametrize("server", GENERATED)
@pytest.mark.parametrize("bad", [False, True])
def test_memory_does_not_grow_with_long_rows(
    request: pytest.FixtureRequest, tmp_path: Path, server: str, bad: bool
) -> None:
    shop: Workshop = request.getfixturevalue(server)
    fields = {"t": TextField(), "u": TextField(), "b": BinaryField()}
    make(shop, fields, fields)
    # A few short rows come first: nobody knows then how long the others are.
    shop.query("INSERT INTO old_place (id, t, u, b) VALUES (101, 'x', '', ''), (102, 'x', '', ''), (103, 'x', '', '')")
    shop.query(f"INSERT INTO old_place (id, t, u, b) {GENERATED[server]}")
    if bad:
        shop.sql("ALTER TABLE new_place ADD CONSTRAINT no_seven CHECK (legacy_id <> 7)")

    forget_peak()
    before = peak()
    (report,) = shop.run(simple(), skip_bad=tmp_path / "bad")
    grown = peak() - before

    assert report.counts.inserted == ROWS + 3 - bad
    assert grown < HELD[server] * LINE, f"{grown / LINE:.1f} lines"
