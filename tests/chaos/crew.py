"""Writers at work, each a process of its own on its own connection, and what they have written together."""

import collections
import contextlib
import dataclasses
import json
import random
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

from tests.chaos.journal import Write
from tests.chaos.writer import Configuration

ROOT = Path(__file__).parent.parent.parent


class Crew:
    """Started with the seed that its writers' choices follow from; `stop` collects their logs."""

    def __init__(
        self, conninfo: str, *, seed: int, writers: int = 4, operations: int = 0, marked: bool = False
    ) -> None:
        choose = random.Random(seed)  # noqa: S311
        self.writes: list[Write] = []
        self.operations = 0
        self.refusals: collections.Counter[str] = collections.Counter()
        self.ready = threading.Semaphore(0)
        configurations = [
            Configuration(number, choose.randrange(2**32), -(-operations // writers), conninfo, marked)
            for number in range(1, writers + 1)
        ]
        self.processes = [self.start(configuration) for configuration in configurations]
        self.last: list[str] = []
        self.readers = [threading.Thread(target=self.listen, args=[process]) for process in self.processes]
        for reader in self.readers:
            reader.start()

    def start(self, configuration: Configuration) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, "-m", "tests.chaos.writer", json.dumps(dataclasses.asdict(configuration))],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def listen(self, process: "subprocess.Popen[str]") -> None:
        assert process.stdout
        for line in process.stdout:
            if line == "ready\n":
                self.ready.release()
            else:
                self.last.append(line)
        self.ready.release()

    def is_busy(self) -> bool:
        """Whether a writer has not made all of its operations yet; one that has ended early is not waited for."""
        return self.ready._value < len(self.processes)

    def stop(self) -> None:
        for process in self.processes:
            assert process.stdin
            process.stdin.close()
        for process, reader in zip(self.processes, self.readers, strict=True):
            reader.join()
            assert process.wait() == 0, "A writer met with an error that no farm expects; it has said which."
            process.stdout.close()
        for report in map(json.loads, self.last):
            self.writes += [Write(*write) for write in report["writes"]]
            self.operations += report["operations"]
            self.refusals.update(report["refusals"])


@contextlib.contextmanager
def at_work(conninfo: str, **options: int | bool) -> Iterator[Crew]:
    """Stopped at the end of the block, and killed where that fails."""
    crew = Crew(conninfo, **options)
    try:
        yield crew
        crew.stop()
    finally:
        for process in crew.processes:
            process.kill()
            process.wait()
