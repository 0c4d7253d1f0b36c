"""What `sqlmove` prints is what a run sends to the server afterwards: the same statements in the same order."""

import re
from collections.abc import Callable, Iterable
from typing import Any

import pytest
import sqlparse
from django.db import models

from rehome import Move
from rehome.management.commands.sqlmove import render
from rehome.moves import runner
from rehome.moves.retire import Drop, Retire, Unretire
from rehome.moves.steps import Step
from rehome.moves.way import Way
from rehome.plan.ledger import Ledger
from rehome.plan.resolve import resolve
from tests.rehome.support.lab import Lab

# Of a transaction, of its locks and of a batch: how often they come depends on retries and on the number of batches.
LEFT_OUT = re.compile(r"(BEGIN|COMMIT|SAVEPOINT|RELEASE|ROLLBACK|LOCK TABLE|SET LOCAL|SET TRANSACTION|--)\b")
READ = re.compile(r"(SELECT|WITH)\b(?!.*\b(setval|INSERT INTO|DELETE FROM)\b)", re.S)
OF_BATCHES = re.compile(r"\bctid\b|^ANALYZE \(SKIP_LOCKED\)")
BLOCKS = re.compile(r"ctid (OPERATOR\(pg_catalog\.(?:>=|<)\)) '\(\d+,0\)'")

Steps = Callable[[Lab, Move], Iterable[Step]]
Act = Callable[[Lab, Move], object]


def told(steps: Iterable[Step]) -> list[str]:
    script = "\n".join(line for line in render(iter(steps)) if not line.startswith("--"))
    return essence(sqlparse.split(script))


def sent(lab: Lab, act: Callable[[], object]) -> list[str]:
    """Without the trial of writes, which is undone."""
    statements: list[str] = []

    def listen(execute: Any, statement: str, params: Any, many: bool, context: Any) -> Any:
        statements.append(statement)
        return execute(statement, params, many, context)

    with lab.connection.execute_wrapper(listen), pytest.MonkeyPatch.context() as patch:
        patch.setattr(Way, "try_writes", lambda *args, **options: None)
        act()
    return essence(statements)


def essence(statements: Iterable[str]) -> list[str]:
    """Without locks, reads, comparisons and the ledger; the batches of a table count once."""
    found: list[str] = []
    for statement in statements:
        text = BLOCKS.sub(r"ctid \1 ...", statement.strip().rstrip(";"))
        if not text or LEFT_OUT.match(text) or READ.match(text) or "rehome_moverun" in text:
            continue
        if text not in found or not OF_BATCHES.search(text):
            found.append(text)
    return found


def run_of(lab: Lab, move: Move) -> Any:
    return Ledger(lab.alias).current(resolve(move, lab.apps, lab.connection))


def forward(lab: Lab, move: Move) -> Iterable[Step]:
    return runner.forward_steps(resolve(move, lab.apps, lab.connection), run_of(lab, move))


def backward(lab: Lab, move: Move) -> Iterable[Step]:
    return runner.backward_steps(resolve(move, lab.apps, lab.connection), run_of(lab, move))


def retire(lab: Lab, move: Move) -> Iterable[Step]:
    return Retire(resolve(move, lab.apps, lab.connection), run_of(lab, move)).steps()


def unretire(lab: Lab, move: Move) -> Iterable[Step]:
    return Unretire(resolve(move, lab.apps, lab.connection), run_of(lab, move)).steps()


def drop(lab: Lab, move: Move) -> Iterable[Step]:
    return Drop(resolve(move, lab.apps, lab.connection), run_of(lab, move)).steps()


def drop_for_good(lab: Lab, move: Move) -> None:
    runner.drop(move, lab.apps, lab.connection)


def lose_a_trigger(lab: Lab, move: Move) -> None:
    """Of the target, so that it wins: the slow way back."""
    lab.sql("ALTER TABLE new_thing DISABLE TRIGGER USER")
    lab.sql("UPDATE new_thing SET size = size + 1 WHERE id = 3")


def lose_what_is_repaired(lab: Lab, move: Move) -> None:
    lab.sql("ALTER TABLE old_thing DISABLE TRIGGER USER")
    lab.sql("SELECT setval('new_thing_id_seq', 1)")


