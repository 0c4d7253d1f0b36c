#!/usr/bin/env python
"""Measures a whole rehearsal of the farm, from a fresh backup to the second way forward, on the source's own server."""

import io
import json
import os
import sys
import tempfile
import time
from pathlib import Path

from django.core.management import call_command
from django.test.utils import override_settings

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from scripts import benching, farm, scratch  # noqa: E402, I001  The first sets Django up.
from scripts.benching import Line  # noqa: E402
from django.conf import settings  # noqa: E402
from django.core.management import CommandError  # noqa: E402

COPYING = ("dump, and count what is dumped", "read the archive to its end", "restore", "analyze")
TABLE = (
    Line("whole rehearsal, s", "< 300", lambda of: of["whole"]),
    Line("of it: dump, restore and ANALYZE, s", "< 120", lambda of: of["copy"]),
    Line("of it: the way forward, s", "< 60", lambda of: of["forward"]),
)


def measure(rows: int) -> dict[str, float]:
    print(f"Filling {rows:,} printers and {rows // 10:,} profiles ...", flush=True)
    with farm.filled("bench_rehearsal", rows) as database, tempfile.TemporaryDirectory() as folder:
        scratch.use(database)
        kept = {"BACKEND": "django.core.files.storage.FileSystemStorage", "OPTIONS": {"location": folder}}
        print("Measuring a rehearsal", flush=True)
        with override_settings(STORAGES={**settings.STORAGES, "backups": kept}):
            return rehearse()


def rehearse() -> dict[str, float]:
    said, began = io.StringIO(), time.perf_counter()
    call_command("rehearsemoves", "--here", format="json", stdout=said)
    whole = time.perf_counter() - began
    report = json.loads(said.getvalue())
    for stage in report["stages"]:
        print(f"  {stage['name']:32} {stage['seconds']:9.2f} s", flush=True)
    seconds = {stage["name"]: stage["seconds"] for stage in report["stages"]}
    if unknown := {*COPYING} - seconds.keys():
        raise CommandError(f"The rehearsal has no {', '.join(sorted(unknown))}.")
    return {"whole": whole, "copy": sum(seconds[name] for name in COPYING), "forward": seconds["forward"]}


def main() -> None:
    os.environ.pop("REHOME_ONLINE", None)
    options = benching.parser(str(__doc__), {}, rows=5_000_000, of="printers; a tenth as many profiles").parse_args()
    with benching.one_sentence():
        benching.introduce(options.rows)
        benching.report(TABLE, measure(options.rows))


if __name__ == "__main__":
    main()
