"""What every page writes in the same way: states, icons, moments, durations and numbers."""

from datetime import datetime, timedelta
from typing import Any

from django import template
from django.template.context import Context
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from core import navigation as places
from core import times

register = template.Library()

NBSP = times.NBSP


@register.simple_tag
def icon(name: str) -> SafeString:
    """The symbol of this name, from core/_icons.html. It says nothing by itself: a word stands beside it."""
    return format_html('<svg class="i" aria-hidden="true"><use href="#i-{}"/></svg>', name)


@register.inclusion_tag("core/_state.html")
def state(state: Any, extra: str = "") -> dict[str, Any]:
    """The badge of a state: word, colour and icon."""
    return {"state": state, "extra": extra}


@register.simple_tag
def when(moment: datetime | None, unknown: str = "end unknown") -> SafeString:
    """What is left, and when: **9 min** · 16:12."""
    if not moment:
        return format_html('<span class="when"><b>{}</b></span>', unknown)
    left = times.duration(max(moment - timezone.now(), timedelta()))
    return format_html('<span class="when"><b>{}</b> · {}</span>', left, clock(moment))


@register.simple_tag
def since(moment: datetime | None, unknown: str = "never") -> SafeString | str:
    """since 13:05"""
    return unknown if not moment else format_html("since {}", clock(moment))


@register.filter
def clock(moment: datetime | None) -> SafeString | str:
    """16:12, Fri 06:13, 14 Feb or 14 Feb 2025, in the reader's zone."""
    if not moment:
        return "never"
    return format_html('<time datetime="{}">{}</time>', moment.isoformat(timespec="minutes"), times.clock(moment))


@register.filter
def age(moment: datetime | None) -> SafeString | str:
    """4 s ago, 9 min ago"""
    if not moment:
        return "never"
    return format_html('<time datetime="{}">{}</time>', moment.isoformat(timespec="seconds"), times.age(moment))


@register.filter
def how_long(moment: datetime) -> str:
    """How long it has been so: 1 h 43 min"""
    return times.duration(timezone.now() - moment)


@register.filter
def left(moment: datetime) -> str:
    """How long it is until then: 9 min"""
    return times.duration(moment - timezone.now())


@register.filter
def duration(span: timedelta | None) -> str:
    """1 h 20 min"""
    return "–" if span is None else times.duration(span)


@register.filter
def percent(number: float | None) -> str:
    """62 %"""
    return "–" if number is None else f"{number:.0f}{NBSP}%"


@register.filter
def degrees(number: float | None) -> str:
    """240 °C"""
    return "–" if number is None else f"{number:.0f}{NBSP}°C"


@register.filter
def thousands(number: int | None) -> str:
    """1,240,000"""
    return "–" if number is None else f"{number:,}"


@register.simple_block_tag(takes_context=True)
def note(context: Context, content: str, state: str = "", symbol: str = "", live: bool = True) -> SafeString:
    """What happened and what to do now: {% note "error" %}<p><b>…</b></p>{% endnote %}.

    `state` is the value of a state and colours it; `symbol` is an icon where it is not the state's.
    """
    role = "alert" if state == "error" else "status"
    return format_html(
        '<div class="note"{}{}>{}<div>{}</div></div>',
        format_html(' data-state="{}"', state) if state else "",
        format_html(' role="{}"', role) if live else "",
        icon(symbol or state) if symbol or state else "",
        content,
    )


@register.inclusion_tag("core/_navigation.html", takes_context=True)
def navigation(context: Context) -> dict[str, Any]:
    """The places of every day, with how many printers need the reader: counted by the page, or before."""
    found = places.places(context["request"])
    if (number := context.get("needs_you")) is None and any(place.url == "/" for place in found):
        number = places.needs_you(context["request"])
    return {"places": found, "needs_you": number}


@register.inclusion_tag("core/_menu.html", takes_context=True)
def account_menu(context: Context) -> dict[str, Any]:
    request = context["request"]
    return {"request": request, "entries": places.account(request), "csrf_token": context.get("csrf_token")}


@register.inclusion_tag("core/_sort.html", takes_context=True)
def sort(context: Context, key: str, word: str, css: str = "", default: str = "") -> dict[str, Any]:
    """The head of a column that sorts by `?sort=key`, and backwards by `?sort=-key`; the page begins again."""
    current = context["request"].GET.get("sort") or default
    return {
        "request": context["request"],
        "word": word,
        "css": css,
        "up": current == key,
        "down": current == f"-{key}",
        "then": f"-{key}" if current == key else key,
    }
