"""The imports of a project are those that its installed apps declare in a module `imports`."""

from pathlib import Path

import pytest
from django.apps import AppConfig, apps

from rehome.importing.discovery import find_imports

DECLARED = """
from rehome import Import
from shopping.parts import part

whole = Import("old.Whole", "new.Whole", key={"legacy_id": "id"})
rest = [whole, Import("old.Rest", "new.Rest", key={"legacy_id": "id"})]
"""
PART = """
from rehome import Import

part = Import("old.Part", "new.Part", key={"legacy_id": "id"})
"""


def test_each_import_is_found_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, text in {"__init__": "", "imports": DECLARED, "parts": PART}.items():
        (tmp_path / "shopping").mkdir(exist_ok=True)
        (tmp_path / "shopping" / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    installed = [apps.get_app_config("core"), AppConfig.create("shopping")]
    monkeypatch.setattr(apps, "get_app_configs", lambda: installed)
    found = [str(declared) for declared in find_imports()]
    assert found == ["old.Part -> new.Part", "old.Whole -> new.Whole", "old.Rest -> new.Rest"]


def test_an_app_that_is_not_installed_declares_none() -> None:
    assert not apps.is_installed("legacy_app")
    assert find_imports() == []