def lose_the_view(lab: Lab, move: Move) -> None:
    lab.sql("DROP VIEW old_thing")


DEFAULT = Move("old.Thing", "new.Thing", online=False)
ONLINE = Move("old.Thing", "new.Thing", online=True)
IN_PLACE = Move("old.Thing", "new.Thing", in_place=True)
WAYS: dict[str, tuple[Move, list[Act], Steps, Act]] = {
    "forwards": (DEFAULT, [], forward, Lab.forward),
    "forwards, online": (ONLINE, [], forward, Lab.forward),
    "forwards, in place": (IN_PLACE, [], forward, Lab.forward),
    "repair": (DEFAULT, [Lab.forward, lose_what_is_repaired], forward, Lab.forward),
    "repair in place": (
        IN_PLACE,
        [Lab.forward, lose_the_view],
        forward,
        Lab.forward,
    ),
    "settled already": (DEFAULT, [Lab.forward], forward, Lab.forward),
    "backwards, corrected": (DEFAULT, [Lab.forward, lose_a_trigger], backward, Lab.back),
    "backwards, in place": (IN_PLACE, [Lab.forward], backward, Lab.back),
    "retire": (DEFAULT, [Lab.forward], retire, Lab.retire),
    "unretire": (DEFAULT, [Lab.forward, Lab.retire], unretire, Lab.unretire),
    "drop": (DEFAULT, [Lab.forward, Lab.retire], drop, drop_for_good),
}
"""The move, what has happened to it, what `sqlmove` prints from, and what is run."""


@pytest.fixture
def pair(lab: Lab) -> Lab:
    """Two tables that can go every way, with what a table can have beside its rows."""
    lab.model("tags.Tag", {"name": models.CharField(max_length=20)})
    for app in ("old", "new"):
        lab.model(
            f"{app}.Thing",
            {
                "code": models.CharField(max_length=40, unique=True),
                "size": models.IntegerField(db_index=True),
                "tag": models.ForeignKey("tags.Tag", models.CASCADE, null=True),
                "parent": models.ForeignKey(f"{app}.Thing", models.CASCADE, null=True),
                "tags": models.ManyToManyField("tags.Tag"),
            },
            constraints=[models.CheckConstraint(condition=models.Q(size__gte=0), name=f"{app}_size")],
        )
    lab.model("other.Child", {"thing": models.ForeignKey("old.Thing", models.CASCADE)})
    lab.sql("INSERT INTO tags_tag (name) VALUES ('a')")
    lab.sql("INSERT INTO old_thing (code, size, tag_id) SELECT 'c' || n, n, 1 FROM generate_series(1, 300) n")
    lab.sql("INSERT INTO old_thing_tags (thing_id, tag_id) SELECT n, 1 FROM generate_series(1, 300) n")
    lab.sql("INSERT INTO other_child (thing_id) VALUES (1)")
    lab.sql("ANALYZE")
    return lab


@pytest.mark.parametrize("way", WAYS)
def test_what_is_printed_is_what_is_sent(pair: Lab, way: str) -> None:
    move, before, steps, act = WAYS[way]
    for happened in before:
        happened(pair, move)
    printed = told(steps(pair, move))
    run = sent(pair, lambda: act(pair, move))
    assert run == printed
    assert printed


@pytest.mark.parametrize("before", [[], [Lab.retire]], ids=["live", "retired"])
def test_where_the_tables_are_equal_the_corrections_are_left_out(pair: Lab, before: list[Act]) -> None:
    for happened in [Lab.forward, *before]:
        happened(pair, DEFAULT)
    corrections = [group for step in backward(pair, DEFAULT) for group in step.groups() if group.note]
    left_out = essence(statement.as_string() for group in corrections for statement in group.statements)
    printed = told(backward(pair, DEFAULT))
    run = sent(pair, lambda: pair.back(DEFAULT))
    assert {statement.split()[0] for statement in left_out} == {"DELETE", "UPDATE", "INSERT"}
    assert run == [statement for statement in printed if statement not in left_out]
