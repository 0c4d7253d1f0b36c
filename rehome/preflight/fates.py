"""What becomes, on each way, of everything that a table can have or that can be tied to it: the table of decisions.

The guide shows this table, and a test makes one of each kind and goes each way with it.
"""

import enum

from rehome.plan.plan import TablePair
from rehome.postgres.tables import Table
from rehome.postgres.ties import Kind


class Way(enum.StrEnum):
    FORWARD = "move"
    IN_PLACE = "move in place"
    CANCEL = "cancel"
    BACK = "move back"
    IN_PLACE_BACK = "move back in place"
    RETIRE = "retire"
    UNRETIRE = "unretire"
    DROP = "drop for good"


class Fate(enum.StrEnum):
    CARRIED = "carried"
    """It still holds for the rows afterwards, or stays where it does no harm and loses nothing."""
    NAMED = "named"
    """It stays behind or goes, and a note says so."""
    REFUSED = "refused"
    NONE = "–"
    """There can be none: what goes is a view."""


class Part(enum.StrEnum):
    """What a table consists of, beside what is tied to it."""

    COLUMN = "column that the models at hand do not know, with values"
    CONSTRAINT = "constraint or index that the other table has no like of"
    OWN_KEY = "foreign key of the table"
    DEFAULT = "default"
    GRANT = "owner, grants"


SOURCE_GOES = {Way.FORWARD, Way.IN_PLACE_BACK, Way.RETIRE, Way.UNRETIRE, Way.DROP}


def roles(way: Way, pair: TablePair) -> tuple[Table, Table]:
    """(the table that is no longer used, or will not be, after this way; the one that takes its place)."""
    return (pair.source, pair.target) if way in SOURCE_GOES else (pair.target, pair.source)


def row(letters: str) -> dict[Way, Fate]:
    fates = {"C": Fate.CARRIED, "N": Fate.NAMED, "R": Fate.REFUSED, "-": Fate.NONE}
    return {way: fates[letter] for way, letter in zip(Way, letters.split(), strict=True)}


FATES: dict[Kind | Part, dict[Way, Fate]] = {
    # Of the table that goes. move: source; in place: the empty twin; cancel, back: target; in place back: the view;
    # retire: source; unretire: the view; drop: the table that was set aside.
    #                         move  in pl. cancel back  in pl. retire unret. drop
    Part.COLUMN:            row("R     R     R     R     C     R     C     R"),
    Part.CONSTRAINT:        row("C     R     C     N     -     N     -     N"),
    Part.OWN_KEY:           row("C     R     C     C     -     C     -     C"),
    Part.DEFAULT:           row("C     C     C     C     C     C     C     C"),
    Part.GRANT:             row("C     C     C     C     C     C     C     C"),
    Kind.VIEW:              row("N     R     C     N     R     R     R     R"),
    Kind.FUNCTION:          row("N     R     C     N     R     R     R     R"),
    Kind.FOREIGN_POLICY:    row("N     R     C     N     R     R     R     R"),
    Kind.FOREIGN_TRIGGER:   row("N     R     C     N     -     R     -     R"),
    Kind.FOREIGN_KEY:       row("C     C     C     C     -     C     -     R"),
    Kind.ROW_TYPE:          row("N     R     C     C     R     R     R     R"),
    Kind.HEIR:              row("R     R     R     R     -     R     -     R"),
    Kind.SEQUENCE:          row("C     R     C     C     -     C     -     R"),
    Kind.SEQUENCE_USER:     row("R     R     R     R     -     C     -     R"),
    Kind.TRIGGER:           row("C     C     C     C     R     C     R     N"),
    Kind.RULE:              row("R     R     C     C     R     R     R     N"),
    Kind.POLICY:            row("N     R     C     N     -     N     -     N"),
    Kind.ROW_SECURITY:      row("R     R     C     R     -     R     -     N"),
    Kind.PUBLICATION:       row("N     R     C     R     -     R     -     R"),
    Kind.WIDE_PUBLICATION:  row("N     R     C     R     -     R     -     R"),
    Kind.SUBSCRIPTION:      row("R     R     R     R     -     R     -     R"),
    Kind.STATISTICS:        row("N     R     C     N     -     N     -     N"),
    Kind.COMMENT:           row("C     C     C     N     N     N     N     N"),
    Kind.LABEL:             row("R     R     C     R     R     R     R     N"),
    Kind.REPLICA_IDENTITY:  row("N     N     C     N     -     C     -     N"),
    Kind.STORAGE:           row("N     N     C     C     -     C     -     N"),
    Kind.TABLESPACE:        row("N     N     C     C     -     C     -     N"),
    Kind.COLUMN_OPTION:     row("N     N     C     C     -     C     -     N"),
    Kind.EXTENSION:         row("C     R     C     C     R     C     R     R"),
    Kind.UNKNOWN:           row("R     R     R     R     R     R     R     R"),
}  # fmt: skip
