"""`--skip-bad` brings in the good rows and writes the others to a file, which `--from-rejects` reads again."""

import json
import os
from functools import partial
from io import StringIO
from pathlib import Path
from typing import Any, ClassVar
from unittest.mock import patch

import psycopg
import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connections
from django.db.models import CASCADE, ForeignKey, IntegerField, TextField

from rehome import Import, Lookup
from rehome.errors import ImportFailed, Refused
from rehome.importing import merging, running
from rehome.importing.rejected import skipping
from rehome.management.importing import ImportCommand
from tests.rehome.importing.test_rejects import make, simple
from tests.rehome.importing.test_rejects_one_by_one import contents, fill
from tests.rehome.importing.workshop import OLDER, Workshop


class Command(ImportCommand):
    imports: ClassVar = [simple()]


def call(shop: Workshop, *args: Any, **options: Any) -> tuple[str, str]:
    """What the command says on stdout and on stderr."""
    out, err = StringIO(), StringIO()
    with patch.object(running, "run", partial(running.run, apps=shop.apps)):
        call_command(Command(), *args, source=OLDER, stdout=out, stderr=err, **options)
    return out.getvalue(), err.getvalue()


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture
def places(shop: Workshop) -> Workshop:
    """Two good rows and, of each sort, one that is bad."""
    make(
        shop,
        {"size": TextField(null=True), "code": TextField()},
        {"size": IntegerField(), "code": TextField(unique=True)},
    )
    fill(shop, size=["1", "x", None, "4", "5", "6"], code=["a", "ب\t\\", "c", "d", "d", "f"])
    return shop


def test_good_rows_are_committed_and_bad_ones_are_in_the_file(places: Workshop, tmp_path: Path) -> None:
    path = tmp_path / "bad.jsonl"
    out, err = call(places, "--skip-bad", str(path))
    assert contents(places, "size") == [(1, 1), (6, 6)]
    assert "4 rows could not be imported; see" in out
    assert "4 rows could not be imported and stay as they were." in err
    name = "old.Place -> new.Place"
    first, second, *others = lines(path)
    assert first == {
        "import": name, "key": {"legacy_id": "2"}, "column": "size", "value": "x",
        "reason": 'invalid input syntax for type integer: "x"',
    }  # fmt: skip
    assert second["key"] == {"legacy_id": "3"}
    assert second["value"] is None
    assert [(other["key"]["legacy_id"], other["column"], other["value"]) for other in others] == [
        ("4", "code", "d"),
        ("5", "code", "d"),
    ]
    assert list(tmp_path.iterdir()) == [path]


def test_a_row_that_is_skipped_stays_as_it_was_and_is_not_gone(places: Workshop, tmp_path: Path) -> None:
    places.old("old.Place").filter(pk__in=[2, 3, 5]).update(size="7")
    places.old("old.Place").filter(pk=5).update(code="e")
    places.run(simple())
    keys = contents(places, "pk")
    places.old("old.Place").filter(pk=2).update(size="x", code="other")
    places.old("old.Place").filter(pk=6).delete()
    (report,) = places.run(simple(), skip_bad=tmp_path / "bad", delete=True)
    assert (report.counts.rejected, report.counts.gone_keys, report.counts.deleted) == (1, ("6",), 1)
    assert contents(places, "pk") == keys[:-1]
    assert places.new("new.Place").get(legacy_id=2).size == 7


def test_what_a_skipped_row_keeps_is_not_free_for_others(places: Workshop, tmp_path: Path) -> None:
    places.old("old.Place").filter(pk__in=[2, 3, 4]).delete()
    places.run(simple())
    places.old("old.Place").filter(pk=1).update(size="x", code="z")
    places.old("old.Place").create(id=9, size="9", code="a")
    (report,) = places.run(simple(), skip_bad=tmp_path / "bad")
    assert report.counts.rejected == 2
    assert [(line["key"]["legacy_id"], line["column"]) for line in lines(tmp_path / "bad")] in [
        [("1", "size"), ("9", "code")],
        [("9", "code"), ("1", "size")],
    ]
    assert contents(places, "code") == [(1, "a"), (5, "d"), (6, "f")]


