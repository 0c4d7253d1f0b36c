"""What messages and pages of alerts write in the same way."""

from datetime import datetime

from django import template

from core import times
from monitoring.alerts import rules
from monitoring.alerts.models import Rule

register = template.Library()


@register.filter
def wall(moment: datetime) -> str:
    """16:12 or Fri 06:13, as text."""
    return times.clock(moment)


@register.filter
def sentence(rule: Rule) -> str:
    """Errors in Hall A, at any hour"""
    return rules.sentence(rule)
