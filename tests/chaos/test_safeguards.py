"""The checkers checked: with a safeguard removed, the check that is there for it reports what was lost."""

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
from django.db import DatabaseError
from psycopg import sql as composing

from rehome import Move
from rehome.errors import MoveFailed, Stopped
from rehome.moves.way import Way
from rehome.parts import batches, carry, rows, sequences, sync, triggers
from rehome.verify import comparison
from tests.chaos import test_schedules as schedules
from tests.rehome.support.lab import Lab

MOVE = Move("old.Thing", "new.Thing", online=True)
Check = Callable[[Lab], None]


def without_words(composed: Any, words: str) -> Any:
    """The same SQL, but for some words of it, which must be there."""
    text = composed.as_string()
    assert words in text
    return composing.SQL(text.replace(words, "").replace("{", "{{").replace("}", "}}"))


def remove_row_lock(patch: pytest.MonkeyPatch) -> None:
    whole = rows.copy_blocks
    patch.setattr(rows, "copy_blocks", lambda *args: without_words(whole(*args), 'FOR KEY SHARE OF "new"'))


def remove_fence(patch: pytest.MonkeyPatch) -> None:
    whole = triggers.fence
    nothing = "BEGIN RETURN NULL; END"
    patch.setattr(triggers, "fence", lambda *args, **kw: dataclasses.replace(whole(*args, **kw), body=nothing))


def remove_value_guard(patch: pytest.MonkeyPatch) -> None:
    """Whatever the other side says, its row counts as another one, and every event as a change."""
    for guard, answer in (("in_sync", "false"), ("same", "false"), ("differ", "true")):
        patch.setattr(carry, guard, lambda *args, answer=answer, **kw: composing.SQL(answer))


def remove_shared_sequence(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(sequences, "share", lambda plan: [])


def remove_checkpoint_from_transaction(patch: pytest.MonkeyPatch) -> None:
    """It is saved first, in a transaction of its own."""
    whole = batches.copy_batch

    def copy_batch(session: Any, pair: Any, checkpoint: Any, save: Any, size: Any) -> Any:
        end = min(checkpoint.block + size.blocks, checkpoint.blocks)
        save(dataclasses.replace(checkpoint, block=end))
        return whole(session, pair, checkpoint, lambda reached: None, size)

    patch.setattr(batches, "copy_batch", copy_batch)


def remove_truncate_trigger(patch: pytest.MonkeyPatch) -> None:
    whole = triggers.sync_triggers

    def without(*args: Any, **options: Any) -> list[triggers.Trigger]:
        return [found for found in whole(*args, **options) if found.each != "STATEMENT"]

    patch.setattr(triggers, "sync_triggers", without)
    # What is expected is then what is there.
    patch.setattr(sync, "is_carrying", lambda plan: True)


# ----- what holds with all of them


def nothing_comes_back(lab: Lab) -> None:
    """A row that is deleted while its batch is copied is gone, whoever ends first."""
    schedules.check(lab, "online", schedules.ONLINE["its batch"], "across", ["delete"])


def new_code_is_kept_out(lab: Lab) -> None:
    schedules.check(lab, "online", schedules.ONLINE["its batch"], "before")


def writes_end(lab: Lab) -> None:
    """Each side answers the other no longer than there is something to say."""
    lab.sql("INSERT INTO old_thing (id, name) VALUES (1, 'first')")
    lab.forward(MOVE)
    try:
        lab.sql("UPDATE old_thing SET name = 'second'")
    except DatabaseError as error:
        raise AssertionError from error
    assert schedules.rows(lab, "new_thing") == {1: "second"}


def keys_are_drawn_once(lab: Lab) -> None:
    lab.forward(MOVE)
    for table in ("old_thing", "new_thing") * 2:
        try:
            lab.sql(f"INSERT INTO {table} (name) VALUES ('first')")
        except DatabaseError as error:
            raise AssertionError from error
    assert len(schedules.rows(lab, "old_thing")) == 4


def crash_loses_no_batch(lab: Lab) -> None:
    """The process dies after a batch's rows were written and before they were committed."""
    lab.sql(
        "INSERT INTO old_thing (id, name, filler) SELECT n, 'first', repeat('x', 900) FROM generate_series(1, 30) n"
    )

    def die(execute: Any, text: str, params: Any, many: bool, context: Any) -> Any:
        result = execute(text, params, many, context)
        if "new_thing" in text and "(1,0)" in text:
            raise KeyboardInterrupt
        return result

    with lab.connection.execute_wrapper(die), pytest.raises(Stopped):
        lab.forward(MOVE)
    lab.forward(MOVE)
    assert schedules.rows(lab, "new_thing") == dict.fromkeys(range(1, 31), "first")


def emptied_table_is_refused(lab: Lab) -> None:
    lab.sql("INSERT INTO old_thing (id, name) VALUES (1, 'first'), (2, 'first')")
    lab.forward(MOVE)
    try:
        lab.sql("TRUNCATE old_thing")
    except DatabaseError:
        return
    assert schedules.rows(lab, "new_thing") == schedules.rows(lab, "old_thing")


SAFEGUARDS: dict[str, tuple[Callable[[pytest.MonkeyPatch], None], Check]] = {
    "row lock": (remove_row_lock, nothing_comes_back),
    "fence": (remove_fence, new_code_is_kept_out),
    "value guard": (remove_value_guard, writes_end),
    "shared sequence": (remove_shared_sequence, keys_are_drawn_once),
    "checkpoint in the transaction": (remove_checkpoint_from_transaction, crash_loses_no_batch),
    "truncate trigger": (remove_truncate_trigger, emptied_table_is_refused),
}


@pytest.mark.parametrize("name", SAFEGUARDS)
def test_without_a_safeguard_its_check_fails(things: Lab, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    remove, check = SAFEGUARDS[name]
    # The move's own comparison and probe are safeguards behind most of them: the check has to see it by itself.
    monkeypatch.setattr(comparison.Comparison, "equal", True)
    monkeypatch.setattr(Way, "try_writes", lambda *args, **options: None)
    remove(monkeypatch)

    with pytest.raises(AssertionError):
        check(things)


@pytest.mark.parametrize("name", SAFEGUARDS)
def test_with_every_safeguard_the_check_passes(things: Lab, name: str) -> None:
    SAFEGUARDS[name][1](things)


@pytest.mark.parametrize("name", ["row lock", "checkpoint in the transaction"])
def test_the_comparison_of_the_move_sees_what_such_a_copy_lost(
    things: Lab,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    remove, check = SAFEGUARDS[name]
    remove(monkeypatch)

    with pytest.raises(MoveFailed, match="the copy differs from the source"):
        check(things)
