#!/usr/bin/env python
"""Measures a backup of the farm: made and stored, proved, and put in a database's place.

The commands run in this process, one after the other; pg_dump and pg_restore beside it. The database is the monolith of
so many printers, moved, so that each row is there twice.
"""

import io
import os
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

# Their own, for the settings are read once.
FOLDER = tempfile.TemporaryDirectory(prefix="rehome-bench-")
os.environ["BACKUP_DIR"] = os.environ["REHOME_BACKUP_WORK"] = FOLDER.name

from django.core.management import call_command  # noqa: E402  The next line's set Django up.
from django.db import connection  # noqa: E402, I001

from rehome.ops.backups.store import Store  # noqa: E402
from scripts import benching, farm, scratch  # noqa: E402
from scripts.benching import Line  # noqa: E402

MOST = 2_300_000
"""Printers: with these the database has a gigabyte."""

TABLE = (
    Line("database, GB", "-", lambda of: of["size"]),
    Line("archive, GB", "-", lambda of: of["archive"]),
    Line("backed up, s", "-", lambda of: of["backup"]),
    Line("backed up and proved, s", "< 180", lambda of: of["backup"] + of["check"]),
    Line("restored and compared, s", "< 120", lambda of: of["restore"]),
)


def main() -> None:
    options = benching.parser(str(__doc__), {}, rows=MOST, of="printers of the farm").parse_args()
    with benching.one_sentence(), FOLDER:
        benching.introduce(options.rows)
        benching.report(TABLE, measure(min(options.rows, MOST)))


def measure(printers: int) -> dict[str, float]:
    print(f"Filling {printers:,} printers and moving them ...", flush=True)
    with farm.filled("bench_backups", printers) as database:
        scratch.use(database)
        farm.forward()
        print("Measuring a backup, its proof and its restore", flush=True)
        found = {"backup": timed("backup"), "check": timed("checkbackup", interactive=False)}
        (backup,) = Store.default().all()
        proof = backup.proof
        assert proof  # noqa: S101  `checkbackup` has ended well.
        return found | {
            "size": backup.manifest.database_size / 2**30,
            "archive": backup.manifest.size / 2**30,
            "restore": proof.restore_seconds + proof.compare_seconds,
        }


def timed(*command: str, **options: object) -> float:
    began = time.perf_counter()
    call_command(*command, stdout=io.StringIO(), verbosity=0, **options)
    connection.close()
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
