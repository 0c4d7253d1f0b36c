"""Moments and durations as people read them: "9 min", "16:12", "Fri 06:13", "since 13:05"."""

from datetime import UTC, datetime, timedelta

from django.utils import timezone
from django.utils.formats import date_format

FIRST, LAST = datetime(2000, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)
"""Nothing on a farm happens earlier or later; a moment at the end of all time is none any more in another zone."""
NOWHERE = "Look at the year: it is before 2000 or after 2199."
NBSP = "\N{NO-BREAK SPACE}"
MINUTE = 60
HOUR = 60 * MINUTE
DAY = 24 * HOUR
# Within this distance a weekday names one day alone.
WEEK = timedelta(days=6)


def duration(span: timedelta) -> str:
    """What is left or has passed: "now" under a minute, then minutes, hours and minutes, days and hours."""
    seconds = abs(span.total_seconds())
    if seconds < MINUTE:
        return "now"
    # Rounded to what is shown, so that 59 min 40 s is one hour and not "60 min".
    minutes = round(seconds / MINUTE)
    if minutes < 60:
        return f"{minutes}{NBSP}min"
    if minutes < 24 * 60:
        return f"{minutes // 60}{NBSP}h {minutes % 60:02}{NBSP}min"
    hours = round(seconds / HOUR)
    days, rest = divmod(hours, 24)
    return f"{days}{NBSP}{'day' if days == 1 else 'days'}" + (f" {rest}{NBSP}h" if rest else "")


def age(moment: datetime, now: datetime | None = None) -> str:
    """How long ago it was; in seconds under a minute, as only ages are."""
    span = (now or timezone.now()) - moment
    seconds = max(int(span.total_seconds()), 0)
    return f"{seconds}{NBSP}s ago" if seconds < MINUTE else f"{duration(span)} ago"


def clock(moment: datetime, now: datetime | None = None) -> str:
    """The reader's clock: today "16:12", within the week "Fri 06:13", else "14 Feb", other years "14 Feb 2025"."""
    here = timezone.localtime(moment)
    today = timezone.localtime(now or timezone.now())
    if here.date() == today.date():
        return date_format(here, "H:i")
    if abs(here - today) < WEEK:
        return date_format(here, "D H:i")
    return date_format(here, "j M" if here.year == today.year else "j M Y")
