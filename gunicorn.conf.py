"""What gunicorn reads when it starts in this folder.

Its workers count together, for /metrics (docs/monitoring.md), and tell when they have loaded the code, for a release
(scripts/release.py).
"""

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

FOLDER = "PROMETHEUS_MULTIPROC_DIR"
made = "" if os.environ.get(FOLDER) else tempfile.mkdtemp(prefix="farm-metrics-")
if made:
    # Before a worker imports prometheus_client, which looks for it once.
    os.environ[FOLDER] = made

workers = int(os.environ.get("WEB_CONCURRENCY") or 2)
# A page that waits for a printer keeps no other one waiting.
threads = int(os.environ.get("WEB_THREADS") or 4)
# A connection serves one request: whoever sends a second one on it while its worker ends would get no answer.
keepalive = 0
# Nobody uses it, and two masters would fight for one path during a release.
control_socket_disable = True


def post_worker_init(worker: Any) -> None:
    """The code is loaded, and requests are answered."""
    if not worker.cfg.pidfile:
        return
    if "GUNICORN_PID" in os.environ:
        # A new release's: systemd follows it before the former master ends.
        from gunicorn.systemd import sd_notify

        sd_notify(f"MAINPID={worker.ppid}", worker.log)
    loaded_by(worker.cfg.pidfile, worker.ppid).touch()


def loaded_by(pidfile: str, master: int) -> Path:
    """A file that is there once a worker of this master has loaded the code."""
    return Path(f"{pidfile}.{master}.loaded")


def child_exit(server: Any, worker: Any) -> None:
    """What it counted stays; gauges of a process that is gone go."""
    from prometheus_client import multiprocess

    multiprocess.mark_process_dead(worker.pid)


def on_exit(server: Any) -> None:
    if made:
        shutil.rmtree(made, ignore_errors=True)
    if server.cfg.pidfile:
        loaded_by(server.cfg.pidfile, server.pid).unlink(missing_ok=True)
