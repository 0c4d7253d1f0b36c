"""Tries a rule: each of its channels gets a message that says that nothing has happened."""

import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from django.template.loader import render_to_string

from monitoring.alerts import channels, links, rules
from monitoring.alerts.channels import Outcome
from monitoring.alerts.models import Channel, Rule
from monitoring.alerts.wording import WELL_COLOURS, Letter

TITLE = "This is a trial: nothing has happened"


def try_out(rule: Rule) -> Iterator[tuple[Channel, Outcome]]:
    """All at once, since somebody waits for the page."""
    words = letter(rule)
    found = [(channel, channels.address_of(channel)) for channel in rule.channels.select_related("user")]

    def one(each: tuple[Channel, str]) -> Outcome:
        channel, to = each
        return channels.carry(channel.kind, to, words, f"trial-{secrets.token_hex(8)}", channels.TRIAL_S)

    with ThreadPoolExecutor(max(len(found), 1)) as pool:
        outcomes = pool.map(one, found)
        yield from zip((channel for channel, _ in found), outcomes, strict=True)


def letter(rule: Rule) -> Letter:
    ground, ink = WELL_COLOURS
    context = {
        "title": TITLE, "rule": rules.sentence(rule), "ground": ground, "ink": ink, "rules_link": links.rules(),
    }  # fmt: skip
    text = f"This rule reaches you here: {context['rule']}.\n\n{links.rules()}\n"
    return Letter(TITLE, text, render_to_string("alerts/trial.html", context))
