"""Programs of PostgreSQL are found, fit a server or are refused by name, and end with whoever started them."""

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from pytest_django import Settings

from rehome.errors import BackupFailed, Refused
from rehome.ops import clients, leash
from tests.waiting import until


@pytest.fixture
def bin_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: Settings) -> Path:
    """A folder with programs of versions that the test says; no other is found."""
    monkeypatch.setattr(clients, "FOLDERS", ())
    monkeypatch.setattr(clients, "WHEEL", "no_such_wheel")
    monkeypatch.setenv("PATH", str(tmp_path))
    settings.REHOME_PG_BIN = ""
    clients.version_of.cache_clear()
    return tmp_path


def install(folder: Path, program: str, version: str) -> None:
    place = folder / program
    place.write_text(f'#!/bin/sh\necho "{program} (PostgreSQL) {version}"\n')
    place.chmod(place.stat().st_mode | stat.S_IXUSR)


@pytest.mark.parametrize(
    ("dumped_with", "server", "fits"),
    [
        ("15.4", 15, True),
        ("16.14", 15, True),
        ("17.6", 15, False),
        ("18.4", 16, False),
        ("16.14", 17, False),
        ("17.6", 17, True),
        ("18.4", 17, True),
        ("18.4", 18, True),
        ("17.6", 18, False),
    ],
)
def test_which_versions_fit(bin_of: Path, dumped_with: str, server: int, fits: bool) -> None:
    install(bin_of, "pg_dump", dumped_with)
    if fits:
        assert str(clients.to_dump(server)) == f"pg_dump {dumped_with}"
    else:
        with pytest.raises(Refused, match=f"No pg_dump here fits PostgreSQL {server}; there is pg_dump {dumped_with}"):
            clients.to_dump(server)


@pytest.mark.parametrize(
    ("installed", "server", "archive", "said"),
    [
        ("18.4", 17, 18, ""),
        ("18.4", 18, 15, ""),
        ("16.14", 15, 15, ""),
        ("16.14", 16, 16, ""),
        ("16.14", 17, 16, ""),
        ("18.4", 15, 15, "No pg_restore here fits PostgreSQL 15; there is pg_restore 18.4"),
        ("15.4", 18, 18, "No pg_restore here fits PostgreSQL 18; there is pg_restore 15.4"),
        ("18.4", 15, 18, "written by pg_dump 18, and this server is PostgreSQL 15.*Restore it on PostgreSQL 17"),
    ],
)  # fmt: skip
def test_which_pairs_are_restored(bin_of: Path, installed: str, server: int, archive: int, said: str) -> None:
    install(bin_of, "pg_restore", installed)
    if said:
        with pytest.raises(Refused, match=said):
            clients.to_restore(server, archive)
    else:
        assert clients.to_restore(server, archive).version == installed


def test_the_nearest_of_several_is_taken(bin_of: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for version in ("15.4", "16.14", "18.4"):
        (bin_of / version).mkdir()
        install(bin_of / version, "pg_dump", version)
    monkeypatch.setenv("PATH", os.pathsep.join(str(bin_of / version) for version in ("18.4", "15.4", "16.14")))
    assert [clients.to_dump(server).version for server in (15, 16, 17, 18)] == ["15.4", "16.14", "18.4", "18.4"]


def test_none_is_installed(bin_of: Path, settings: Settings) -> None:
    with pytest.raises(Refused, match=r"There is no pg_dump here.*postgresql-client-17\), or set REHOME_PG_BIN"):
        clients.to_dump(17)
    settings.REHOME_PG_BIN = str(bin_of)
    with pytest.raises(Refused, match="REHOME_PG_BIN is .*, where no pg_dump is"):
        clients.to_dump(17)


def test_what_a_program_says_is_one_sentence() -> None:
    said = """pg_dump: warning: there is something
pg_dump: error: query failed: ERROR:  permission denied for table kind
pg_dump: detail: Query was: LOCK TABLE public.kind IN ACCESS SHARE MODE
"""
    assert clients.sentence(said) == "query failed: ERROR:  permission denied for table kind"
    assert clients.sentence("killed\n") == "killed"


def test_a_program_that_fails_without_a_word(tmp_path: Path) -> None:
    failing = tmp_path / "pg_dump"
    failing.write_text("#!/bin/sh\nexit 3\n")
    failing.chmod(0o700)
    with pytest.raises(BackupFailed, match="pg_dump 17.4 failed: exit code 3."):
        clients.Client(failing, "17.4").run([], {})


def test_a_program_ends_with_whoever_started_it(tmp_path: Path) -> None:
    sign = tmp_path / "pid"
    code = f"""
import subprocess, sys, time
subprocess.Popen([sys.executable, {leash.__file__!r}, "sh", "-c", "echo $$ > {sign}; exec sleep 1000"],
                 stdin=subprocess.PIPE)
time.sleep(1000)
"""
    parent = subprocess.Popen([sys.executable, "-c", code])
    pid = int(until(lambda: sign.exists() and sign.read_text().strip(), "the program did not start"))
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    until(lambda: is_gone(pid), "the program goes on without whoever started it")


def is_gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True
