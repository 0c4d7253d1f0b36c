"""What `pip install .` gives."""

import shutil
import subprocess
import sys
import zipfile
from email import message_from_bytes
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    # Built beside the checkout's other packages, but not in the checkout.
    copy = tmp_path_factory.mktemp("checkout")
    for name in ("rehome", "core", "portal", "accounts", "printers", "monitoring", "api", "scripts"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE", "manage.py"):
        shutil.copy(ROOT / name, copy)
    built = subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", copy], capture_output=True, text=True, check=False
    )
    assert built.returncode == 0, built.stdout + built.stderr
    (path,) = (copy / "dist").glob("*.whl")
    return zipfile.ZipFile(path)


def test_the_wheel_holds_the_engine_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    packaged = {name for name in wheel.namelist() if not name.startswith("django_rehome-")}

    assert packaged == {
        str(path.relative_to(ROOT))
        for path in (ROOT / "rehome").rglob("*")
        if path.suffix == ".py" or path.name == "py.typed"
    }
    assert {"rehome/py.typed", "rehome/management/commands/__init__.py"} <= packaged


def test_the_wheel_says_what_it_needs(wheel: zipfile.ZipFile) -> None:
    metadata = message_from_bytes(wheel.read("django_rehome-0.2.0.dist-info/METADATA"))

    assert (metadata["Name"], metadata["Version"]) == ("django-rehome", "0.2.0")
    assert metadata["License-Expression"] == "MIT"
    assert metadata["Requires-Python"] == ">=3.11"
    assert metadata.get_all("Provides-Extra") == ["mysql"]
    assert sorted(metadata.get_all("Requires-Dist")) == [
        "Django<6.2,>=5.2",
        'mysqlclient>=2.2; extra == "mysql"',
        "psycopg>=3.2",
    ]