def test_a_later_run_reads_only_the_rows_of_the_file(places: Workshop, tmp_path: Path) -> None:
    path = tmp_path / "bad.jsonl"
    places.run(simple(), skip_bad=path)
    places.old("old.Place").filter(pk=1).update(size="100")
    places.old("old.Place").filter(pk=2).update(size="2")
    places.old("old.Place").filter(pk=5).update(code="e")
    (report,) = places.run(simple(), skip_bad=path, from_rejects=path)
    assert (report.counts.read, report.counts.inserted, report.counts.rejected, report.counts.gone) == (3, 3, 1, None)
    assert contents(places, "size") == [(1, 1), (2, 2), (4, 4), (5, 5), (6, 6)]
    assert [line["key"] for line in lines(path)] == [{"legacy_id": "3"}]

    places.old("old.Place").filter(pk=3).update(size="3")
    call(places, "--skip-bad", str(path), "--from-rejects", str(path))
    assert path.read_text() == ""
    assert contents(places, "size")[2] == (3, 3)
    out, _ = call(places, "--from-rejects", str(path))
    assert "names no row" in out


def test_a_key_of_several_fields_and_one_that_is_null_are_found_again(shop: Workshop, tmp_path: Path) -> None:
    shop.older("old.Place", {"kind": TextField(), "number": IntegerField(null=True), "size": TextField()})
    shop.model("new.Place", {"kind": TextField(), "number": IntegerField(null=True), "size": IntegerField()})
    fill(shop, kind=["a", "a", "b", "b"], number=[1, 2, 1, None], size=["x", "2", "y", "4"])
    declared = Import("old.Place", "new.Place", key={"kind": "kind", "number": "number"})
    path = tmp_path / "bad"
    (report,) = shop.run(declared, skip_bad=path)
    assert (report.counts.inserted, report.counts.rejected) == (1, 3)
    shop.old("old.Place").update(size="5")
    shop.old("old.Place").filter(number=None).update(number=3)
    (report,) = shop.run(declared, from_rejects=path)
    assert (report.counts.read, report.counts.inserted) == (2, 2)
    (report,) = shop.run(declared)
    assert (report.counts.inserted, report.counts.updated) == (1, 1)


def test_rows_of_mysql_are_numbered_across_its_batches(mysql_shop: Workshop, tmp_path: Path) -> None:
    shop = mysql_shop
    make(shop, {"code": TextField(), "size": TextField()}, {"code": TextField(), "size": IntegerField()})
    shop.query("INSERT INTO old_place (id, code, size) SELECT seq, 'code', seq FROM seq_1_to_5000")
    shop.query("UPDATE old_place SET code = 'a\\0b' WHERE id IN (1, 1234, 4999)")
    shop.query("UPDATE old_place SET size = 'x' WHERE id IN (2, 4999)")
    (report,) = shop.run(simple(), skip_bad=tmp_path / "bad")
    assert (report.counts.inserted, report.counts.rejected) == (4996, 4)
    found = {(line["key"]["legacy_id"], line["column"], line["reason"][:15]) for line in lines(tmp_path / "bad")}
    assert found == {
        ("1", "code", "contains a NUL "),
        ("1234", "code", "contains a NUL "),
        ("4999", "code", "contains a NUL "),
        ("2", "size", "invalid input s"),
        ("4999", "size", "invalid input s"),
    }
    shop.query("UPDATE old_place SET code = 'mended', size = '1'")
    (report,) = shop.run(simple(), from_rejects=tmp_path / "bad")
    assert (report.counts.read, report.counts.inserted) == (4, 4)


def test_a_dry_run_writes_the_file_and_commits_nothing(places: Workshop, tmp_path: Path) -> None:
    out, _ = call(places, "--dry-run", "--skip-bad", str(tmp_path / "bad"))
    assert "nothing is committed" in out
    assert len(lines(tmp_path / "bad")) == 4
    assert contents(places) == []


def test_a_run_that_fails_leaves_the_older_file(places: Workshop, tmp_path: Path) -> None:
    path = tmp_path / "bad"
    path.write_text("older")
    with patch.object(merging, "compare", side_effect=ImportFailed("no")), pytest.raises(ImportFailed):
        places.run(simple(), skip_bad=path)
    assert (path.read_text(), list(tmp_path.iterdir())) == ("older", [path])
    with pytest.raises(ImportFailed, match=r"nowhere.* can't be written: No such file .*Nothing is committed"):
        places.run(simple(), skip_bad=tmp_path / "nowhere" / "bad")
    assert contents(places) == []


