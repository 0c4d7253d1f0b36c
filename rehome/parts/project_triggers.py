"""The project's own triggers: the source's fire while both tables live, and their counterparts once it is retired.

A counterpart is a trigger of the target that does the same. The target's model may have brought it; otherwise the move
creates it from the source's definition. It is disabled while both tables live, for what is written to either table is
written to the source, where it fires once. What else the target has fires there, for each row that is written to it.
"""

import re
from collections.abc import Iterable, Iterator, Mapping

from rehome.plan.plan import Plan, TablePair
from rehome.plan.record import Record
from rehome.postgres.sql import SQL, Identifier, Literal, Statement, enable_trigger, name
from rehome.postgres.tables import Table, Trigger, TriggerState

States = dict[str, TriggerState]
"""By trigger, pg_trigger.tgenabled."""
DISABLED: TriggerState = "D"
OF_PGTRIGGER = re.compile(r"(pgtrigger_.+)_[0-9a-f]{5}")
"""A name that django-pgtrigger gives: it ends with a hash of the model's label, and so differs between two apps."""

NAME = r'(?:"(?:[^"]|"")+"|[\w$]+)'
EVENT = rf"(?:INSERT|DELETE|TRUNCATE|UPDATE(?: OF {NAME}(?:, {NAME})*)?)"
DEFINITION = re.compile(
    rf"(CREATE (?:CONSTRAINT )?TRIGGER {NAME} (?:BEFORE|AFTER) )({EVENT}(?: OR {EVENT})*)( ON ){NAME}\.{NAME} (.*)",
    re.DOTALL,
)
WORDS = re.compile(
    rf"""'(?:[^']|'')*'|::\s*{NAME}(?:\.{NAME})?|\b(?P<row>old|new)\.(?P<column>{NAME})(?!\()|{NAME}""", re.DOTALL
)
"""A text, a type, a column of a row, or any other name."""


def of_project(table: Table) -> list[Trigger]:
    """Triggers of the table that rehome did not create to keep it in sync, in the order in which they fire."""
    return [trigger for trigger in table.triggers if not trigger.is_ours]


def made_for(pair: TablePair) -> str:
    """The comment on a counterpart that the move has created."""
    return f"rehome: counterpart of the trigger of {pair.source}."


def is_made(trigger: Trigger, pair: TablePair) -> bool:
    return trigger.comment == made_for(pair)


def find_counterpart(trigger: Trigger, pair: TablePair, plan: Plan) -> Trigger | None:
    """The target's trigger of the name, but for what django-pgtrigger adds to it, whichever of both is there: the
    target's own, or that which the move created, unless `discard_triggers` names it by now.
    """
    found = [there for there in of_project(pair.target) if stem(there.name) == stem(trigger.name)]
    if trigger.name in plan.move.discard_triggers:
        found = [there for there in found if not is_made(there, pair)]
    return min(found, key=lambda there: is_made(there, pair), default=None)


def stem(trigger: str) -> str:
    found = OF_PGTRIGGER.fullmatch(trigger)
    return found[1] if found else trigger


def counterparts(pair: TablePair, plan: Plan) -> dict[Trigger, Trigger | None]:
    """By the source's trigger; None where it has none yet. Those that are discarded with the source are left out."""
    found = {trigger: find_counterpart(trigger, pair, plan) for trigger in of_project(pair.source)}
    return {own: there for own, there in found.items() if there or own.name not in plan.move.discard_triggers}


def own_of_target(pair: TablePair, plan: Plan) -> list[Trigger]:
    """What fires on the target beside the source's, and is no counterpart."""
    taken = counterparts(pair, plan).values()
    return [there for there in of_project(pair.target) if there not in taken and not is_made(there, pair)]


def superfluous(pair: TablePair, plan: Plan) -> list[Trigger]:
    """Counterparts that the move created, of what the source has no more, or the target by itself."""
    taken = counterparts(pair, plan).values()
    return [there for there in of_project(pair.target) if there not in taken and is_made(there, pair)]


