"""Parts of a draft that need no project: how a migration is laid out, and that files are written together or not."""

import os
import signal
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError
from django.db import migrations, models
from django.db.migrations import Migration
from django.db.migrations.writer import MigrationWriter
from pytest_django.fixtures import Settings

from rehome import NamesAside, Rebase, Relabel
from rehome.graph import row_locks
from rehome.graph.drafting import mentions, writing
from rehome.graph.drafting.layout import WIDTH, text_of
from rehome.graph.drafting.pairs import Pair
from rehome.graph.drafting.writing import File, write


def test_a_file_that_can_not_be_written_leaves_every_file_as_it_was(tmp_path: Path) -> None:
    replaced, there, new = (tmp_path / name for name in ("0002_delete.py", "0003_there.py", "0001_new.py"))
    replaced.write_bytes(b"old\r\n")
    replaced.chmod(0o640)
    there.write_text("somebody's")
    before = replaced.stat()

    with pytest.raises(
        CommandError, match=r"^The migrations can't be written: .*File exists.*Every file is as it was\."
    ):
        write([File(new, "new"), File(there, "ours")], [replaced])

    assert (replaced.read_bytes(), there.read_text(), new.exists()) == (b"old\r\n", "somebody's", False)
    assert (replaced.stat().st_mode, replaced.stat().st_mtime_ns) == (before.st_mode, before.st_mtime_ns)


def test_links_and_what_has_another_name_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "0001_link.py").symlink_to("nowhere")

    with pytest.raises(CommandError, match="File exists"):
        write([File(tmp_path / "0001_link.py", "ours")], [])

    assert os.readlink(tmp_path / "0001_link.py") == "nowhere"


def test_a_replaced_file_may_keep_its_name(tmp_path: Path) -> None:
    path = tmp_path / "0001_initial.py"
    path.write_text("old")

    write([File(path, "new")], [path])

    assert path.read_text() == "new"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_between_two_files_leaves_every_file_as_it_was(
    number: signal.Signals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other, replaced = (tmp_path / name for name in ("0001_one.py", "0002_other.py", "0001_gone.py"))
    replaced.write_text("old")
    put = writing.put

    def put_and_be_stopped(file: File) -> None:
        put(file)
        signal.raise_signal(number)

    monkeypatch.setattr(writing, "put", put_and_be_stopped)

    with pytest.raises(CommandError, match=r"^Interrupted\. Every file is as it was\.$") as told:
        write([File(one, "new"), File(other, "new")], [replaced])
    assert told.value.returncode == 128 + number

    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"0001_gone.py": "old"}


HEAD = """\
import django.db.models.deletion
from django.db import migrations, models

from rehome import NamesAside, Rebase, Relabel


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("old", "0001_initial")]
    operations = [
        NamesAside(model="old.Thing", names=["by_name"]),
"""


def test_the_text_of_operations_is_what_a_formatter_would_leave() -> None:
    migration = Migration("0001_initial", "new")
    migration.atomic = False
    migration.dependencies = [("old", "0001_initial")]
    key = models.BigAutoField(primary_key=True)
    label = models.CharField("an 'odd' label", max_length=20, help_text='with "quotes"')
    migration.operations = [
        NamesAside("old.Thing", ["by_name"]),
        migrations.CreateModel("Thing", [("id", key), ("label", label)], {"unique_together": {("id", "label")}}),
        Rebase("Child", ["new.thing"], ("thing_ptr", models.OneToOneField("new.thing", models.CASCADE))),
        Relabel("old.Thing", "new.Thing"),
    ]

    text = text_of(migration)

    assert max(map(len, text.splitlines())) <= WIDTH
    assert text.partition("        migrations.CreateModel(")[0] == HEAD
    names: dict[str, Any] = {}
    exec(text, names)  # noqa: S102
    written = names["Migration"].operations
    assert [MigrationWriter.serialize(operation)[0] for operation in written] == [
        MigrationWriter.serialize(operation)[0] for operation in migration.operations
    ]


CODE = """\
\"\"\"portal.Printer in a docstring is a person's to read.\"\"\"
LABELS = {"portal.Printer": 1, "portal.printers": 2, "myportal.Printer": 3}
MAY = "portal.change_printer"
PAGE = "admin:portal_printer_changelist"
"""
TEMPLATE = "{% if perms.portal.add_printer %}\n{% url 'admin:portal_printer_add' %}\n{% endif %}\n"


def test_strings_and_settings_that_name_the_old_model_are_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    files = {
        "shop/views.py": CODE,
        "shop/migrations/0001_initial.py": CODE,
        "shop/broken.py": "(",
        "shop/templates/list.html": TEMPLATE,
        "notes.txt": "portal.Printer",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(row_locks, "project_folders", lambda: [tmp_path])
    settings.PRINTER_MODEL = {"main": ["portal.Printer"]}
    pair = Pair(("portal", "printer"), ("printers", "printer"), "portal.Printer", "printers.Printer", cut=True)

    found = mentions.find([pair])

    assert found == [
        'Settings: PRINTER_MODEL names portal.Printer; write "printers.Printer".',
        'shop/templates/list.html:1 says "portal.add_printer"; it means printers.Printer from now on.',
        'shop/templates/list.html:2 says "portal_printer_add"; it means printers.Printer from now on.',
        'shop/views.py:2 says "portal.Printer"; it means printers.Printer from now on.',
        'shop/views.py:3 says "portal.change_printer"; it means printers.Printer from now on.',
        'shop/views.py:4 says "portal_printer_changelist"; it means printers.Printer from now on.',
    ]
