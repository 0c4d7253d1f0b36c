"""Tries a rule or a channel: each channel gets a message that says that nothing has happened."""

import logging
import secrets
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from django.core.cache import cache
from django.template.loader import render_to_string
from redis.exceptions import RedisError

from monitoring.alerts import channels, links, rules
from monitoring.alerts.channels import Outcome
from monitoring.alerts.models import Channel, Rule
from monitoring.alerts.wording import WELL_COLOURS, Letter

logger = logging.getLogger(__name__)
TITLE = "This is a trial: nothing has happened"
MINUTE = 60
TRIES_A_MINUTE = 5
TOO_OFTEN = f"You have tried {TRIES_A_MINUTE} times within a minute; wait for the next one."


def may_try(user: Any) -> bool:
    """Each try makes the portal call somebody else's server."""
    key = f"alerts.tries.{user.pk}"
    try:
        cache.add(key, 0, timeout=MINUTE)
        return bool(cache.incr(key) <= TRIES_A_MINUTE)
    except ValueError:  # It has just run out.
        return True
    except RedisError:
        logger.warning("The cache does not answer; trials are not counted.")
        return True


def try_rule(rule: Rule) -> Iterator[tuple[Channel, Outcome]]:
    return try_out(rule.channels.select_related("user"), letter("This rule reaches you here", rules.sentence(rule)))


def try_channel(channel: Channel) -> Outcome:
    [(_, outcome)] = try_out([channel], letter("Alerts reach you here"))
    return outcome


def try_out(to: Iterable[Channel], words: Letter) -> Iterator[tuple[Channel, Outcome]]:
    """All at once, since somebody waits for the page."""
    found = [(channel, channels.address_of(channel)) for channel in to]

    def one(each: tuple[Channel, str]) -> Outcome:
        channel, to = each
        return channels.carry(channel.kind, to, words, f"trial-{secrets.token_hex(8)}", channels.TRIAL_S)

    with ThreadPoolExecutor(max(len(found), 1)) as pool:
        outcomes = pool.map(one, found)
        yield from zip((channel for channel, _ in found), outcomes, strict=True)


def letter(says: str, rule: str = "") -> Letter:
    ground, ink = WELL_COLOURS
    context = {"title": TITLE, "says": says, "rule": rule, "ground": ground, "ink": ink, "rules_link": links.rules()}
    text = f"{says}{rule and ': '}{rule}.\n\n{links.rules()}\n"
    return Letter(TITLE, text, render_to_string("alerts/trial.html", context))