def lacking(pair: TablePair, plan: Plan) -> list[Trigger]:
    """Triggers of the source that have no counterpart yet."""
    return [trigger for trigger, there in counterparts(pair, plan).items() if there is None]


# ----- a counterpart


def why_not(trigger: Trigger, pair: TablePair) -> str | None:
    """Why the target can't have the same trigger, as a clause; None where it can."""
    there = same_columns(pair)
    for column in pair.source.columns:
        if there.get(column.name) == column.name:
            continue
        if column.name not in there and column.name in [*trigger.columns, *columns_of_condition(trigger)]:
            return f"it asks for the column {column.name!r}, which the target does not have"
        if has_word(column.name, trigger.body):
            return f"its function names the column {column.name!r}, which the target does not have by that name"
        if column.name in trigger.arguments:
            return f"its arguments name the column {column.name!r}, which the target does not have by that name"
    return None


def has_word(name: str, text: str) -> bool:
    """Whether a name occurs in what a function says, in whatever meaning."""
    return re.search(rf"\b{re.escape(name)}\b", text) is not None


def same_columns(pair: TablePair) -> dict[str, str]:
    """By the source's column: the target's that takes its values as they are and returns them, or has its name."""
    named = {column.name: column.name for column in pair.source.columns if pair.target.has_column(column.name)}
    plain = [a for a in pair.forward.carried if a.plain and a not in pair.derived]
    return named | {column: a.column.name for a in plain for column in a.reads} | dict(pair.forward.key)


def columns_of_condition(trigger: Trigger) -> list[str]:
    parts = DEFINITION.fullmatch(trigger.definition)
    assert parts is not None  # noqa: S101  PostgreSQL has printed it.
    return [unquoted(found["column"]) for found in WORDS.finditer(parts[4]) if found["column"]]


def create(trigger: Trigger, pair: TablePair) -> list[Statement]:
    """The trigger on the target, disabled, under its own name."""
    made = Identifier(trigger.name)
    return [
        SQL(retarget(trigger.definition, pair.target, same_columns(pair))),
        SQL("COMMENT ON TRIGGER {} ON {} IS {}").format(made, name(pair.target), Literal(made_for(pair))),
        enable_trigger(pair.target, trigger.name, DISABLED),
    ]


def retarget(definition: str, table: Table, columns: Mapping[str, str]) -> str:
    """The statement that creates the same trigger on `table`, where columns have the names that `columns` gives."""
    parts = DEFINITION.fullmatch(definition)
    assert parts is not None  # noqa: S101  PostgreSQL has printed it.

    def renamed(found: re.Match[str]) -> str:
        if not found["column"]:
            return found[0]
        column = unquoted(found["column"])
        return f"{found['row']}.{Identifier(columns.get(column, column)).as_string()}"

    def listed(found: re.Match[str]) -> str:
        names = (unquoted(column) for column in re.findall(NAME, found[1]))
        return "UPDATE OF " + ", ".join(Identifier(columns.get(c, c)).as_string() for c in names)

    events = re.sub(rf"UPDATE OF ({NAME}(?:, {NAME})*)", listed, parts[2])
    return f"{parts[1]}{events}{parts[3]}{name(table).as_string()} {WORDS.sub(renamed, parts[4])}"


def unquoted(word: str) -> str:
    return word[1:-1].replace('""', '"') if word.startswith('"') else word


# ----- of a whole plan


def to_keep(plan: Plan) -> Record:
    """How the target's triggers are enabled before the move."""
    return Record(triggers=by_table((pair.target, states(of_project(pair.target))) for pair in plan.pairs))


def to_keep_live(plan: Plan, record: Record) -> Record:
    """The same of those that stay disabled while both tables live."""
    found = []
    for pair in plan.pairs:
        free = {trigger.name for trigger in own_of_target(pair, plan)}
        before = record.triggers.get(str(pair.target), {})
        found.append((pair.target, {trigger: state for trigger, state in before.items() if trigger not in free}))
    return record.keeping(triggers=by_table(found))


