"""A Move that was edited after it ran: what it said then, as the run keeps it, and what it says by now.

What a run keeps is compared and shown. An expression is never made of its text: whoever may write to the ledger's table
would then choose what runs. It is taken from the Move where that still says it.
"""

import ast
import re
from collections.abc import Iterator, Mapping
from typing import Any

from django.db.migrations.writer import MigrationWriter

from rehome.errors import Refused
from rehome.models import MoveRun, Phase
from rehome.plan.declaration import Declaration
from rehome.plan.phases import standing
from rehome.plan.record import Declared, Record

NOTHING = "nothing"
IN_MIGRATION = re.compile(r"[\w.]+\.\d\w*\.(?=\w)")
"""The module of a migration, in the path of a class that it defines."""


def describe(move: Declaration) -> Declared:
    """What the run of a move keeps of it."""
    return Declared(
        fields={name: text_of(value) for name, value in move.fields.items()},
        backwards={name: text_of(value) for name, value in move.backward_fields.items()},
        discard=tuple(sorted(move.discard)),
        discard_triggers=tuple(sorted(move.discard_triggers)),
        in_place=move.in_place,
        irreversible=move.irreversible,
    )


def text_of(value: Any) -> str:
    """A field's name in quotes; an expression as a migration has it, but for the modules, which differ by version."""
    if isinstance(value, str):
        return repr(value)
    try:
        text, _ = MigrationWriter.serialize(value)
        return ast.unparse(Bare().visit(ast.parse(IN_MIGRATION.sub("", text), mode="eval")))
    except (SyntaxError, ValueError):
        return repr(value)


class Bare(ast.NodeTransformer):
    def visit_Attribute(self, node: ast.Attribute) -> ast.Name:
        return ast.Name(node.attr)


def find(move: Declaration, run: MoveRun | None) -> list[str]:
    """What has changed since the run, as clauses; nothing where it no longer matters, or is not known."""
    kept = declared_by(run)
    return list(differences(kept, describe(move))) if kept else []


def declared_by(run: MoveRun | None) -> Declared | None:
    """What the Move of a run that stands said."""
    if run is None or standing(run).uses == "source" or run.phase == Phase.ENDED:
        return None
    return Record.of(run).declared


def differences(kept: Declared, now: Declared) -> Iterator[str]:
    for place, before, after in (("fields", kept.fields, now.fields), ("backwards", kept.backwards, now.backwards)):
        for name in sorted({*before, *after}):
            if before.get(name) != after.get(name):
                yield f"{place}[{name!r}] was {before.get(name, NOTHING)} and is {after.get(name, NOTHING)}"
    for place in ("discard", "discard_triggers"):
        if getattr(kept, place) != getattr(now, place):
            yield f"{place} was {list(getattr(kept, place))} and is {list(getattr(now, place))}"
    for place in ("in_place", "irreversible"):
        if getattr(kept, place) != getattr(now, place):
            yield f"{place} was {getattr(kept, place)} and is {getattr(now, place)}"


def as_it_ran(move: Declaration, run: MoveRun | None) -> Declaration:
    """What the run of a move that stands was declared by, for that is what its tables and triggers are.

    Raises Refused where an expression of it can no longer be found in the Move.
    """
    kept, found = declared_by(run), find(move, run)
    if kept is None or not found:
        return move
    expressions = {text_of(value): value for value in (*move.fields.values(), *move.backward_fields.values())}
    fields, backwards = (revive(said, expressions) for said in (kept.fields, kept.backwards))
    if fields is None or backwards is None:
        raise Refused(
            f"{edited(move, found)}",
            "Restore there what it said. To change it, migrate back before the move, edit it, and migrate again.",
        )
    return Declaration(
        move.source,
        move.target,
        fields=fields,
        backwards=backwards,
        # It changes no trigger: it says what may be lost, which a way back may be refused for.
        discard={*kept.discard, *move.discard},
        discard_triggers=kept.discard_triggers,
        online=move.online and not kept.in_place,
        in_place=kept.in_place,
        irreversible=kept.irreversible,
    )


def edited(move: Declaration, found: list[str]) -> str:
    return f"{move!r} was edited after it ran on this database: {'; '.join(found)}."


def revive(said: Mapping[str, str], expressions: Mapping[str, Any]) -> dict[str, Any] | None:
    """None where one is not there any more."""
    found = {name: name_of(text) or expressions.get(text) for name, text in said.items()}
    return None if None in found.values() else found


def name_of(text: str) -> str | None:
    """The field that is named; None of the text of an expression."""
    try:
        value = ast.literal_eval(text)
    except (SyntaxError, ValueError):
        return None
    return value if isinstance(value, str) else None
