"""What a person sees of a move: lines in a pipe, a bar on a terminal."""

import contextlib
import io
import re

import pytest

from rehome.terminal import Observer, Pace, Progress, observed, verbosity


class Stream(io.StringIO):
    def __init__(self, *, terminal: bool) -> None:
        super().__init__()
        self.terminal = terminal

    def isatty(self) -> bool:
        return self.terminal


@pytest.fixture(autouse=True)
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock that stands still, until a test sets it."""
    now = [0.0]
    monkeypatch.setattr("rehome.terminal.time.monotonic", lambda: now[0])
    return now


def start(*, terminal: bool = False) -> tuple[Progress, Stream]:
    """The progress of a move in two steps, and what it writes to."""
    stream = Stream(terminal=terminal)
    with contextlib.redirect_stderr(stream):
        return Progress("a move", steps=2), stream


def run(progress: Progress, *names: str) -> None:
    for name in names:
        with progress.step(name):
            pass


def test_nothing_is_said_before_the_first_step() -> None:
    _, stream = start(terminal=True)

    assert stream.getvalue() == ""


def test_without_a_terminal_each_step_that_ended_is_a_line() -> None:
    progress, stream = start()
    run(progress, "copy", "compare")

    assert stream.getvalue() == "\n    a move\n    [1/2] copy (0.0 s)\n    [2/2] compare (0.0 s)\n"


def test_on_a_terminal_one_line_is_drawn_again_and_never_wraps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "44")
    progress, stream = start(terminal=True)
    run(progress, "copy", "compare " * 20)

    title, *drawings = stream.getvalue().split("\r\033[K")
    assert title == "\n    a move\n"
    assert [re.sub(" compare.*", " compare", drawing) for drawing in drawings] == [
        "    [................] 0/2 copy",
        "    [########........] 1/2 compare",
        "    [################] 2/2 done in 0.0 s\n",
    ]
    assert max(map(len, stream.getvalue().replace("\r\033[K", "\n").splitlines())) < 44


@pytest.mark.parametrize(
    ("terminal", "said"),
    [(False, "    [1/2] copy: stopped\n"), (True, "\r\033[K    [................] 0/2 copy\n")],
)
def test_what_is_said_after_a_failure_begins_a_new_line(terminal: bool, said: str) -> None:
    progress, stream = start(terminal=terminal)
    with pytest.raises(KeyboardInterrupt), progress.step("copy"):
        raise KeyboardInterrupt

    assert stream.getvalue() == f"\n    a move\n{said}"


def test_on_a_terminal_details_take_the_place_of_the_step_s_name() -> None:
    progress, stream = start(terminal=True)
    with progress.step("copy"):
        progress.detail("half of it")
        progress.waits("a lock")

    assert re.findall(r"0/2 ([^\r\n]*)", stream.getvalue()) == ["copy", "half of it", "waits for a lock"]


def test_without_a_terminal_details_are_rare_lines(now: list[float]) -> None:
    progress, stream = start()
    with progress.step("copy"):
        for second in (0, 14, 15, 16, 29, 30):
            now[0] = float(second)
            progress.detail(f"at {second}")

    assert re.findall(r"copy: at (\d+)", stream.getvalue()) == ["15", "30"]


def test_without_a_terminal_each_reason_to_wait_is_one_line() -> None:
    progress, stream = start()
    with progress.step("copy"):
        for reason in ("a lock", "a lock", "a replica"):
            progress.waits(reason)
        progress.detail("going on")
        progress.waits("a replica")

    assert re.findall(r"waits for (.*)\n", stream.getvalue()) == ["a lock", "a replica", "a replica"]


def test_a_resumed_run_counts_the_steps_of_the_interrupted_one() -> None:
    stream = Stream(terminal=False)
    with contextlib.redirect_stderr(stream):
        progress = Progress("a move", steps=3, done=2)
    run(progress, "switch")

    assert stream.getvalue() == "\n    a move\n    [3/3] switch (0.0 s)\n"


def test_at_verbosity_0_notes_alone_are_shown() -> None:
    with verbosity(0):
        progress, stream = start()
    with progress.step("copy"):
        progress.detail("half of it")
        progress.waits("a lock")
    assert stream.getvalue() == ""
    progress.note("a role lost a right")
    assert stream.getvalue().endswith("Note: a role lost a right\n")


def test_the_pace_tells_rows_and_rate_and_the_time_that_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("rehome.terminal.time.monotonic", lambda: now[0])
    pace = Pace(done=100, rows=5_000)

    assert pace.describe(5_000, done=100, whole=1000) == "10 %, 5,000 rows"
    now[0] += 10
    assert pace.describe(25_000, done=400, whole=1000) == "40 %, 25,000 rows, 2,000 rows/s, 0:00:20 left"


class Listener(Observer):
    def __init__(self) -> None:
        self.heard: list[str] = []

    def began(self, progress: Progress, name: str) -> str:
        self.heard.append(name)
        return " (rehearsed 2.0 s)"

    def ended(self, progress: Progress, name: str, seconds: float) -> str:
        self.heard.append(f"{name}: {seconds}")
        return ", rehearsed 2.0 s"


@pytest.mark.parametrize("terminal", [False, True])
def test_whoever_observes_says_something_behind_each_step(terminal: bool) -> None:
    progress, stream = start(terminal=terminal)
    listener = Listener()
    with observed(listener):
        run(progress, "copy")
    run(progress, "compare")

    assert listener.heard == ["copy", "copy: 0.0"]
    expected = "0/2 copy (rehearsed 2.0 s)" if terminal else "[1/2] copy (0.0 s, rehearsed 2.0 s)\n"
    assert expected in stream.getvalue()
    assert stream.getvalue().count("rehearsed") == 1


def test_a_remark_is_a_line_or_replaces_one() -> None:
    for terminal, said in ((False, "[1/2] copy: slower\n"), (True, "0/2 slower")):
        progress, stream = start(terminal=terminal)
        with progress.step("copy"):
            progress.remark("slower")
        assert said in stream.getvalue()