def by_table(found: Iterable[tuple[Table, States]]) -> dict[str, States]:
    return {str(table): enabled for table, enabled in found if enabled}


def states(triggers: Iterable[Trigger]) -> States:
    """Of those that are enabled."""
    return {trigger.name: trigger.state for trigger in triggers if trigger.state != DISABLED}


def set_states(table: Table, wanted: States, now: States) -> list[Statement]:
    """For those that are not as they should be by `now`, which says of what is enabled how."""
    changed = {trigger: state for trigger, state in wanted.items() if state != now.get(trigger, DISABLED)}
    return [enable_trigger(table, trigger, state) for trigger, state in changed.items()]


def disable(table: Table) -> list[Statement]:
    return [enable_trigger(table, trigger, DISABLED) for trigger in states(of_project(table))]


def put_away(plan: Plan) -> list[Statement]:
    """None of the target's fires for rows that are copied, or removed."""
    return [statement for pair in plan.pairs for statement in disable(pair.target)]


def carry(plan: Plan, record: Record) -> list[Statement]:
    """From here both tables live, or the target alone where the source is frozen; after `put_away`."""
    statements = []
    for pair in plan.pairs:
        statements += create_lacking(pair, plan)
        statements += set_states(pair.target, wanted(pair, plan, record), now={})
    return statements


def repair(plan: Plan, record: Record) -> list[Statement]:
    """What is not as `carry` left it, and what follows from triggers that were created or dropped since."""
    statements = []
    for pair in plan.pairs if plan.reversible else ():
        statements += create_lacking(pair, plan)
        statements += set_states(pair.target, wanted(pair, plan, record), states(pair.target.triggers))
        statements += [drop(pair.target, trigger) for trigger in superfluous(pair, plan)]
    return statements


def create_lacking(pair: TablePair, plan: Plan) -> list[Statement]:
    return [statement for trigger in lacking(pair, plan) for statement in create(trigger, pair)]


def wanted(pair: TablePair, plan: Plan, record: Record) -> States:
    """How the target's triggers are to be enabled: counterparts where the source is frozen; the others as before."""
    before = record.triggers.get(str(pair.target), {})
    found = {there.name: before[there.name] for there in own_of_target(pair, plan) if there.name in before}
    for trigger, there in counterparts(pair, plan).items():
        alive = trigger.state if there is None or is_made(there, pair) else before.get(there.name, DISABLED)
        found[there.name if there else trigger.name] = DISABLED if plan.reversible else alive
    return found


def find_defects(plan: Plan, record: Record) -> list[str]:
    """One sentence for each write that both tables' triggers record, or that none does, now or once retired."""
    return [defect for pair in plan.pairs if plan.reversible for defect in find_defects_in(pair, plan, record)]


def find_defects_in(pair: TablePair, plan: Plan, record: Record) -> Iterator[str]:
    source, target = pair.source, pair.target
    for trigger, there in counterparts(pair, plan).items():
        if there is None:
            yield f"The trigger {trigger.name!r} of {source} has no counterpart on {target}."
        elif there.state != DISABLED:
            yield (
                f"The trigger {there.name!r} of {target} is enabled, and does what {trigger.name!r} of {source} does: "
                "both fire for one write."
            )
    for there in superfluous(pair, plan):
        yield f"The trigger {there.name!r} of {target} is the counterpart of none that {source} has."
    for there in own_of_target(pair, plan):
        if there.state == DISABLED and there.name in record.triggers.get(str(target), {}):
            yield f"The trigger {there.name!r} of {target} is disabled, and {source} has none that fires instead."


# ----- the way back, and a retirement


def revert(plan: Plan, record: Record) -> list[Statement]:
    """After `put_away`: the target's triggers are enabled as before the move; those that the move created are gone."""
    statements = []
    for pair in plan.pairs:
        made = [there for there in of_project(pair.target) if is_made(there, pair)]
        own = [there for there in of_project(pair.target) if there not in made]
        before = states(own) | record.triggers.get(str(pair.target), {})
        statements += [drop(pair.target, there) for there in made]
        statements += set_states(pair.target, {there.name: before.get(there.name, DISABLED) for there in own}, now={})
    return statements


