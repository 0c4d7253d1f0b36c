"""How the rows are joined does not depend on what ANALYZE has said of a target that was empty then."""

from pathlib import Path

import pytest
from django.db import models

from rehome import Import
from tests.rehome.importing.workshop import Workshop

pytestmark = pytest.mark.server

ROWS = 1_000
SCANS = "SELECT seq_scan FROM pg_stat_user_tables WHERE relid = 'new_place'::regclass"


@pytest.mark.parametrize("before", ["ANALYZE new_place", "SELECT 1"])
def test_a_table_that_the_import_fills_is_not_read_for_each_row(shop: Workshop, before: str) -> None:
    for make, label in ((shop.older, "old.Place"), (shop.model, "new.Place")):
        make(label, {"code": models.IntegerField()})
    shop.query("INSERT INTO old_place (code) SELECT n FROM generate_series(1, %s) AS n", [ROWS])
    shop.sql(before)

    shop.run(Import("old.Place", "new.Place", key={"code": "code"}, discard={"id"}))

    shop.sql("SELECT pg_stat_force_next_flush()")
    ((scans,),) = shop.sql(SCANS)
    assert scans < ROWS / 10
    assert shop.sql("SELECT count(*) FROM new_place") == [(ROWS,)]


@pytest.mark.parametrize("before", ["ANALYZE new_place", "DELETE FROM new_place", "SELECT 1"])
def test_nor_where_each_row_is_tried_by_itself(shop: Workshop, tmp_path: Path, before: str) -> None:
    for make, label in ((shop.older, "old.Place"), (shop.model, "new.Place")):
        make(label, {"code": models.IntegerField(unique=label == "new.Place")})
    shop.query("INSERT INTO old_place (code) SELECT n FROM generate_series(1, %s) AS n", [ROWS])
    shop.sql("INSERT INTO new_place (code) SELECT -n FROM generate_series(1, 10000) AS n")
    shop.sql("DELETE FROM new_place")
    shop.sql(before)
    shop.sql(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS "
        "'BEGIN IF NEW.code = 7 THEN RAISE ''not seven''; END IF; RETURN NEW; END'"
    )
    shop.sql("CREATE TRIGGER refuse BEFORE INSERT ON new_place FOR EACH ROW EXECUTE FUNCTION refuse()")

    places = Import("old.Place", "new.Place", key={"code": "code"}, discard={"id"})
    (report,) = shop.run(places, skip_bad=tmp_path / "bad")

    assert (report.counts.inserted, report.counts.rejected) == (ROWS - 1, 1)
    shop.sql("SELECT pg_stat_force_next_flush()")
    ((scans,),) = shop.sql(SCANS)
    assert scans < ROWS / 10
