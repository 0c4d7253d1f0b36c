"""What a person sees of a move: lines in a pipe, a bar on a terminal."""

import contextlib
import io
import re

import pytest

from rehome.progress import Progress


class Stream(io.StringIO):
    def __init__(self, *, terminal: bool) -> None:
        super().__init__()
        self.terminal = terminal

    def isatty(self) -> bool:
        return self.terminal


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


def test_elsewhere_than_on_a_terminal_each_step_is_a_line_when_it_has_ended() -> None:
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
