"""`--skip-bad` brings in the good rows and writes the others to a file, which `--from-rejects` reads again."""

import json
import os
import stat
from collections.abc import Callable
from functools import partial
from io import StringIO
from pathlib import Path
from typing import Any, ClassVar
from unittest.mock import Mock, patch

import psycopg
import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connections
from django.db.models import CASCADE, ForeignKey, IntegerField, TextField

from rehome import Import, Lookup
from rehome.errors import ImportFailed, Refused, is_visible
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


def test_rows_that_may_be_one_whose_key_is_unknown_are_told(shop: Workshop, tmp_path: Path) -> None:
    shop.older("old.Place", {"code": TextField()})
    shop.model("new.Place", {"legacy_id": IntegerField(unique=True)})
    places = Import("old.Place", "new.Place", key={"legacy_id": "code"})
    fill(shop, code=["1", "2", "3"])
    shop.run(places)
    shop.old("old.Place").filter(pk=1).update(code="one\n")
    shop.old("old.Place").filter(pk=3).delete()
    with patch.object(Command, "imports", [places]):
        out, _ = call(shop, "--skip-bad", str(tmp_path / "bad"), "--delete-all")
        assert contents(shop) == [(1,), (2,), (3,)]
        assert (
            "2 rows not counted as gone, though the source has no such key: it has rows whose keys are unknown, such "
            "as legacy_id=one\\n. Correct them, or what their keys are looked up in, and run the import again."
        ) in out
        shop.old("old.Place").filter(pk=1).update(code="1")
        out, _ = call(shop, "--skip-bad", str(tmp_path / "bad"), "--delete-all")
    assert contents(shop) == [(1,), (2,)]
    assert "not counted as gone" not in out


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
        with pytest.raises(Refused, match="is no regular file that can be replaced"):
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


def link(path: Path, victim: Path) -> None:
    path.symlink_to(victim)


def link_hard(path: Path, victim: Path) -> None:
    path.hardlink_to(victim)


def open_to_all(path: Path, victim: Path) -> None:
    path.write_text("somebody's")
    path.chmod(0o666)


def pipe(path: Path, victim: Path) -> None:
    os.mkfifo(path)


STANDING = [link, link_hard, open_to_all, pipe]


@pytest.mark.parametrize("stands", STANDING)
def test_whatever_stands_under_the_name_of_the_draft_is_not_written_to(
    places: Workshop, tmp_path: Path, stands: Callable[[Path, Path], None]
) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    stands(tmp_path / "bad.new", victim)
    places.run(simple(), skip_bad=tmp_path / "bad")
    assert len(lines(tmp_path / "bad")) == 4
    assert victim.read_text() == "precious"
    assert stat.S_IMODE((tmp_path / "bad").lstat().st_mode) == 0o600
    assert sorted(tmp_path.iterdir()) == [tmp_path / "bad", victim]


@pytest.mark.parametrize("stands", [link_hard, open_to_all])
def test_a_file_that_is_replaced_is_its_owners_alone(
    places: Workshop, tmp_path: Path, stands: Callable[[Path, Path], None]
) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    stands(tmp_path / "bad", victim)
    places.run(simple(), skip_bad=tmp_path / "bad")
    assert victim.read_text() == "precious"
    assert stat.S_IMODE((tmp_path / "bad").lstat().st_mode) == 0o600


