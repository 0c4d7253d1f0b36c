"""Who else is at the database: what would block the move, what needs its log, and who writes."""

import functools
from collections.abc import Callable

from rehome.ops.readiness.day import Day
from rehome.ops.readiness.line import Line, no, ok, unknown
from rehome.ops.rehearsal import page
from rehome.ops.rehearsal.report import Program

MONITOR = "Run GRANT pg_read_all_stats TO the role that connects, and run this again."
BEHIND = 64 << 20
"""Bytes that a replica may be behind."""


def seen_to_the_end(check: Callable[[Day], Line]) -> Callable[[Day], Line]:
    """That nothing was found says nothing where looking ended early."""

    @functools.wraps(check)
    def checked(day: Day) -> Line:
        line = check(day)
        if line.state == "ok" and (day.seen.problem or not day.seen.looks):
            why = day.seen.problem or "nobody has looked"
            return unknown(line.name, f"looking at the sessions ended early: {why}", "Run this again.")
        return line

    return checked


@seen_to_the_end
def transactions(day: Day) -> Line:
    found = [
        one for one in day.seen.blockers if one.kind in {"long transaction", "prepared transaction", "maintenance"}
    ]
    if found:
        return no(
            "long transactions",
            "; ".join(map(page.blocker, found)),
            "Let them end, or end them: SELECT pg_terminate_backend(pid), or ROLLBACK PREPARED of a prepared one.",
        )
    if day.seen.hidden:
        return unknown("long transactions", f"{day.seen.hidden} sessions hide what they do from this role", MONITOR)
    return ok("long transactions", f"none in {page.seconds(day.seen.seconds)}")


@seen_to_the_end
def dumps(day: Day) -> Line:
    found = [one for one in day.seen.blockers if one.kind == "dump"]
    if found:
        todo = "Wait until it has ended, and let no other begin: it would block the move."
        return no("dumps", "; ".join(map(page.blocker, found)), todo)
    return ok("dumps", "none is running")


@seen_to_the_end
def lag(day: Day) -> Line:
    found = [one for one in day.seen.followers if one.kind == "replica"]
    unseen = [one.name for one in found if one.behind < 0]
    late = [one for one in found if one.behind > BEHIND]
    if late:
        todo = "Wait until they have caught up; with REHOME_MAX_LAG an online move waits for them."
        return no("replicas", "; ".join(map(page.follower, late)), todo)
    if unseen:
        return unknown("replicas", f"the position of {', '.join(unseen)} can't be seen by this role", MONITOR)
    return ok("replicas", "; ".join(map(page.follower, found)) or "there is none")


@seen_to_the_end
def slots(day: Day) -> Line:
    """One without a consumer keeps all log from now on, and a move writes much."""
    found = [one for one in day.seen.followers if one.kind == "slot"]
    left = [one for one in found if not one.active]
    if left:
        return no(
            "slots",
            "; ".join(map(page.follower, left)),
            f"Start its consumer, or run SELECT pg_drop_replication_slot('{left[0].name}').",
        )
    return ok("slots", "; ".join(map(page.follower, found)) or "there is none")


@seen_to_the_end
def writers(day: Day) -> Line:
    """Everybody who was seen writing, now or during the rehearsal, is somebody whom the operator knows."""
    rehearsed = day.rehearsal.seen.programs if day.rehearsal else ()
    found = {name_of(one): one for one in (*rehearsed, *day.seen.programs) if one.tables}
    strangers = [one for one in found.values() if not {one.application, one.role} & {*day.limits.writers}]
    if strangers:
        return no(
            "writers",
            "; ".join(map(page.program, strangers)),
            "Find out what each is. Name those that may write on in REHOME_WRITERS, or with --writer NAME (the program "
            "or the role); stop the others.",
        )
    if day.seen.unseen:
        return no(
            "writers",
            f"{day.seen.unseen:,} rows were written meanwhile, and nobody was seen writing them",
            "Look for longer: --seconds 60.",
        )
    known = ", ".join(sorted(filter(None, (one.application or one.role for one in found.values()))))
    return ok("writers", f"all are known: {known}" if found else f"nobody wrote in {page.seconds(day.seen.seconds)}")


def name_of(one: Program) -> tuple[str, str, str]:
    return one.application, one.role, one.host
