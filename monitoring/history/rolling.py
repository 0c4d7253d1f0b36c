"""Rolls up what is older than a day: temperatures to quarters of an hour, states to one of a kind in each.

An hour is rolled up in one transaction together with the mark of how far all is, so an interruption loses nothing and
counts nothing twice. Of each part the last row stays, for the hours that follow begin with it.
"""

import time
from datetime import UTC, datetime, timedelta

from django.db import connection, transaction

from monitoring.history import partitions
from monitoring.history.models import RolledUp

HOUR = timedelta(hours=1)
KEPT_WHOLE = timedelta(days=1)

AVERAGE = """
WITH spans AS (
    SELECT printer_id, part, actual, target, at AS begins,
        lead(at, 1, %(end)s::timestamptz) OVER (PARTITION BY printer_id, part ORDER BY at) AS ends
    FROM history_temperature WHERE at < %(end)s
), pieces AS (
    SELECT *, extract(epoch FROM least(ends, quarter + interval '15 minutes') - greatest(begins, quarter)) AS lasted
    FROM spans
    JOIN generate_series(%(begin)s::timestamptz, %(end)s::timestamptz - interval '15 minutes', interval '15 minutes')
        AS quarter ON begins < quarter + interval '15 minutes' AND ends > quarter
)
INSERT INTO history_quarter (printer_id, part, at, low, mean, high, target)
SELECT printer_id, part, quarter, min(actual), sum(actual * lasted) / sum(lasted) FILTER (WHERE actual IS NOT NULL),
    max(actual), (array_agg(target ORDER BY begins DESC))[1]
FROM pieces
WHERE NOT EXISTS (SELECT FROM history_quarter WHERE at >= %(begin)s AND at < %(end)s)
GROUP BY printer_id, part, quarter
HAVING max(begins) > quarter - interval '15 minutes'
    OR (quarter = date_trunc('day', quarter, 'UTC') AND count(actual) > 0)
ORDER BY printer_id, part, quarter
"""
"""The order makes a printer's rows of an hour neighbours, so that an index of blocks finds a week of one printer. The
clock may have been set back after an hour was rolled up; it is not rolled up again from the little that is left."""

FORGET = """
DELETE FROM history_temperature old USING (
    SELECT printer_id, part, max(at) AS at FROM history_temperature WHERE at < %(end)s GROUP BY printer_id, part
) AS last
WHERE (old.printer_id, old.part) = (last.printer_id, last.part) AND old.at < last.at
"""
THIN = """
WITH many AS (
    SELECT printer_id, state, max(at) AS last, date_bin('15 minutes', at, 'epoch') AS quarter,
        least(sum(times), 32767) AS times
    FROM history_statechange WHERE at >= %(begin)s AND at < %(end)s
    GROUP BY printer_id, state, quarter HAVING count(*) > 1
), gone AS (
    DELETE FROM history_statechange old USING many
    WHERE (old.printer_id, old.state) = (many.printer_id, many.state) AND old.at >= quarter AND old.at < last
)
UPDATE history_statechange kept SET times = many.times FROM many
WHERE kept.printer_id = many.printer_id AND kept.at = many.last
"""
"""The last change into a state stays, so that the last of a quarter is what the next begins with."""

SUMMARIZE = """
SELECT brin_summarize_new_values(indexrelid)
FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid JOIN pg_am ON pg_am.oid = relam
WHERE indrelid = to_regclass(%s) AND amname = 'brin'
"""


def roll_up(now: datetime, *, seconds: float = 2.0) -> int:
    """Roll up whole hours until nothing is older than a day, or the time is used up; return how many hours.

    Where another process is at it, nothing.
    """
    began, hours = time.monotonic(), 0
    while time.monotonic() - began < seconds and roll_next_hour(now):
        hours += 1
    return hours


def roll_next_hour(now: datetime) -> bool:
    with transaction.atomic():
        last = full_hour(now - KEPT_WHOLE)
        mark = _mark(last)
        if mark is None or mark.until >= last:
            return False
        begin, end = mark.until, mark.until + HOUR
        partitions.ensure([begin])
        with connection.cursor() as cursor:
            for statement in (AVERAGE, FORGET, THIN):
                cursor.execute(statement, {"begin": begin, "end": end})
        mark.until = end
        mark.save(update_fields=["until"])
    _summarize(begin)
    return True


def full_hour(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def _mark(last: datetime) -> RolledUp | None:
    """Locked, and made where there was none; None where another process holds it."""
    RolledUp.objects.bulk_create([RolledUp(pk=1, until=last)], ignore_conflicts=True)
    mark = RolledUp.objects.select_for_update(skip_locked=True).first()
    if mark and mark.until > last:
        # By a clock that was wrong: what is newer than a day is not rolled up.
        mark.until = last
        mark.save(update_fields=["until"])
    return mark


def _summarize(moment: datetime) -> None:
    """At once, for blocks that the index does not know are read by every query."""
    with connection.cursor() as cursor:
        cursor.execute(SUMMARIZE, [partitions.name_of("history_quarter", partitions.month_of(moment))])