def test_a_name_that_is_taken_at_the_last_moment_is_not_written_to(places: Workshop, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    real = Path.unlink

    def unlink(path: Path, missing_ok: bool = False) -> None:
        real(path, missing_ok=missing_ok)
        if not path.is_symlink():
            path.symlink_to(victim)

    with patch.object(Path, "unlink", unlink), pytest.raises(ImportFailed, match="bad can't be written: File exists"):
        places.run(simple(), skip_bad=tmp_path / "bad")
    assert victim.read_text() == "precious"
    assert contents(places) == []


def test_no_link_is_replaced_or_read(places: Workshop, tmp_path: Path) -> None:
    places.run(simple(), skip_bad=tmp_path / "bad")
    (tmp_path / "link").symlink_to(tmp_path / "bad")
    (tmp_path / "loose").symlink_to(tmp_path / "nowhere")
    for name in ("link", "loose"):
        with pytest.raises(Refused, match=f"{name} is no regular file that can be replaced"):
            places.run(simple(), skip_bad=tmp_path / name)
        with pytest.raises(Refused, match=f"{name} can't be read: a symbolic link"):
            places.run(simple(), from_rejects=tmp_path / name)
    os.mkfifo(tmp_path / "pipe")
    for name in ("pipe", "."):
        with pytest.raises(Refused, match="is no regular file|Is a directory"):
            places.run(simple(), from_rejects=tmp_path / name)
    assert not (tmp_path / "nowhere").exists()


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


def mend(shop: Workshop) -> None:
    shop.old("old.Place").update(size="5")
    shop.old("old.Place").filter(pk=5).update(code="e")


def test_a_line_stays_as_long_as_its_row_was_not_read(places: Workshop, tmp_path: Path) -> None:
    """It may have another key now; nobody knows that it is not to be imported."""
    path = tmp_path / "bad"
    places.run(simple(), skip_bad=path)
    mend(places)
    places.old("old.Place").filter(pk=2).update(id=22)
    out, _ = call(places, "--from-rejects", str(path), "--skip-bad", str(path))
    assert [line["key"] for line in lines(path)] == [{"legacy_id": "2"}]
    assert f"1 row of {path} not found at the source by key" in out
    assert f"They stay in {path}." in out
    assert len(contents(places)) == 5


def test_a_dry_run_does_not_replace_the_file_that_it_reads(places: Workshop, tmp_path: Path) -> None:
    path = tmp_path / "bad"
    places.run(simple(), skip_bad=path)
    before = path.read_text()
    with pytest.raises(Refused, match="A dry run commits nothing, so .*bad has to keep its rows"):
        places.run(simple(), skip_bad=path, from_rejects=path.parent / "." / "bad", dry_run=True)
    assert path.read_text() == before
    places.run(simple(), skip_bad=tmp_path / "other", from_rejects=path, dry_run=True)
    assert (path.read_text(), len(lines(tmp_path / "other"))) == (before, 4)


def test_what_a_killed_run_has_left_is_read_too(places: Workshop, tmp_path: Path) -> None:
    """After its commit, and before its file replaced that of the earlier run."""
    path = tmp_path / "bad"
    with patch.object(Path, "replace", side_effect=KeyboardInterrupt), pytest.raises(KeyboardInterrupt):
        places.run(simple(), skip_bad=path)
    assert len(lines(tmp_path / "bad.new")) == 4
    path.write_text("")
    with patch.object(merging, "compare", side_effect=ImportFailed("no")), pytest.raises(ImportFailed):
        places.run(simple(), skip_bad=path, from_rejects=path)
    mend(places)
    places.run(simple(), skip_bad=path, from_rejects=path)
    assert len(contents(places)) == 6
    assert (path.read_text(), list(tmp_path.iterdir())) == ("", [path])


@pytest.mark.parametrize("signal_comes", [KeyboardInterrupt, ImportFailed])
def test_a_run_that_is_interrupted_leaves_the_file_that_it_reads(
    places: Workshop, tmp_path: Path, signal_comes: type[BaseException]
) -> None:
    path = tmp_path / "bad"
    places.run(simple(), skip_bad=path)
    before = path.read_text()
    mend(places)
    committing = Mock(side_effect=signal_comes("now"))
    with pytest.raises(signal_comes):
        running.run(
            [simple()],
            running.Options(skip_bad=path, from_rejects=path),
            source=OLDER,
            apps=places.apps,
            committing=committing,
        )
    assert (path.read_text(), list(tmp_path.iterdir())) == (before, [path])
    assert len(contents(places)) == 2


HARMFUL = "x\x1b[2J\u009b31m\u202e\u2028\x85\x7f\r\n=1+1"


def test_nothing_of_a_value_is_obeyed_by_a_terminal_or_another_program(shop: Workshop, tmp_path: Path) -> None:
    make(shop, {"code": TextField(), "size": TextField()}, {"code": TextField(), "size": IntegerField()})
    declared = Import("old.Place", "new.Place", key={"code": "code"}, discard={"id"})
    shop.sql("ALTER TABLE new_place ALTER legacy_id DROP NOT NULL")
    fill(shop, code=["good", HARMFUL, f"gone{HARMFUL}", "سلام\u200c"], size=["1", HARMFUL, "3", "x"])
    with pytest.raises(ImportFailed) as failed:
        shop.run(declared)
    shop.run(declared, skip_bad=tmp_path / "bad")
    for text in (str(failed.value), (tmp_path / "bad").read_text(encoding="utf-8")):
        assert [line for line in text.split("\n") if not all(map(is_visible, line))] == []
    assert "سلام\u200c" in str(failed.value)
    assert len(str(failed.value).splitlines()) == 4, "One line for each of two rows."
    assert lines(tmp_path / "bad")[0]["key"] == {"code": HARMFUL}

    shop.old("old.Place").filter(code=f"gone{HARMFUL}").delete()
    with patch.object(Command, "imports", [declared]):
        out, _ = call(shop, "--skip-bad", str(tmp_path / "bad"))
    assert "gonex\\x1b[2J\\x9b31m\\u202e" in out
    assert all(is_visible(character) or character == "\n" for character in out)


def test_of_a_very_long_value_the_beginning_is_named(shop: Workshop, tmp_path: Path) -> None:
    make(shop, {"size": TextField()}, {"size": IntegerField()})
    fill(shop, size=["1", "x" * 3_000_000])
    with pytest.raises(ImportFailed, match=r"legacy_id=2: size 'xxx.*\.\.\. \(3000000 characters\)'") as failed:
        shop.run(simple())
    assert len(str(failed.value)) < 10_000
    shop.run(simple(), skip_bad=tmp_path / "bad")
    assert (tmp_path / "bad").stat().st_size < 10_000


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ({"other": "1"}, "has a key of old.Place -> new.Place with other, and that has legacy_id"),
        ({}, "with no field"),
        ({"legacy_id": [1]}, "names no rejected row"),
        ({"legacy_id": {"a": "b"}}, "names no rejected row"),
    ],
)
def test_a_key_that_is_none_is_refused(places: Workshop, tmp_path: Path, key: Any, said: str) -> None:
    line = {"import": "old.Place -> new.Place", "key": key, "column": "", "reason": "", "value": ""}
    (tmp_path / "bad").write_text(json.dumps(line))
    with pytest.raises(Refused, match=said):
        places.run(simple(), from_rejects=tmp_path / "bad")


