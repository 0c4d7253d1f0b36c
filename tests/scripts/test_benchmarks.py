"""Each benchmark with a few hundred rows, in a process of its own: it ends, and prints every line of its table."""

import importlib
import math
import os
import re
import signal
import subprocess
import sys
from argparse import ArgumentTypeError
from collections.abc import Iterator
from types import ModuleType

import pytest
from django.core.management import CommandError
from django.db import connection
from pytest_django import DjangoDbBlocker

from scripts import bench_imports, bench_writers, benching
from tests.conftest import ROOT
from tests.database import url_of
from tests.farm import farm
from tests.farm.databases import WORKER, database
from tests.servers import mariadb
from tests.servers.plugin import refuse
from tests.servers.starting import NotInstalled

SCRIPTS = {path.stem: path for path in sorted((ROOT / "scripts").glob("bench_*.py"))}
MODULES = {name: importlib.import_module(f"scripts.{name}") for name in SCRIPTS}

each = pytest.mark.parametrize("name", SCRIPTS)


def bench(name: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(SCRIPTS[name]), *arguments],
        cwd="/",
        env=os.environ | environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def labels(module: ModuleType) -> list[str]:
    return [line.label for line in module.TABLE]


def left_by_benchmarks(project: str) -> list[str]:
    with connection._nodb_cursor() as cursor:
        cursor.execute("SELECT datname FROM pg_database WHERE starts_with(datname, %s)", [f"{project}_bench_"])
        return [name for (name,) in cursor.fetchall()]


def require_programs(name: str) -> None:
    if name == "bench_imports" and (missing := bench_imports.missing_programs()):
        refuse(NotInstalled(*missing))


@pytest.fixture
def project(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[str]:
    """The name of a database beside which the scripts make theirs."""
    with django_db_blocker.unblock(), database(f"test_project_{WORKER}") as name:
        for left in left_by_benchmarks(name):  # when a run before this one was killed
            farm.on_server(f'DROP DATABASE "{left}" WITH (FORCE)')
        yield name


@pytest.mark.long
@each
@pytest.mark.timeout(600)  # Up to twenty processes, one after the other.
def test_it_ends_and_prints_every_line_of_its_table(name: str, project: str) -> None:
    require_programs(name)

    done = bench(name, "--rows", "400", DATABASE_URL=url_of(project))

    assert done.returncode == 0, done.stdout + done.stderr
    printed = re.findall(r"^(\S.*?) +(\S+)   \(goal (.+)\)$", done.stdout, re.MULTILINE)
    assert [(label, goal) for label, _, goal in printed] == [(line.label, line.goal) for line in MODULES[name].TABLE]
    assert [figure for _, figure, _ in printed if not math.isfinite(float(figure))] == []
    assert left_by_benchmarks(project) == []


@each
@pytest.mark.long
def test_ctrl_c_ends_it_with_a_word_and_leaves_no_database(name: str, project: str) -> None:
    require_programs(name)

    with subprocess.Popen(
        [sys.executable, SCRIPTS[name], "--rows", "400"],
        env=os.environ | {"DATABASE_URL": url_of(project)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        process_group=0,
    ) as process:
        for line in process.stdout:
            if line.startswith("Measuring"):
                break
        os.killpg(process.pid, signal.SIGINT)  # As a terminal does it.
        _, err = process.communicate()

    assert process.returncode == 130, err
    assert err.endswith("\nInterrupted.\n")
    assert "Traceback" not in err
    assert left_by_benchmarks(project) == []


def test_the_figures_in_the_docs_have_the_labels_that_are_printed() -> None:
    text = (ROOT / "docs" / "benchmarks.md").read_text()
    figures = text.partition("\n## Figures\n")[2].partition("\n## ")[0].replace("`", "")
    documented = set(re.findall(r"^\| (\w.*?) \|", figures, re.MULTILINE))

    printed = {label for module in MODULES.values() for label in labels(module)}
    assert documented == printed | {bench_writers.WITHOUT, bench_writers.DURING}


def test_make_bench_runs_them_all_and_passes_the_same_arguments_on() -> None:
    done = subprocess.run(
        ["make", "--dry-run", "bench", "ARGS=--rows 400"], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert set(re.findall(r"scripts/(\w+)\.py --rows 400$", done.stdout, re.MULTILINE)) == SCRIPTS.keys()


@each
def test_too_few_rows_are_wrong_usage(name: str) -> None:
    done = bench(name, "--rows", "9")

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.endswith("argument --rows: '9' is not a number of rows; give 10 or more.\n")


@pytest.mark.parametrize("text", ["-400", "many", "5,000", ""])
def test_no_other_text_is_a_number_of_rows(text: str) -> None:
    with pytest.raises(ArgumentTypeError, match="is not a number of rows"):
        benching.number_of_rows(text)


@each
def test_a_server_that_does_not_answer_is_one_line(name: str) -> None:
    require_programs(name)

    done = bench(name, "--rows", "400", DATABASE_URL="postgres://farm:secret@127.0.0.1:1/farm")

    assert done.returncode == 1
    assert re.fullmatch(r"connection failed: .*port 1.* refused.*\n", done.stderr)


def test_settings_that_can_not_be_used_are_one_line() -> None:
    done = bench("bench_moves", DATABASE_URL="mysql://farm@db/farm")

    assert done.returncode == 1
    assert re.fullmatch(r"DATABASE_URL begins with 'mysql', .*\n", done.stderr)


def test_programs_that_are_missing_are_named_before_anything_is_filled() -> None:
    done = bench("bench_imports", "--rows", "400", PATH="/nowhere")

    assert (done.returncode, done.stdout) == (1, "")
    assert re.fullmatch(
        r"Imports are measured with psql, pgloader.*, not installed here; run `make servers`\.\n", done.stderr
    )


def test_servers_that_are_missing_are_named_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def programs() -> None:
        raise NotInstalled("mariadb-server")

    monkeypatch.setattr(mariadb, "programs", programs)

    assert "mariadb-server" in bench_imports.missing_programs()


def test_a_way_that_fails_is_named_with_its_reason(project: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", url_of(project))

    with pytest.raises(CommandError, match=r'^move failed: .*database "nowhere" does not exist$'):
        benching.measure(str(SCRIPTS["bench_moves"]), "move", "nowhere", 400)
