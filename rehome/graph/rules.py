"""What a migration may do to the tables of a move that stands: a rule for each kind of change, side and phase."""

import dataclasses
from collections.abc import Mapping
from enum import Enum
from typing import Literal

from rehome.graph.discovery import DeclaredMove, Key
from rehome.models import Phase

Side = Literal["source", "target"]
OTHER: Mapping[Side, Side] = {"source": "target", "target": "source"}


class Change(Enum):
    """What the tables are after a migration that they were not before."""

    TABLE_DROPPED = "drops the table"
    TABLE_RENAMED = "renames the table, or the model"
    JOIN_DROPPED = "drops the table of a many-to-many field that moved along"
    COLUMN_DROPPED = "drops a column that the move's migration knows"
    COLUMN_RENAMED = "renames one"
    COLUMN_MADE_OTHERWISE = "makes a type of another family of it"
    COLUMN_WIDENED = "gives it a type that the other table's does not fit into"
    COLUMN_NARROWED = "gives it a type that the other table's values may not fit into"
    COLUMN_ALTERED = "gives it another type, though both tables' fit"
    ROW_UNFILLED = "adds a column that needs a value, or takes the value from one, that the other table's rows lack"
    TIGHTER = "keeps out rows that the other table takes"
    LOOSER = "takes rows that the other table keeps out"
    KEY = "changes the primary key"
    REPOINTED = "points a foreign key at rows of another kind"
    DEFINITION = "changes anything else of the table"


LIVE = frozenset({Phase.MOVED, Phase.LIVE})
VIEW = frozenset({Phase.IN_PLACE, Phase.RETIRED})
ALWAYS = LIVE | VIEW
"""The phases of a move that stands and can go back. A frozen source has no triggers: nothing breaks with it."""


@dataclasses.dataclass(frozen=True)
class Rule:
    """A change that is refused; one that no rule names is allowed, and the triggers are renewed after it."""

    id: str
    """Of the system check."""
    phases: frozenset[Phase]
    problem: str
    cure: str


@dataclasses.dataclass(frozen=True)
class Finding:
    """What a migration would break, and what to do instead."""

    id: str
    key: Key
    """The migration."""
    declared: DeclaredMove
    problem: str
    cure: str
    change: Change | None = None
    side: Side | None = None
    subject: str = ""
    """The column, or whatever else of the table has changed."""

    def __str__(self) -> str:
        return f"{self.problem} {self.cure}"

    @property
    def harms_nothing(self) -> bool:
        """Whether it fails and is undone, as its rule says: where it is applied, the table was no view yet."""
        return self.problem.endswith("PostgreSQL refuses it.")

    @property
    def what(self) -> tuple[Change | None, Side | None, str]:
        """The same where two walks have found the same."""
        return self.change, self.side, self.subject


END = "End the move first, with `manage.py endmoves {target}`."
STATE_ALONE = (
    "Let {place} change the state alone: "
    "migrations.SeparateDatabaseAndState(state_operations=[...]) around the operation leaves the table as it is."
)
BACK = "Move back first, with `manage.py migrate {back}`."
UNRETIRE = (
    "Run `manage.py retiremoves {target} --undo`, then this migration, then `manage.py retiremoves {target}`; or end "
    "the move first."
)
IN_PLACE = "Move back first, with `manage.py migrate {back}`, and change both models; or end the move."

SHOWN_BY_A_VIEW = tuple(
    Rule(
        "rehome.E003",
        frozenset({phase}),
        "{place} makes {after} of {table}.{column}, which a view shows under the old name: PostgreSQL refuses it.",
        cure,
    )
    for phase, cure in ((Phase.RETIRED, UNRETIRE), (Phase.IN_PLACE, IN_PLACE))
)