def test_a_key_that_no_server_can_have_is_not_found(shop: Workshop, tmp_path: Path) -> None:
    make(shop, {"code": TextField(), "size": TextField()}, {"code": TextField(), "size": IntegerField()})
    declared = Import("old.Place", "new.Place", key={"code": "code"}, discard={"id"})
    named = [
        {"import": str(declared), "key": {"code": code}, "column": "", "reason": "", "value": None}
        for code in ("a\0b", "\ud800", "'); DROP TABLE old_place; --", "%s\\")
    ]
    path = tmp_path / "bad"
    path.write_text("\n".join(map(json.dumps, named)))
    (report,) = shop.run(declared, from_rejects=path, skip_bad=path)
    assert (report.counts.read, report.missing) == (0, 4)
    assert [line["key"] for line in lines(path)] == [line["key"] for line in named]


@pytest.mark.parametrize("kind", ["json", "jsonb", "text[]", "bytea", "tsvector", "money"])
def test_beside_a_column_of_any_type_a_bad_row_is_named(shop: Workshop, tmp_path: Path, kind: str) -> None:
    good = {"json": "{}", "jsonb": "{}", "text[]": "{a}", "money": "1"}.get(kind, "a")
    make(shop, {"size": TextField(), "beside": TextField()}, {"size": IntegerField(), "beside": TextField()})
    shop.query(f"ALTER TABLE old_place ALTER beside TYPE {kind} USING '{good}'::{kind}")
    shop.query(f"INSERT INTO old_place (id, size, beside) VALUES (1, '7', '{good}'), (2, 'x', '{good}')")
    (report,) = shop.run(simple(), skip_bad=tmp_path / "bad")
    assert (report.counts.inserted, report.counts.rejected) == (1, 1)
    assert [line["value"] for line in lines(tmp_path / "bad")] == ["x"]


def test_of_a_row_that_several_tables_make_no_half_is_imported(shop: Workshop, tmp_path: Path) -> None:
    fields = {"size": IntegerField(default=0), "code": TextField(default="")}
    make(shop, {"size": TextField()}, fields)
    shop.older("old.Code", {"code": TextField()})
    for number, size in enumerate(["1", "x", "x"], 1):
        shop.old("old.Place").create(id=number, size=size)
        shop.old("old.Code").create(id=number, code=f"c{number}")
    shop.new("new.Place").create(legacy_id=3, size=3, code="")
    both = simple(), Import("old.Code", "new.Place", key={"legacy_id": "id"}, shared=True)
    path = tmp_path / "bad"
    shop.run(*both, skip_bad=path)
    assert contents(shop, "size", "code") == [(1, 1, "c1"), (3, 3, "c3")]
    assert lines(path)[-1] == {
        "import": "old.Code -> new.Place", "key": {"legacy_id": "2"}, "column": "legacy_id", "value": "2",
        "reason": "is the key of a row that old.Place -> new.Place cannot import",
    }  # fmt: skip
    shop.old("old.Place").filter(id=2).update(size="2")
    shop.run(*both, skip_bad=path, from_rejects=path)
    assert contents(shop, "size", "code") == [(1, 1, "c1"), (2, 2, "c2"), (3, 3, "c3")]
