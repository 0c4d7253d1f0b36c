"""What a verification found wrong, in words, each with its cure; pure functions from a Report and its Plan."""

import dataclasses
from collections.abc import Iterator

from django.db import DEFAULT_DB_ALIAS

from rehome.parts import rows
from rehome.plan.plan import Plan, TablePair
from rehome.plan.record import Record
from rehome.postgres.sql import SQL, Identifier
from rehome.verify.report import Report


@dataclasses.dataclass(frozen=True)
class Problem:
    text: str
    cure: str

    def __str__(self) -> str:
        return f"{self.text}\n  Cure: {self.cure}"


def find_problems(report: Report, plan: Plan, migration: tuple[str, str], record: Record) -> list[Problem]:
    """In the order in which they are best cured; empty for a report that is ok."""
    command = repair_command(plan.connection.alias, migration)
    repair = f"`manage.py migrate{database_option(plan.connection.alias)}`"
    return [
        *(Problem(found.text, found.cure) for found in report.lent),
        *in_triggers(report, command),
        *(Problem(defect, f"Make the view again with {command}.") for defect in report.view),
        *(Problem(defect, f"Correct it with {command}.") for defect in report.triggers),
        *in_policies(report, plan),
        *(in_rows(report, plan) if report.sync else ()),
        *(Problem(found.text, found.cure or f"Run {repair}, which repairs it.") for found in report.defects),
        *in_foreign_keys(report, command),
        *in_sequence(report, command),
        *in_identity(report, plan, record),
        *in_probe(report, command),
    ]


def repair_command(alias: str, migration: tuple[str, str]) -> str:
    """The commands that run on a live move what its migration would run again."""
    chosen = database_option(alias)
    return f"`manage.py sqlmove {' '.join(migration)}{chosen} | manage.py dbshell{chosen} -- -v ON_ERROR_STOP=1`"


def database_option(alias: str) -> str:
    return "" if alias == DEFAULT_DB_ALIAS else f" --database {alias}"


def in_triggers(report: Report, command: str) -> Iterator[Problem]:
    if report.sync == "missing":
        yield Problem(
            "A trigger that carries writes from one table to the other is missing or disabled: "
            "the tables drift apart with the next write.",
            f"Create the triggers again with {command}, then verify again.",
        )
    if report.sync == "outdated" and not report.lent:
        yield Problem(
            "A trigger is not the one that this version of rehome, or this declaration of the move, would create.",
            f"Create the triggers again with {command}.",
        )


def in_policies(report: Report, plan: Plan) -> Iterator[Problem]:
    for named in report.hidden:
        effect = (
            "its policies do not hold for the other table"
            if report.sync
            else f"{plan.main.source} shows only the rows that its policies allow, without an error"
        )
        yield Problem(
            f"{named} has row-level security since the move: {effect}.",
            f"Run ALTER TABLE {named} DISABLE ROW LEVEL SECURITY, and enable it again when nobody uses "
            f"{plan.main.source}.",
        )


def in_rows(report: Report, plan: Plan) -> Iterator[Problem]:
    found = report.comparison
    if not (found.missing or found.extra or found.different):
        return
    text = (
        f"The rows differ: {found.missing} missing in the target, {found.extra} only there, {found.different} with "
        "other values."
    )
    if not plan.reversible:
        yield Problem(
            f"{text} This move can't go back, so what was written to {plan.main.target} since is not carried.",
            "None is needed where those writes explain the differences.",
        )
        return
    yield Problem(
        f"{text} They were written while a trigger was missing or disabled.",
        "Decide for each row which side is right. Updating it there copies it to the other side, as in "
        f"{update_of(plan.main)}; a row that should not be there at all, delete.",
    )


def update_of(pair: TablePair) -> str:
    """An UPDATE that changes nothing and fires the trigger."""
    key = [target for _, target in pair.forward.key]
    chosen = SQL(" AND ").join(SQL("{} = ...").format(Identifier(column)) for column in key)
    return SQL("{} WHERE {}").format(rows.touch(pair.target, key), chosen).as_string()


def in_foreign_keys(report: Report, command: str) -> Iterator[Problem]:
    if report.comparison.orphans:
        yield Problem(
            f"{report.comparison.orphans} rows of the target have a foreign key that leads to no row.",
            "Create the rows that they name, or set the column to null.",
        )
    if report.dropped:
        yield Problem("The target's table lacks foreign keys that its model has.", f"Run {'; '.join(report.dropped)};")
    if report.unvalidated:
        yield Problem(
            f"Constraints that PostgreSQL has not validated: {', '.join(report.unvalidated)}.",
            f"Validate them with {command}.",
        )


def in_sequence(report: Report, command: str) -> Iterator[Problem]:
    if not report.sequence_ok:
        yield Problem(
            "The sequence is behind the largest key, or the tables use different sequences: "
            "the next insert repeats a key.",
            f"Correct it with {command}.",
        )


def in_identity(report: Report, plan: Plan, record: Record) -> Iterator[Problem]:
    if not report.identity_ok:
        labels = plan.target_model._meta.label_lower, plan.source_model._meta.label_lower
        label, other = reversed(labels) if record.label_stays else labels
        yield Problem(
            f"{label} has lost its content type, or it or {other} lacks permissions that it had.",
            f"If row {record.content_type} of django_content_type is there, see that it has the label {label}; then "
            "run `manage.py migrate`, which creates what is missing.",
        )


def in_probe(report: Report, command: str) -> Iterator[Problem]:
    cure = f"Correct what is named; {command} repairs what is rehome's. Or revoke a privilege that is not used."
    yield from (Problem(f"A write fails: {fault}", cure) for fault in (report.probe.faults if report.probe else ()))