RULES: dict[tuple[Change, Side], tuple[Rule, ...]] = {
    (Change.TABLE_DROPPED, "source"): (
        Rule(
            "rehome.E001",
            ALWAYS,
            "{place} drops {table}, the old table of {move}: every write to {other_model} would fail.",
            "Remove the model from the state alone, and keep its table until the move has ended: "
            'migrations.SeparateDatabaseAndState(state_operations=[migrations.DeleteModel("{name}")]) in place of '
            "DeleteModel{also}.",
        ),
    ),
    (Change.TABLE_DROPPED, "target"): (
        Rule("rehome.E001", ALWAYS, "{place} drops {table}, which has the rows of {move}.", BACK),
    ),
    **{
        (Change.TABLE_RENAMED, side): (
            Rule(
                "rehome.E001",
                ALWAYS,
                "{place} renames {before} to {after}, and {move} knows it by its name: every write would fail.",
                f"{STATE_ALONE} Otherwise end the move first.",
            ),
        )
        for side in OTHER
    },
    **{
        (Change.JOIN_DROPPED, side): (
            Rule(
                "rehome.E001",
                ALWAYS,
                "{place} drops {table}, the table of a many-to-many field, which is part of {move}: every write to the "
                "other would fail.",
                f"{STATE_ALONE} Otherwise end the move first.",
            ),
        )
        for side in OTHER
    },
    **{
        (Change.COLUMN_DROPPED, side): (
            Rule(
                "rehome.E002",
                ALWAYS,
                "{place} drops {table}.{column}, which {move} reads and writes.",
                f"Keep the field until then. {END}",
            ),
        )
        for side in OTHER
    },
    **{
        (Change.COLUMN_RENAMED, side): (
            Rule(
                "rehome.E002",
                ALWAYS,
                "{place} renames {table}.{before} to {after}, and {move} knows it by its name.",
                'Keep the name of the column with db_column="{before}" in the field; or end the move first.',
            ),
        )
        for side in OTHER
    },
    **{
        (Change.COLUMN_MADE_OTHERWISE, side): (
            Rule(
                "rehome.E003",
                ALWAYS,
                "{place} makes {after} of {table}.{column}, which is {before}: what {other_model} has there does not "
                "fit.",
                END,
            ),
        )
        for side in OTHER
    },
    (Change.COLUMN_WIDENED, "target"): (
        Rule(
            "rehome.E003",
            LIVE,
            "{place} makes {after} of {table}.{column}, and {other_model}.{other_field} is {other_type}: what new code "
            "writes may not fit there.",
            "Widen {other_model}.{other_field} first, in a migration of {other_app} that is among the dependencies of "
            "{place}.",
        ),
        *SHOWN_BY_A_VIEW,
    ),
    (Change.COLUMN_ALTERED, "target"): SHOWN_BY_A_VIEW,
    **{
        (Change.COLUMN_NARROWED, side): (
            Rule(
                "rehome.E003",
                ALWAYS,
                "{place} makes {after} of {table}.{column}, which is {before}, and {other_model}.{other_field} is "
                "{other_type}: what {other_code} writes may not fit.",
                END,
            ),
        )
        for side in OTHER
    },
    **{
        (Change.ROW_UNFILLED, side): (
            Rule(
                "rehome.E004",
                ALWAYS,
                "{place} makes {table}.{column} NOT NULL without a default in the database, and {other_code} knows no "
                "value for it: every row that it inserts would be refused.",
                "Give the field db_default={default} (a default alone is Python's) or null=True, in the model and in "
                "{place}.",
            ),
        )
        for side in OTHER
    },
    **{
        (Change.TIGHTER, side): (
            Rule(
                "rehome.E005",
                ALWAYS,
                "{place} adds {what} to {table}, which rows that {other_code} writes to {other_model} may violate.",
                END,
            ),
        )
        for side in OTHER
    },
    (Change.LOOSER, "target"): (
        Rule(
            "rehome.W001",
            LIVE,
            "{place} removes {what} from {table}, and {other_model} still has it: rows that new code writes may be "
            "refused there.",
            "Remove it from {other_model} first, in a migration of {other_app} that is among the dependencies of "
            "{place}; or retire the move first.",
        ),
    ),
    **{
        (Change.KEY, side): (
            Rule(
                "rehome.E006",
                ALWAYS,
                "{place} changes the primary key of {table}, by which {move} finds its rows.",
                END,
            ),
        )
        for side in OTHER
    },
    **{
        (Change.REPOINTED, side): (
            Rule(
                "rehome.E005",
                ALWAYS,
                "{place} points {table}.{column} at {after}, and the keys in {other_model} are those of {other_type}.",
                "Move {other_type} to {after} before it; or end this move first.",
            ),
        )
        for side in OTHER
    },
    (Change.DEFINITION, "source"): (
        Rule(
            "rehome.E008",
            VIEW,
            "{place} alters {table}, which is a view of {other_table} now: PostgreSQL refuses it.",
            f"{STATE_ALONE} What the rows need, change in {{other_model}}.",
        ),
    ),
}

EARLY = Rule(
    "rehome.E007",
    frozenset(),
    "{place} points {table}.{column} at {target} before {move_place} has moved the rows there.",
    "Add {dependency} to the dependencies of {place}.",
)
GONE = Rule(
    "rehome.E007",
    frozenset(),
    "{place} removes {source} before {move_place} has moved its rows, for it does not depend on that.",
    EARLY.cure,
)
CHANGED = Rule(
    "rehome.E007",
    frozenset(),
    "{place} changes the fields of {source} and does not depend on {move_place}: a new database has it first, and the "
    "move does not know them.",
    EARLY.cure,
)
LEFT = Rule(
    "rehome.E007",
    frozenset(),
    "{place} removes {source}, and on a new database {pointing} would still lead there.",
    "Add {leaving} to the dependencies of {place}: it leads away from {source}.",
)
EARLY_AND_NEEDED = (
    "Add {dependency} to the dependencies of {place}, and take {place} out of those of {move_place}, which needs an "
    "earlier migration of {app}."
)
