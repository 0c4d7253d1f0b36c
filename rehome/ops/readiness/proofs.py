"""What has to have been proved before the day: a backup, a rehearsal, and how long each way takes."""

import datetime

from rehome.ops.backups.required import is_own
from rehome.ops.backups.store import SKEW
from rehome.ops.readiness.day import Day
from rehome.ops.readiness.line import Line, no, ok, unknown
from rehome.ops.rehearsal import facts
from rehome.ops.rehearsal.page import minutes, seconds, size
from rehome.ops.rehearsal.report import Report
from rehome.ops.rehearsal.report import minutes as with_margin
from rehome.postgres import conf

GROWN = 1.25
"""A database that is larger than when it was rehearsed by more than this takes noticeably longer."""
BACK_UP = "Run `manage.py backup`, then `manage.py checkbackup`."
NO_MOVE = "`migrate` would run no move"
REHEARSE = "Run `manage.py rehearsemoves --on URL --from-backup latest`."


def backup(day: Day) -> Line:
    """One that was restored and compared, and is young enough to lose little."""
    if day.no_storage:
        return no("backup", day.no_storage.rstrip("."), "Configure the storage of backups.")
    own = [one for one in day.backups if is_own(one, day.where)]
    proved = [one for one in own if one.proved]
    if not proved:
        what = f"{own[-1].manifest.name} is not proved" if own else "there is no backup of this very database"
        return no("backup", what, BACK_UP if not own else "Run `manage.py checkbackup`.")
    age = day.now - proved[-1].manifest.taken_at
    what = f"{proved[-1].manifest.name} is proved and {hours(age)} old"
    if age > datetime.timedelta(hours=day.limits.backup_hours):
        return no("backup", f"{what}, more than {day.limits.backup_hours:g} hours", BACK_UP)
    return ok("backup", what)


def rehearsal(day: Day) -> Line:
    """Of these migrations, at this size and version."""
    if not day.moves:
        return ok("rehearsal", NO_MOVE)
    found = day.rehearsal
    if found is None and day.rehearsals:
        missing = [one for one in day.migrations if one not in day.rehearsals[0].migrations]
        return no("rehearsal", f"the last one did not have {', '.join(missing)}", REHEARSE)
    if found is None or found.copy is None:
        return no("rehearsal", "there is none of this database", REHEARSE)
    if why := why_not(found, found.copy.version, day):
        return no("rehearsal", f"that of {found.began[:10]} {why}", REHEARSE)
    return ok("rehearsal", f"that of {found.began[:10]} worked, with these migrations, on PostgreSQL "
              f"{facts.release(found.copy.version)}")  # fmt: skip


def why_not(found: Report, version: int, day: Day) -> str:
    """Why a rehearsal says too little of this database; empty where it says enough."""
    age = day.now - datetime.datetime.fromisoformat(found.began)
    if not found.ok:
        return "failed"
    if found.online != conf.online():
        return f"was {'online' if found.online else 'not online'}, and REHOME_ONLINE is {int(conf.online())}"
    if version // 10_000 != day.where.version // 10_000:
        return f"was on PostgreSQL {version // 10_000}, and the source is {day.where.version // 10_000}"
    if day.facts.size > found.source.size * GROWN:
        return f"had {size(found.source.size)}, and the source has {size(day.facts.size)} by now"
    if age < -SKEW:
        return "was dated by a wrong clock"
    if age > datetime.timedelta(days=day.limits.rehearsal_days):
        return f"is {age.days} days old"
    return ""


def restore_time(day: Day) -> Line:
    """How long the last way back takes, measured."""
    proofs = [one.proof for one in day.backups if one.proved and one.proof]
    if not proofs:
        return unknown("restore time", "it was not measured", "Run `manage.py checkbackup`, which measures it.")
    took = proofs[-1].restore_seconds + proofs[-1].compare_seconds
    return ok("restore time", f"{seconds(took)} measured, so {minutes(with_margin(took))} to announce")


def window(day: Day) -> Line:
    if not day.moves:
        return ok("window", NO_MOVE)
    found, asked = day.rehearsal, day.limits.window
    if found is None or not found.ok:
        return unknown("window", "nothing was measured", REHEARSE)
    back = f"; the way back {minutes(found.way_back)}" if found.way_back else "; there is no way back but a restore"
    what = f"{minutes(found.window)} forward and verified{back}"
    if asked is not None and found.window > asked:
        return no("window", f"{what}, and {minutes(asked)} are announced", "Announce more, or move online: --online.")
    return ok("window", what)


def hours(age: datetime.timedelta) -> str:
    return f"{age.total_seconds() / 3600:.1f} hours"