def retire(plan: Plan) -> list[Statement]:
    """After `repair`: from here the counterparts fire, each as the source's trigger did."""
    statements = []
    for pair in plan.pairs:
        found = {there.name if there else own.name: own.state for own, there in counterparts(pair, plan).items()}
        statements += [*set_states(pair.target, found, now={}), *disable(pair.source)]
    return statements


def to_keep_retired(plan: Plan, record: Record) -> Record:
    """How the source's triggers are enabled before the retirement."""
    found = by_table((pair.source, states(of_project(pair.source))) for pair in plan.pairs)
    return record.keeping(triggers=record.triggers | found)


def unretire(plan: Plan, record: Record) -> list[Statement]:
    """The source's fire again, each as its counterpart did; what was dropped or disabled since stays so."""
    statements = []
    for pair in plan.pairs:
        before = record.triggers.get(str(pair.source), {})
        found = counterparts(pair, plan)
        for trigger in of_project(pair.source):
            there = found.get(trigger)
            gone = DISABLED if trigger in found else before.get(trigger.name, DISABLED)
            statements += set_states(pair.source, {trigger.name: there.state if there else gone}, states([trigger]))
            if there:
                statements += set_states(pair.target, {there.name: DISABLED}, states([there]))
    return statements


# ----- in place, where the table has its own triggers, and its twin's for those that these succeed


def to_keep_in_place(plan: Plan) -> Record:
    """The twin's triggers, and those of the table that its twin has a successor for."""
    twins = {str(pair.target): {there.name: there.state for there in of_project(pair.target)} for pair in plan.pairs}
    own = by_table((pair.source, states(succeeded(pair, plan))) for pair in plan.pairs)
    return Record(triggers={table: found for table, found in twins.items() if found} | own)


def succeeded(pair: TablePair, plan: Plan) -> list[Trigger]:
    return [trigger for trigger, there in counterparts(pair, plan).items() if there]


def take_over(plan: Plan) -> list[Statement]:
    """Once the table has its twin's names."""
    statements = []
    for pair in plan.pairs:
        statements += [enable_trigger(pair.target, t, DISABLED) for t in states(succeeded(pair, plan))]
        statements += [s for there in of_project(pair.target) for s in create_again(there, pair.target)]
    return statements


def create_again(trigger: Trigger, table: Table) -> list[Statement]:
    place = SQL("TRIGGER {} ON {}").format(Identifier(trigger.name), name(table))
    return [
        SQL(trigger.definition),
        SQL("COMMENT ON {} IS {}").format(place, Literal(trigger.comment or None)),
        enable_trigger(table, trigger.name, trigger.state),
    ]


def of_twin(pair: TablePair, record: Record) -> list[Trigger]:
    """As the table has them by now."""
    return [there for there in of_project(pair.target) if there.name in record.triggers.get(str(pair.target), {})]


def of_table(pair: TablePair, record: Record) -> list[Trigger]:
    """Those of the table itself that the twin's have succeeded."""
    return [there for there in of_project(pair.target) if there.name in record.triggers.get(str(pair.source), {})]


def leave(plan: Plan, record: Record) -> list[Statement]:
    """While the table still has its twin's names."""
    statements = []
    for pair in plan.pairs:
        before = record.triggers.get(str(pair.source), {})
        statements += [drop(pair.target, trigger) for trigger in of_twin(pair, record)]
        statements += [enable_trigger(pair.target, t.name, before[t.name]) for t in of_table(pair, record)]
    return statements


def return_to_twins(plan: Plan, record: Record) -> list[Statement]:
    """Once they have been made again, perhaps with triggers that the model declares."""
    statements = []
    for pair in plan.pairs:
        for there in of_twin(pair, record):
            statements += [drop(pair.target, there), *create_again(there, pair.target)]
    return statements


def drop(table: Table, trigger: Trigger) -> Statement:
    return SQL("DROP TRIGGER IF EXISTS {} ON {}").format(Identifier(trigger.name), name(table))
