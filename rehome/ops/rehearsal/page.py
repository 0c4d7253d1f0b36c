"""A report as a page for people, in Markdown that reads well as it is."""

import datetime
from collections.abc import Iterable, Iterator, Sequence

from rehome.ops.rehearsal import facts
from rehome.ops.rehearsal.recording import WHOLE
from rehome.ops.rehearsal.report import Blocker, Follower, Lock, Program, Report, Seen, Server, Stage

LEAST_S = 0.2
"""Locks that were held for less are left out: a writer notices none of them."""
LONG_S = 0.5
"""Migrations without a move that took less are counted alone."""
NAMES = {"rehearsal": "Rehearsal", "move": "Move"}


def markdown(report: Report) -> str:
    parts = [
        *head(report), *stages(report.stages), *steps(report), *locks(report.locks), *compared(report),
        *on_source(report.seen),
    ]  # fmt: skip
    return "\n".join(parts) + "\n"


def head(report: Report) -> Iterator[str]:
    began = datetime.datetime.fromisoformat(report.began)
    yield f"# {NAMES[report.kind]} of {report.source.database}, {began:%Y-%m-%d %H:%M} UTC"
    yield ""
    yield f"{'Worked' if report.ok else '**FAILED**'}: {', '.join(report.moves)}{', online' if report.online else ''}."
    for stage in report.stages:
        if stage.problem:
            yield f"**{stage.name}**: {stage.problem}"
    if report.ok and report.kind == "rehearsal":
        yield ""
        yield f"**Window to announce: {minutes(report.window)}**: {seconds(report.seconds)} measured, and a fifth."
        way_back = report.way_back
        yield f"Way back: {minutes(way_back)}." if way_back else "There is no way back; only a backup leads back."
    if report.copy:
        yield f"On {report.copy}, restored from {report.origin}. Source: {report.source}."
    yield ""


def stages(found: Sequence[Stage]) -> Iterator[str]:
    yield from table(
        ("stage", "seconds", "rows", "disk", "log (WAL)", "longest wait for a lock, s"),
        [
            (stage.name, f"{stage.seconds:.1f}", f"{stage.rows:,}" if stage.rows is not None else "", size(stage.disk),
             size(stage.wal), f"{stage.waited:.2f}")
            for stage in found
        ],
    )  # fmt: skip
    yield from (f"{stage.name}: {stage.note}" for stage in found if stage.note)
    yield ""


def steps(report: Report) -> Iterator[str]:
    forward = report.stage("forward")
    if not forward:
        return
    long = [one for one in forward.steps if one.name != WHOLE or one.seconds >= LONG_S]
    short = [one.seconds for one in forward.steps if one not in long]
    rest = [(f"{len(short)} other migrations", "", f"{sum(short):.1f}", "")] if short else []
    yield from ("## Steps of the way forward", "")
    yield from table(
        ("migration", "step", "seconds", "of them waiting"),
        [*((one.migration, one.name, f"{one.seconds:.1f}", f"{one.waited:.1f}") for one in long), *rest],
    )
    yield ""


def locks(found: Iterable[Lock]) -> Iterator[str]:
    felt = [lock for lock in found if lock.seconds >= LEAST_S]
    yield from ("## Who waits for the move, and how long at most", "")
    if not felt:
        yield from (f"Nobody for longer than {LEAST_S} s.", "")
        return
    who = {"everybody": "readers and writers", "writers": "writers"}
    yield from table(
        ("table", "who waits", "seconds"), [(one.table, who[one.keeps_out], f"{one.seconds:.1f}") for one in felt]
    )
    yield ""


def compared(report: Report) -> Iterator[str]:
    if report.copy is None:
        return
    source, copy = report.source, report.copy
    yield from ("## The copy and the source", "")
    yield from table(("", "source", "copy"), [*sizes(source, copy), *facts.differences(source, copy)])
    yield from ("", facts.CANT_SHOW, "")


def sizes(source: Server, copy: Server) -> Iterator[tuple[str, str, str]]:
    yield "size", size(source.size), size(copy.size)
    yield "rows that move, about", f"{source.rows:,}", f"{copy.rows:,}"


def on_source(seen: Seen) -> Iterator[str]:
    yield from ("## What was seen on the source", "")
    if seen.problem:
        yield from (f"Looking at it ended early: {seen.problem}.", "")
    if not seen.looks:
        return
    yield f"In {seen.looks} looks within {seconds(seen.seconds)}, which wrote nothing there:"
    yield ""
    lines = [*map(program, seen.programs), *unseen(seen), *map(blocker, seen.blockers), *map(follower, seen.followers)]
    yield from (f"- {line}" for line in lines or ["nobody who writes, no long transaction, no dump, no slot"])
    yield ""


def program(one: Program) -> str:
    name = one.application or "(no application_name)"
    where = f"writes to {', '.join(one.tables)}" if one.tables else "writes elsewhere"
    return f"{name}, user {one.role}, host {one.host}: {where}; seen {one.looks} times"


def unseen(seen: Seen) -> Iterator[str]:
    if seen.unseen:
        yield f"{seen.unseen:,} rows were written to the tables that move, and nobody was seen writing: look for longer"
    if seen.hidden:
        yield (
            f"{seen.hidden} sessions whose doing this role can't see: GRANT pg_read_all_stats to it, and set "
            "track_activities = on"
        )


def blocker(one: Blocker) -> str:
    return f"{one.kind}, {seconds(one.seconds)} old: {one.who}"


def follower(one: Follower) -> str:
    if one.kind == "replica":
        behind = f"{size(one.behind)} behind" if one.behind >= 0 else "its position can't be seen by this role"
        return f"replica {one.name}: {behind}"
    used = "" if one.active else ", **without a consumer**"
    return f"replication slot {one.name}{used}: keeps {size(one.behind)} of log"


# ----- words


def table(heading: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    rows = [heading, *rows]
    widths = [max(len(str(row[column])) for row in rows) for column in range(len(heading))]
    for number, row in enumerate(rows):
        yield f"| {' | '.join(str(cell).ljust(width) for cell, width in zip(row, widths, strict=True))} |"
        if not number:
            yield f"| {' | '.join('-' * width for width in widths)} |"


def size(number: int) -> str:
    value = float(number)
    for unit in ("B", "kB", "MB", "GB"):
        if abs(value) < 1024:
            return f"{value:.0f} {unit}" if unit in {"B", "kB"} else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} TB"


def seconds(number: float) -> str:
    if number < 120:
        return f"{number:.0f} s"
    return f"{number / 60:.0f} minutes" if number < 7200 else f"{number / 3600:.1f} hours"


def minutes(number: int) -> str:
    return f"{number} minute{'' if number == 1 else 's'}"
