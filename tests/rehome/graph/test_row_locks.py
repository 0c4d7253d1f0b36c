"""Which models the row locks of a project's code are about, as far as the code says it."""

import textwrap
from pathlib import Path

import pytest
from django.apps import apps
from django.db.migrations import Migration

from rehome.graph import row_locks
from rehome.graph.drafting.move import move_text
from rehome.graph.row_locks import RowLock, find
from tests.rehome.management.test_makemove import model, pair_of
from tests.rehome.support.graph import graph_of

PRINTERS, PROFILES = {"portal.printer", "printers.printer"}, {"portal.profile", "accounts.profile"}
UNKNOWN: set[str] = set()


def read(folder: Path, monkeypatch: pytest.MonkeyPatch, code: str, name: str = "jobs/work.py") -> list[RowLock]:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(textwrap.dedent(code))
    monkeypatch.setattr(row_locks, "project_folders", lambda: [folder])
    return find()


@pytest.mark.parametrize(
    ("code", "models"),
    [
        ("from printers.models import Printer\nPrinter.objects.select_for_update()", {"printers.printer"}),
        ("from printers.models import Printer as P\nP.objects.filter(x=1).select_for_update()", {"printers.printer"}),
        ("from printers import models\nmodels.Printer.objects.all().select_for_update()", {"printers.printer"}),
        ("import printers.models\nprinters.models.Printer.objects.select_for_update()", {"printers.printer"}),
        ("Printer.objects.select_for_update()", PRINTERS),
        ("from elsewhere import Printer\nPrinter._default_manager.using('x').select_for_update()", PRINTERS),
        ("apps.get_model('portal', 'Printer').objects.select_for_update()", {"portal.printer"}),
        ("apps.get_model('portal.Printer').objects.select_for_update()", {"portal.printer"}),
        ("get_user_model().objects.select_for_update()", {"auth.user"}),
        ("get_object_or_404(Printer.objects.select_for_update(), pk=1)", PRINTERS),
        ("user.groups.select_for_update()", {"auth.group"}),
        ("group.user_set.filter(x=1).select_for_update()", {"auth.user"}),
        ("def f(x):\n    y = x.groups.all()\n    y = y.order_by('z')\n    y.select_for_update()", {"auth.group"}),
        ("def f(rows: QuerySet[Printer]):\n    return rows.select_for_update().first()", PRINTERS),
        ("for model in models:\n    model.objects.select_for_update()", UNKNOWN),
        ("for user in User.objects.all():\n    user.groups.select_for_update()", {"auth.group"}),
        ("rows.select_for_update()", UNKNOWN),
        ("make().select_for_update()", UNKNOWN),
        ("x = x.select_for_update()", UNKNOWN),
        ("async def f():\n    return await Printer.objects.select_for_update().afirst()", PRINTERS),
        ("class V:\n    model = Printer\n    def f(self):\n        self.get_queryset().select_for_update()", PRINTERS),
        ("class V:\n    queryset = Printer.objects\n    def f(self):\n        super().select_for_update()", PRINTERS),
        ("class V:\n    def f(self):\n        self.rows.select_for_update()", UNKNOWN),
        ("cursor.execute('SELECT * FROM portal_printer FOR UPDATE')", {"portal.printer"}),
        ("cursor.execute(f'SELECT * FROM portal_printer {where} for no key update')", UNKNOWN),
        ("cursor.execute('SELECT * FROM elsewhere FOR SHARE')", UNKNOWN),
    ],
)  # fmt: skip
def test_what_a_lock_is_about(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, models: set[str]) -> None:
    (lock,) = read(tmp_path, monkeypatch, code)
    assert lock.models == models


def test_methods_of_models_managers_and_query_sets_are_about_their_models(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = """
        class User:
            def lock(self): type(self).objects.select_for_update()
        class UserManager:
            def lock(self): return self.select_for_update()
        class Printer:
            def lock(cls): return cls.objects.select_for_update(nowait=True)
    """
    found = read(tmp_path, monkeypatch, code, "django/contrib/auth/models.py")
    assert [lock.models for lock in found] == [{"auth.user"}, {"auth.user"}, set()]


@pytest.mark.parametrize(
    ("options", "skips"),
    [("", False), ("skip_locked=True", True), ("skip_locked=False", False), ("skip_locked=settings.SKIP", True)],
)
def test_a_queue_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: str, skips: bool) -> None:
    (lock,) = read(tmp_path, monkeypatch, f"\nPrinter.objects.select_for_update({options})")
    assert str(lock) == f"jobs/work.py:2{' (SKIP LOCKED)' if skips else ''}"


def test_sql_may_skip_too_and_a_place_of_which_nothing_is_known_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (lock,) = read(tmp_path, monkeypatch, "SQL = 'SELECT 1 FROM x FOR UPDATE SKIP LOCKED'")
    assert str(lock) == "jobs/work.py:1 (SKIP LOCKED), of which model is unknown"


def test_only_the_running_code_of_the_project_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "env").mkdir()
    (tmp_path / "env" / "pyvenv.cfg").touch()
    for name in ("env/x.py", ".tox/x.py", "jobs/tests/x.py", "jobs/test_x.py", "node_modules/x.py", "jobs/x.txt"):
        read(tmp_path, monkeypatch, "rows.select_for_update()", name)
    read(tmp_path, monkeypatch, "this is no Python, select_for_update()", "jobs/broken.py")
    (lock,) = read(tmp_path, monkeypatch, "rows.select_for_update()", "jobs/x.py")
    assert lock.path == Path("jobs/x.py")


def test_the_folders_of_the_project_are_those_of_its_own_apps() -> None:
    (folder,) = row_locks.project_folders()
    assert Path(apps.get_app_config("printers").path).parent == folder


def test_the_draft_recommends_in_place_for_locked_models_and_for_unknown_ones() -> None:
    known = (
        graph_of(old=[[model("Thing"), model("Other")]], new=[[model("Thing"), model("Other")]]).project_state().apps
    )
    locks = [
        RowLock(Path("a.py"), 1, frozenset({"old.thing"}), skips=True),
        RowLock(Path("b.py"), 2, frozenset(), skips=False),
        RowLock(Path("c.py"), 3, frozenset({"new.other"}), skips=False),
    ]
    pair = known.get_model("old.Thing"), known.get_model("new.Thing")
    advice = [str(lock) for lock in locks if lock.concerns(*pair)]
    assert advice == ["a.py:1 (SKIP LOCKED)", "b.py:2, of which model is unknown"]
    text = move_text(Migration("0002", "new"), pair_of("old.Thing", "new.Thing"), [], advice)
    assert text.index("`in_place=True` is recommended") < text.index("# - a.py:1 (SKIP LOCKED)") < text.index("= Move(")
    compile(text, "draft", "exec")
    assert "in_place" not in move_text(Migration("0002", "new"), pair_of("old.Thing", "new.Thing"), [], [])
