"""Puts the release in which this script lies into service, without a request that fails: docs/systemd.md.

    /srv/farm/releases/12/.venv/bin/python /srv/farm/releases/12/scripts/release.py

The code is tried and its migrations are looked for. Then the link `current` leads to this release, and gunicorn starts
it beside the former one (USR2), which ends when the new one has loaded. Where it does not, the link leads back, and
the former release has served all the while. Exit code 0, or 1 with what is wrong.
"""

import argparse
import contextlib
import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOAD_S = 300
"""For the new release to start. It is not there yet for nobody: the former one serves."""
END_S = 120
"""For the requests that the former release answers still; gunicorn gives them 30."""


class Failed(Exception):
    """Why this release does not serve; the former one does."""


def main() -> int:
    arguments = parser().parse_args()
    try:
        with alone(arguments.current.parent):
            prove()
            former = master_in(arguments.pid_file)
            with leading_to(ROOT, arguments.current):
                new = start_beside(former, arguments.pid_file)
            end(former, new, arguments.pid_file)
    except Failed as error:
        print(error)
        return 1
    print(f"{ROOT.name} serves. Now restart what runs beside it: systemctl restart farm-poller farm-worker farm-beat")
    return 0


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(description="Put the release in which this script lies into service.")
    made.add_argument("--current", type=Path, default=Path("/srv/farm/current"), help="the link to the release")
    made.add_argument("--pid-file", type=Path, default=Path("/run/farm/web.pid"), help="gunicorn's")
    return made


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Two releases at once would take each other's link."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError as error:
        raise Failed(f"{folder} can't be read: {error.strerror}. --current says where the link is.") from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise Failed("Another release is being put into service; wait for it to end.") from None
    finally:
        os.close(descriptor)


def prove() -> None:
    """Its settings and code can be read, and the database has its migrations."""
    if manage("check", "--deploy", "--fail-level", "ERROR"):
        raise Failed("The new release does not pass its checks, and nothing was changed: see above.")
    if manage("migrate", "--check"):
        raise Failed("The database lacks migrations of the new release, and nothing was changed: run `migrate` first.")


def manage(*command: str) -> int:
    return subprocess.run([sys.executable, "manage.py", *command], cwd=ROOT, stdin=subprocess.DEVNULL).returncode


def master_in(pid_file: Path) -> int:
    try:
        pid = int(pid_file.read_text())
        os.kill(pid, 0)
    except (OSError, ValueError):
        raise Failed(f"{pid_file} names no gunicorn that you may signal: systemctl status farm-web") from None
    return pid


@contextlib.contextmanager
def leading_to(release: Path, link: Path) -> Iterator[None]:
    """The link leads to the release, and back to where it led if what follows fails."""
    if not link.is_symlink():
        raise Failed(f"{link} is not a link to a release; --current says where that is.")
    before = link.readlink()
    point(link, release)
    try:
        yield
    except BaseException:
        point(link, before)
        raise


def point(link: Path, to: Path) -> None:
    """At once: there is no moment without a link."""
    beside = link.with_name(f".{link.name}.new")
    beside.unlink(missing_ok=True)
    beside.symlink_to(to)
    beside.replace(link)


def start_beside(former: int, pid_file: Path) -> int:
    """The new master, once one of its workers has loaded the release. Raises Failed where none has."""
    before = children(former)
    os.kill(former, signal.SIGUSR2)
    until(lambda: children(former) - before, LOAD_S, "gunicorn did not start the new release: journalctl -u farm-web")
    new = max(children(former) - before, default=0)
    try:
        until(lambda: loaded(pid_file, new) or not alive(new), LOAD_S, f"It did not load within {LOAD_S} s.")
        if not loaded(pid_file, new):
            raise Failed("The new release ended while it started: journalctl -u farm-web. The former one serves.")
    except BaseException:
        if alive(new):
            os.kill(new, signal.SIGTERM)
        raise
    return new


def end(former: int, new: int, pid_file: Path) -> None:
    """The former master finishes its requests; the PID file is the new one's then."""
    os.kill(former, signal.SIGTERM)
    until(lambda: number_in(pid_file) == new, END_S, f"The new release serves, but gunicorn {former} has not ended.")


def loaded(pid_file: Path, master: int) -> bool:
    """As gunicorn.conf.py says it."""
    return Path(f"{pid_file}.{master}.loaded").exists()


def number_in(pid_file: Path) -> int:
    try:
        return int(pid_file.read_text())
    except (OSError, ValueError):
        return 0


def children(pid: int) -> set[int]:
    try:
        return set(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))
    except OSError:
        return set()


def alive(pid: int) -> bool:
    """Not ended; a zombie that nobody has asked for yet has."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def until(happened: Callable[[], object], limit_s: float, otherwise: str) -> None:
    deadline = time.monotonic() + limit_s
    while not happened():
        if time.monotonic() > deadline:
            raise Failed(otherwise)
        time.sleep(0.02)  # Neither a file nor another's process can be awaited.


if __name__ == "__main__":
    sys.exit(main())
