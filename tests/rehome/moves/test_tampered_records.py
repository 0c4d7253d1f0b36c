"""Somebody who may write to the ledger's table runs nothing by it: each field holds SQL, and every command is run."""

import copy
import itertools
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest

from rehome import Move
from rehome.errors import RehomeError
from rehome.models import MoveRun, Phase
from rehome.moves import runner
from rehome.moves.retire import Drop, Retire
from rehome.moves.steps import Step
from rehome.parts import indexes, project_triggers, sequences
from rehome.plan import resolve
from rehome.plan.ledger import Ledger
from rehome.plan.phases import standing
from rehome.plan.plan import Plan
from rehome.plan.record import Record
from rehome.preflight.records import check_record
from tests.rehome.support.lab import Lab
from tests.rehome.support.phases import PHASES, reach

pytestmark = pytest.mark.server

LONG = pytest.mark.long
FEW = [pytest.param(name, marks=() if name in {"live", "in place"} else LONG) for name in PHASES]
"""Every phase in `make long`; in `make test` one of each way."""
PAYLOAD = """pwned'; CREATE TABLE pwned (); --"; CREATE TABLE pwned (); --$$; CREATE TABLE pwned (); --"""
QUOTED = re.compile(r"""\$(\w*)\$.*?\$\1\$|E?'(?:[^'\\]|''|\\.)*'|"(?:[^"]|"")*\"""", re.DOTALL)
"""A body, a text or a name, in which nothing is run."""
COLUMNS = ("move", "source_table", "target_table", "phase")
Path = tuple[Any, ...]
Way = Callable[[Plan, MoveRun], Iterable[Step]]


def cancel(plan: Plan, run: MoveRun) -> Iterator[Step]:
    """What `resume.cancel` makes of the record."""
    if not standing(run).interrupted:
        return
    record = Record.of(run)
    for revert in (sequences.unshare, indexes.revert):
        yield Step("Cancel", "", "", lambda revert=revert: revert(record, plan))
    yield Step("Cancel", "", "", lambda: project_triggers.revert(plan, record))


LOOSE = "ALTER VIEW old_thing RESET (security_invoker)"
DAMAGES = {"retired": LOOSE, "retired, dropped": LOOSE, "in place": LOOSE}
"""What there is to repair in a phase."""
# The undo of a retirement is the beginning of its way back.
WAYS: tuple[Way, ...] = (
    runner.forward_steps,
    runner.backward_steps,
    lambda plan, run: Retire(plan, run).steps() if run.phase == Phase.LIVE else (),
    lambda plan, run: Drop(plan, run).steps(),
    cancel,
)


def find_strings(value: Any, path: Path = ()) -> Iterator[Path]:
    """The place of each string; a key of a dictionary is one, too, where it is no field."""
    if isinstance(value, str):
        yield path
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from find_strings(item, (*path, number))
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from find_strings(item, (*path, key))
            if not key.isidentifier():
                yield (*path, {key})


def alike(path: Path) -> tuple[str, str]:
    """The part of the record, and the field."""
    names = [key for key in path if not isinstance(key, int)]
    return str(path[0]), str("key" if isinstance(names[-1], set) else names[-1])


def fill(kept: Any, *paths: Path) -> Any:
    """`kept` with the payload there."""
    filled = copy.deepcopy(kept)
    for path in sorted(paths, key=len, reverse=True):
        place = filled
        for key in path[:-1]:
            place = place[key]
        if isinstance(path[-1], set):
            (key,) = path[-1]
            place[PAYLOAD] = place.pop(key)
        else:
            place[path[-1]] = PAYLOAD
    return filled


def statements_of(way: Way, plan: Plan, run: MoveRun) -> Iterator[str]:
    """What a way would run."""
    for step in runs(lambda: list(way(plan, run))):
        for group in runs(lambda step=step: list(step.groups())):
            yield from (statement.as_string() for statement in group.statements)


