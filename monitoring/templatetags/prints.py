"""What pages say of a print, in the design's words."""

import dataclasses
from datetime import timedelta
from typing import Any

from django import template
from django.template.context import Context
from django.utils.html import format_html
from django.utils.safestring import SafeString

from core.templatetags.farm import clock, duration
from monitoring.models import Print
from printers.states import State

register = template.Library()


@dataclasses.dataclass(frozen=True)
class Badge:
    """As a state has it."""

    value: str
    word: str
    icon: str


GOOD, BAD = Badge("ready", "Good", "ready"), Badge("", "Bad", "failed")
RUNNING = Badge("printing", "Printing", "printing")
LOST = Badge("failed", "Lost", "failed")


@register.filter
def how(one: Print) -> Badge | State:
    """How it went: what somebody has said, else how it ended."""
    if one.verdict:
        return GOOD if one.verdict == Print.Verdict.GOOD else BAD
    if not one.ended_at:
        return RUNNING
    return LOST if one.outcome == Print.Outcome.LOST else State(one.outcome)


@register.filter
def why(one: Print) -> str:
    """What is to be added: came loose · 3 bad parts"""
    if one.verdict == Print.Verdict.BAD:
        number = one.bad_count
        parts = "" if number is None else f"{number} bad part{'' if number == 1 else 's'}"
        return " · ".join(filter(None, [one.bad_reason, parts]))
    return "" if one.verdict else one.reason


@register.filter
def tale(one: Print) -> SafeString:
    """Ended 14:20 after 6 h 05 min. Started by Nima Rad."""
    word = "Ended" if one.outcome == Print.Outcome.FINISHED else one.get_outcome_display()
    after = f" after {took(one)}" if one.seconds else ""
    reason = format_html(" <bdi>{}</bdi>", one.reason) if one.reason else ""
    by = format_html(" Started by <bdi>{}</bdi>.", who(one.started_by)) if one.started_by else ""
    return format_html("{} {}{}.{}{}", word, clock(one.ended_at), after, reason, by)


@register.filter
def took(one: Print) -> str:
    """6 h 05 min"""
    return duration(None if one.seconds is None else timedelta(seconds=one.seconds))


@register.filter
def who(user: Any) -> str:
    return "–" if user is None else str(user.get_full_name() or user.get_username())


@register.simple_tag(takes_context=True)
def narrowed(context: Context, **values: Any) -> str:
    """The address of this list with these values beside its own, from its first page."""
    query = context["request"].GET.copy()
    for name, value in (values | {"page": None}).items():
        query.pop(name, None)
        if value not in (None, ""):
            query[name] = value
    return f"?{query.urlencode()}"