def test_what_is_no_file_is_not_replaced(places: Workshop, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe"):
        with pytest.raises(Refused, match="is no file that can be replaced"):
            places.run(simple(), skip_bad=path)
    assert contents(places) == []

    def finish(self: running.Run, found: Any) -> None:
        original(self, found)
        (tmp_path / "late").mkdir()

    original = running.Run.finish
    with patch.object(running.Run, "finish", finish), pytest.raises(ImportFailed, match="rows are committed.*late.new"):
        places.run(simple(), skip_bad=tmp_path / "late")
    assert len(lines(tmp_path / "late.new")) == 4
    assert len(contents(places)) == 2


def test_rows_written_meanwhile_are_found(places: Workshop, tmp_path: Path) -> None:
    places.old("old.Place").update(size="7")
    places.run(simple(), skip_bad=tmp_path / "bad")
    places.old("old.Place").update(size="9")
    places.old("old.Place").filter(pk=2).update(size="x")
    original, seen = skipping.SkippingMerge.try_all, []

    def try_all(self: skipping.SkippingMerge, *arguments: Any) -> Any:
        if not seen:
            seen.append(True)
            with psycopg.connect(**connections["default"].get_connection_params()) as other:
                other.execute("UPDATE new_place SET size = 77")
        return original(self, *arguments)

    with patch.object(skipping.SkippingMerge, "try_all", try_all):
        places.run(simple(), skip_bad=tmp_path / "bad")
    assert contents(places, "size") == [(1, 9), (2, 77), (3, 9), (6, 9)]
    assert {line["key"]["legacy_id"] for line in lines(tmp_path / "bad")} == {"2", "4", "5"}


def test_a_key_that_is_looked_up_is_written_as_the_source_has_it(shop: Workshop, tmp_path: Path) -> None:
    shop.model("new.Owner", {"code": TextField()})
    shop.new("new.Owner").bulk_create([shop.get("new.Owner")(code=code) for code in "ab"])
    shop.older("old.Place", {"owner": TextField(), "n": IntegerField(), "size": TextField()})
    owner = ForeignKey("new.Owner", CASCADE)
    shop.model("new.Place", {"owner": owner, "n": IntegerField(), "size": IntegerField()})
    fill(shop, owner=["a", "b", "z"], n=[1, 1, 1], size=["1", "x", "3"])
    declared = Import(
        "old.Place", "new.Place", key={"owner": "owner", "n": "n"}, lookups={"owner": Lookup("new.Owner", by="code")}
    )
    path = tmp_path / "bad"
    shop.run(declared, skip_bad=path)
    assert [line["key"] for line in lines(path)] == [{"owner": "b", "n": "1"}, {"owner": "z", "n": "1"}]
    shop.old("old.Place").filter(owner="b").update(size="2")
    (report,) = shop.run(declared, from_rejects=path, skip_bad=path)
    assert (report.counts.read, report.counts.rejected) == (1, 1)
    shop.old("old.Place").filter(owner="a").update(size="y")
    (report,) = shop.run(declared, skip_bad=path, delete=True)
    assert (report.counts.gone, report.counts.deleted, report.counts.rejected) == (0, 0, 2)


def test_without_the_option_the_command_names_the_rows_and_fails(places: Workshop) -> None:
    with pytest.raises(
        CommandError, match="(?s)4 rows cannot be imported.*legacy_id=2: size 'x'.*--skip-bad FILE"
    ) as failed:
        call(places)
    assert failed.value.returncode == 1
    assert contents(places) == []


def test_all_are_named_at_verbosity_2(places: Workshop) -> None:
    places.old("old.Place").bulk_create([places.get("old.Place")(id=n, size="x", code=f"n{n}") for n in range(10, 40)])
    with pytest.raises(CommandError, match=r"\.\.\. and 14 more"):
        call(places)
    with pytest.raises(CommandError) as failed:
        call(places, verbosity=2)
    assert str(failed.value).count("\n  ") == 34


def test_files_that_are_none_are_refused_and_deleting_too(places: Workshop, tmp_path: Path) -> None:
    path = tmp_path / "bad"
    for content, match in [
        (b"nonsense\n", "Line 1 of .* names no rejected row: 'nonsense'"),
        (b"[1]\n", "names no rejected row"),
        (b"\xff\n", "is not UTF-8"),
        (
            b'{"import": "other", "key": {}, "column": "", "reason": "", "value": null}',
            "which this command does not run",
        ),
        (
            b'{"import": "old.Place -> new.Place", "key": {"legacy_id": "x"}, "column": "", "reason": "", "value": ""}',
            "can't look for a key",
        ),
    ]:
        path.write_bytes(content)
        with pytest.raises(Refused, match=match):
            places.run(simple(), from_rejects=path)
    with pytest.raises(Refused, match="can't be read: No such file"):
        places.run(simple(), from_rejects=tmp_path / "none")
    with pytest.raises(CommandError, match="so --delete can't know which are gone. Leave one of them out") as failed:
        call(places, "--from-rejects", str(path), "--delete")
    assert failed.value.returncode == 2
    assert connections["default"].is_usable()