def runs(make: Callable[[], Any]) -> Any:
    """What it makes; nothing where it is refused in a sentence."""
    try:
        return make()
    except RehomeError:
        return []


@pytest.mark.timeout(600)  # For each field every way is put together.
@pytest.mark.parametrize("name", FEW)
def test_no_field_becomes_code(lab: Lab, name: str) -> None:
    move = reach(lab, name)
    lab.sql(DAMAGES.get(name, "SELECT 1"))
    run = MoveRun.objects.order_by("-pk")[0]
    places = sorted(find_strings(run.kept), key=alike)
    ways = [way for way in WAYS if any(statements_of(way, *read(lab, move)[0]))]
    for field, paths in itertools.groupby(places, alike):
        MoveRun.objects.filter(pk=run.pk).update(kept=fill(run.kept, *paths))
        for way, (plan, found) in itertools.product(ways, runs(lambda: read(lab, move))):
            for statement in statements_of(way, plan, found):
                assert "pwned" not in QUOTED.sub("", statement), (field, statement)
    assert len(places) > 10
    assert ways


def read(lab: Lab, move: Move) -> list[tuple[Plan, MoveRun]]:
    """As every command begins; without a run where the record leads to none."""
    plan = resolve.resolve(move, lab.apps, lab.connection)
    found = Ledger(lab.alias).current(plan)
    if found is None:
        return []
    check_record(plan, found)
    return [(plan, found)]


COMMANDS: dict[str, Callable[[Lab, Move], Any]] = {
    "verify": lambda lab, move: lab.verify(move),
    "unretire": lambda lab, move: lab.unretire(move),
    "retire": lambda lab, move: lab.retire(move),
    "drop": lambda lab, move: runner.drop(move, lab.apps, lab.connection),
    "back": lambda lab, move: lab.back(move),
    "cancel": lambda lab, move: runner.cancel(move, lab.apps, lab.connection),
    "forward": lambda lab, move: lab.forward(move),
}


def ends_in_a_sentence(act: Callable[[], Any]) -> bool:
    """Or in peace."""
    try:
        act()
    except RehomeError as error:
        return bool(re.search(r"[.;]$", str(error)))
    return True


@pytest.mark.parametrize("name", FEW)
def test_each_command_ends_in_a_sentence(lab: Lab, name: str) -> None:
    """With SQL in all that one part of the record says, in whichever phase the commands before have left the run."""
    move = reach(lab, name)
    for key in sorted(MoveRun.objects.order_by("-pk")[0].kept):
        for command, act in COMMANDS.items():
            run = MoveRun.objects.order_by("-pk").first()
            kept = run.kept if run else {}
            kept = fill(kept, *(place for place in find_strings(kept.get(key), (key,)) if alike(place)[1] != "key"))
            MoveRun.objects.filter(pk=run and run.pk).update(kept=kept)
            assert ends_in_a_sentence(lambda act=act: act(lab, move)), (key, command)
            assert lab.sql("SELECT to_regclass('pwned')") == [(None,)]
            if run and MoveRun.objects.filter(pk=run.pk, kept=kept).exists():
                MoveRun.objects.filter(pk=run.pk).update(kept=run.kept)


@pytest.mark.parametrize("column", COLUMNS)
@pytest.mark.parametrize(
    "name", [*(pytest.param(name, marks=LONG) for name in ("prepared", "in place", "retired")), "live"]
)
def test_no_column_becomes_code(lab: Lab, name: str, column: str) -> None:
    move = reach(lab, name)
    run = MoveRun.objects.order_by("-pk")[0]
    MoveRun.objects.filter(pk=run.pk).update(**{column: PAYLOAD[:16]})
    for command, act in COMMANDS.items():
        assert ends_in_a_sentence(lambda act=act: act(lab, move)), command
    assert lab.sql("SELECT to_regclass('pwned')") == [(None,)]
