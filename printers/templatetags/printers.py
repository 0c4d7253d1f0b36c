"""What a page says of a printer, in the design's words."""

from typing import Any

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

from core import times
from core.templatetags.farm import clock, degrees, percent
from printers.models import Printer
from printers.parts import order_of, word_of
from printers.states import ENDED, State

register = template.Library()


@register.filter
def say(printer: Printer) -> SafeString | str:
    """The sentence of a tile."""
    seen, state = printer.seen, printer.state
    if state == State.OUTOFORDER:
        return format_html("<bdi>{}</bdi>", printer.known.out_of_order_why)
    if seen is None:
        return "Nobody has asked it yet."
    if state == State.READY:
        return format_html("Free since {}", clock(seen.since))
    if state == State.DISCONNECTED:
        return format_html("Server up, printer switched off since {}", clock(seen.since))
    if state in ENDED and not seen.message:
        return format_html("Ended {}. Somebody has to clear the plate.", clock(seen.since))
    return seen.message


@register.filter
def extra(printer: Printer) -> str:
    """What stands beside the word of a state: 142 of 215 °C."""
    if printer.state == State.HEATING and printer.seen:
        nozzle = printer.seen.temperatures.get("tool0") or {}
        if nozzle.get("target"):
            return f"{nozzle.get('actual') or 0:.0f} of {degrees(nozzle['target'])}"
    return ""


@register.filter
def file(printer: Printer) -> str:
    """The file, and how far a print came that calls somebody."""
    if not (printer.seen and printer.seen.file):
        return ""
    stuck = printer.state in (State.ERROR, State.ATTENTION) and printer.seen.progress is not None
    return f"{printer.seen.file} · {percent(printer.seen.progress)}" if stuck else printer.seen.file


@register.filter
def parts(temperatures: dict[str, Any]) -> list[tuple[str, str, str]]:
    """(part, actual, target) in words; nozzles first, for the database keeps no order."""
    found = []
    for part, values in sorted(temperatures.items(), key=lambda each: order_of(each[0])):
        target = values.get("target")
        found.append((word_of(part), degrees(values.get("actual")), degrees(target) if target else ""))
    return found


@register.filter
def size(number: int | None) -> str:
    """12.4 MB"""
    if number is None:
        return ""
    return f"{number / 1e6:,.1f}{times.NBSP}MB" if number >= 1e5 else f"{number / 1e3:,.0f}{times.NBSP}kB"


@register.filter
def allows(printer: Printer, what: str) -> bool:
    return printer.state.allows(what)
