"""A machine that moves one model there and back while rows are written, and compares with the book after each step."""

import dataclasses
import re
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.contenttypes.models import ContentType
from django.db import DataError, IntegrityError, OperationalError, connection, transaction
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from psycopg.sql import SQL, Identifier

from rehome import Move
from rehome.errors import MoveFailed, Refused
from tests.database import dump
from tests.properties.book import Book, Rejected, Unreadable
from tests.properties.columns import equal_key, image
from tests.properties.operations import Insert, Operation, operations
from tests.properties.shapes import BOTH, Side, Way, shapes
from tests.rehome.support.lab import Lab

REFUSED_BY_POSTGRESQL = (IntegrityError, DataError)


class Moving(RuleBasedStateMachine):
    way: Way
    lab: Lab
    book: Book

    @initialize(data=st.data(), rows=st.integers(0, 4), at_once=st.sampled_from([True, True, False]))
    def build(self, data: st.DataObject, rows: int, at_once: bool) -> None:
        shape = data.draw(shapes(self.way), label="shape")
        self.lab = Lab()
        self.shape = shape
        shape.build(self.lab)
        self.move = shape.move()
        self.book = Book(shape)
        self.given: set[str] = set()
        self.fenced = False
        self.schema = definitions()
        for _ in range(rows):
            self.run(data, 1, commit=True)
        if at_once:
            self.forward()

    def teardown(self) -> None:
        if connection.in_atomic_block:
            # Django leaves a transaction open whose last, deferred statements failed.
            connection.connection.close()
            connection.connect()
        if hasattr(self, "lab"):
            self.lab.clean()
            ContentType.objects.filter(app_label__in=["old", "new", "labels"]).delete()
            ContentType.objects.clear_cache()

    # ----- rows

    @rule(data=st.data(), writes=st.integers(1, 4))
    def write(self, data: st.DataObject, writes: int) -> None:
        for _ in range(writes):
            self.run(data, 1, commit=True)

    @rule(data=st.data(), writes=st.integers(2, 4), commit=st.sampled_from([True, True, False]))
    def write_in_one_transaction(self, data: st.DataObject, writes: int, commit: bool) -> None:
        self.run(data, writes, commit=commit)

    def run(self, data: st.DataObject, writes: int, *, commit: bool) -> None:
        """Each write in a savepoint; the book says which of them succeed, and whether the commit does."""
        after, loose = self.book.copy(), False
        try:
            with transaction.atomic():
                for _ in range(writes):
                    side = data.draw(st.sampled_from(after.live), label="side")
                    after, unsure = self.attempt(data.draw(operations(after, side), label="write"), after)
                    loose = loose or unsure
                if not commit:
                    transaction.set_rollback(True)
        except REFUSED_BY_POSTGRESQL:
            if not (loose or list(after.problems(deferred=True))):
                raise
        else:
            if commit:
                assert not (problems := list(after.problems(deferred=True))), f"accepted: {problems}"
                self.book = after
        self.agree()

    def attempt(self, operation: Operation, before: Book) -> tuple[Book, bool]:
        """The book after the write, and whether the book alone could not say."""
        wrong: list[str] = []
        planned = before.copy()
        try:
            operation.apply(planned, None)
            wrong = list(planned.problems(deferred=False))
        except Rejected as error:
            wrong = [str(error)]
        except Unreadable:
            return before, False
        unsure = not wrong and (operation.may_collide(before, planned) or bool(list(planned.problems(deferred=True))))
        try:
            with transaction.atomic():
                outcome = operation.run(self.lab.get(f"{operation.side}.Thing"), self.shape)
        except REFUSED_BY_POSTGRESQL:
            if not (wrong or unsure):
                raise
            return before, unsure
        assert not wrong, f"{operation} was accepted: {wrong}"
        after = before.copy()
        operation.apply(after, outcome)
        self.note_numbers(operation, outcome)
        return after, unsure

    def note_numbers(self, operation: Operation, outcome: Any) -> None:
        """No number is given twice, whatever became of the row."""
        if isinstance(operation, Insert) and operation.key is None:
            assert equal_key(outcome) not in self.given, f"{outcome} was given before"
            self.given.add(equal_key(outcome))

    # ----- moves

    @rule()
    @precondition(lambda self: self.book.live == ("old",))
    def forward(self) -> None:
        unfit_for_place = self.shape.way == "in place" and not self.shape.is_alike
        self.change(Book.go_forward, self.lab.forward, unsure=unfit_for_place)

    @rule()
    @precondition(lambda self: self.book.live == BOTH)
    def back(self) -> None:
        self.change(Book.go_back, self.lab.back)
        if self.book.live == ("old",):
            self.fenced = self.shape.way != "in place"
            assert not (changed := definitions() ^ self.schema), changed

    @rule()
    @precondition(lambda self: self.book.live == BOTH and not self.book.retired and self.shape.way != "in place")
    def retire(self) -> None:
        self.live_schema = definitions(of_rehome=True)
        # A sequence that keys are ahead of is put right first.
        self.change(Book.retire, self.lab.retire, unsure=self.book.taken)

    @rule()
    @precondition(lambda self: self.book.retired)
    def unretire(self) -> None:
        self.change(Book.unretire, self.lab.unretire)
        if not self.book.retired:
            assert not (changed := definitions(of_rehome=True) ^ self.live_schema), changed

    def change(self, plan: Callable[[Book], None], run: Callable[[Move], None], *, unsure: bool = False) -> None:
        """Move, and change the book; where the rows would not fit their new place, be refused and change nothing."""
        after = self.book.copy()
        try:
            plan(after)
            problems = list(after.problems(deferred=True))
        except Rejected as error:
            problems = [str(error)]
        before = definitions(of_rehome=True) if problems or unsure else set()
        try:
            run(self.move)
        except (Refused, MoveFailed):
            if not (problems or unsure):
                raise
            assert not (changed := definitions(of_rehome=True) ^ before), changed
        else:
            assert not problems, f"done: {problems}"
            self.book = after
        self.agree()

    @rule()
    @precondition(lambda self: self.book.live == BOTH and not self.book.retired)
    def verify(self) -> None:
        report = self.lab.verify(self.move)
        # Keys that somebody has chosen may be ahead of the sequence, and that is reported.
        assert report.ok or (self.book.taken and dataclasses.replace(report, sequence_ok=True).ok), report

    @rule(data=st.data())
    @precondition(lambda self: self.fenced and self.book.live == ("old",))
    def write_to_the_fenced_side(self, data: st.DataObject) -> None:
        operation = Insert(
            "new", None, [data.draw(self.shape.column("new", n).values) for n in range(len(self.shape.pairs))]
        )
        with pytest.raises(OperationalError, match="is not in use"), transaction.atomic():
            operation.run(self.lab.get("new.Thing"), self.shape)
        self.agree()

    @rule(both=st.booleans())
    @precondition(lambda self: self.book.live == BOTH and self.may_be_truncated())
    def truncate(self, both: bool) -> None:
        """Of one table alone it is refused; of both it is what a flush of a test does."""
        tables = [self.lab.get(f"{side}.Thing")._meta.db_table for side in BOTH[: 1 + both]]
        statement = SQL("TRUNCATE {}").format(SQL(", ").join(map(Identifier, tables))).as_string()
        if both:
            self.lab.sql(statement)
            self.book.rows.clear()
        else:
            with pytest.raises(OperationalError, match="can't be truncated alone"), transaction.atomic():
                self.lab.sql(statement)
        self.agree()

    def may_be_truncated(self) -> bool:
        """Where no foreign key of another table stands against it, and there are two tables."""
        pointed_at = self.shape.tags or self.shape.notes
        two = self.shape.way != "in place" and not self.book.retired
        return bool(self.book.rows) and two and not pointed_at

    # ----- what both sides say

    def agree(self) -> None:
        for side in BOTH:
            expected = self.book.image(side) if side in self.book.live else {}
            assert not (wrong := differences(self.read(side), expected)), f"{side}: {wrong}"
            if self.shape.tags:
                tags = {key: tags for key, tags in self.book.tags.items() if tags} if side in self.book.live else {}
                assert self.read_tags(side) == tags, side
        if self.shape.notes:
            notes = self.lab.get("labels.Note").objects.values_list("thing_id", flat=True)
            assert Counter(map(equal_key, notes)) == +self.book.notes

    def read(self, side: Side) -> dict[str, list[str]]:
        names = ["pk", *self.shape.names(side)]
        names += ["parent"] if self.shape.parent else []
        names += ["extra"] if self.shape.extra and side == "new" else []
        rows = self.lab.get(f"{side}.Thing").objects.values_list(*names)
        return {equal_key(row[0]): list(map(image, row)) for row in rows}

    def read_tags(self, side: Side) -> dict[str, set[int]]:
        through = self.lab.get(f"{side}.Thing").tags.through
        found: dict[str, set[int]] = {}
        for thing, tag in through.objects.values_list("thing_id", "tag_id"):
            found.setdefault(equal_key(thing), set()).add(tag)
        return found


class Copying(Moving):
    way = "in one transaction"


class CopyingOnline(Moving):
    way = "online"


class TakingPlace(Moving):
    way = "in place"


def differences(found: dict[str, list[str]], expected: dict[str, list[str]]) -> dict[str, Any]:
    """By key, what was found and what was expected."""
    keys = found.keys() | expected.keys()
    return {key: (found.get(key), expected.get(key)) for key in keys if found.get(key) != expected.get(key)}


def definitions(*, of_rehome: bool = False) -> set[str]:
    """Every statement that would make the database anew, without rows, and without what rehome made for itself."""
    statements = re.split(r"\n--\n-- Name: ", dump(without_data=["*"]))
    return {text for text in statements if "rehome_moverun" not in text and (of_rehome or "rehome_" not in text)}
