"""Sends what waits, records how it went, and tries again later what failed.

A message belongs to one process from its claim until a minute later than a try can take. Whoever is killed in between
leaves a message that may have arrived; it is sent again, with the same number, for an alert twice is better than none.
"""

import logging
import queue
import random
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from time import monotonic
from typing import Any

from django.db import transaction
from django.db.models import F, Window
from django.db.models.functions import RowNumber
from django.utils import timezone

from monitoring.alerts import channels, judging, rules, wording
from monitoring.alerts.channels import Outcome
from monitoring.alerts.models import Event, Mention, Message

logger = logging.getLogger(__name__)
AT_ONCE = 4
BUSY_S = 10.0
CLAIMED = timedelta(seconds=channels.COURIER_S + 60)
FIRST_PAUSE, LONGEST_PAUSE = timedelta(seconds=30), timedelta(minutes=30)
TRIES = 50
"""About a day's; then it is called not delivered."""
QUIET_PAUSE = timedelta(minutes=1)
KEPT = timedelta(days=30)


@dataclass(frozen=True)
class Work:
    """A message that this process has claimed, in words, and to whom it goes."""

    message: Message
    letter: wording.Letter | None
    to: str
    quiet: bool = False
    """It is to be sent later, though it was due before the quiet hours."""


Known = queue.SimpleQueue[tuple[Work, Outcome | Exception | None]]


def deliver() -> int:
    """How many messages were tried. No transaction is open while somebody else's server is asked.

    After a while it ends, whatever waits: what happens meanwhile has to be decided on, and what follows has its turn.
    """
    done, until = 0, monotonic() + BUSY_S
    while claimed := claim(timezone.now()):
        for work, outcome in tried([work_of(message) for message in claimed]):
            record(work, outcome, timezone.now())
        done += len(claimed)
        if monotonic() >= until:
            break
    return done


def claim(now: datetime) -> list[Message]:
    """Some that are due, for this process alone; each counts as a try from here on.

    The first of everybody's come before the second of anybody's: many channels of one person, all of them to servers
    that say nothing, keep nobody else's alerts back.
    """
    with transaction.atomic():
        waiting = Message.objects.filter(status=Message.Status.WAITING, next_at__lte=now).exclude(claimed_until__gt=now)
        turn = Window(RowNumber(), partition_by="channel__user", order_by=["next_at", "pk"])
        first = list(waiting.order_by(turn, "next_at", "pk").values_list("pk", flat=True)[:AT_ONCE])
        free = waiting.filter(pk__in=first).select_for_update(skip_locked=True)
        keys = list(free.values_list("pk", flat=True))
        Message.objects.filter(pk__in=keys).update(claimed_until=now + CLAIMED, tries=F("tries") + 1)
    return list(Message.objects.filter(pk__in=keys).select_related("channel__user").order_by("pk"))


def work_of(message: Message) -> Work:
    user = message.channel.user
    zone = judging.zones_of({user.pk})[user.pk]
    mentions = Mention.objects.filter(message=message, rule__paused=False).order_by("event__began_at", "pk")
    found = list(mentions.select_related("event", "rule__printer__machine", "rule__group"))
    if found and all(rules.is_quiet(mention.rule, timezone.now(), zone) for mention in found):
        return Work(message, None, "", quiet=True)
    return Work(message, wording.letter(found, user, zone), channels.address_of(message.channel))


def tried(works: Sequence[Work]) -> Iterator[tuple[Work, Outcome | None]]:
    """Each as soon as it is known, so that one that takes long keeps no other from being recorded.

    Threads, and no pool of them: a pool takes nothing on any more when its process is about to end.
    """
    known: Known = queue.SimpleQueue()
    for work in works:
        threading.Thread(target=try_one, args=[work, known]).start()
    for _ in works:
        work, outcome = known.get()
        if isinstance(outcome, Exception):
            logger.error("Message %s could not be sent.", work.message.pk, exc_info=outcome)
            outcome = Outcome(False, f"It could not be sent: {type(outcome).__name__}.")
        yield work, outcome


def try_one(work: Work, known: Known) -> None:
    """In a thread: nothing here asks the database."""
    try:
        known.put((work, send(work)))
    except Exception as error:  # noqa: BLE001  It is logged where it is taken out.
        known.put((work, error))


def send(work: Work) -> Outcome | None:
    if work.letter is None:
        return None
    return channels.carry(work.message.channel.kind, work.to, work.letter, number_of(work.message))


def number_of(message: Message) -> str:
    return f"{message.pk}-{message.made_at:%Y%m%d%H%M%S}"


def record(work: Work, outcome: Outcome | None, now: datetime) -> None:
    """Whether it was sent, and what it said, so that nobody is told of an end again.

    Nothing where the claim has run out and somebody else has the message, or has added to it: it is sent again then.
    """
    mine = Message.objects.filter(pk=work.message.pk, claimed_until=work.message.claimed_until)
    with transaction.atomic():
        if not mine.update(claimed_until=None, **changes_of(work, outcome, now)) or work.quiet:
            return
        if outcome is None:
            record_words(work.message, wording.NOTHING)
        elif outcome.sent and work.letter:
            record_words(work.message, work.letter)


def record_words(message: Message, letter: wording.Letter) -> None:
    """What was left out was not told, and neither is its end: its reader might not view it, or it was out of order."""
    Mention.objects.filter(message=message, end=False).exclude(pk__in=letter.told).delete()
    Mention.objects.filter(pk__in=letter.told_both).update(told_both=True)


def changes_of(work: Work, outcome: Outcome | None, now: datetime) -> dict[str, Any]:
    message = work.message
    if work.quiet:
        return {"next_at": now + QUIET_PAUSE, "tries": message.tries - 1}
    if outcome is None:
        return {"status": Message.Status.DROPPED}
    if outcome.sent:
        return {"status": Message.Status.SENT, "sent_at": now, "problem": ""}
    ended = outcome.final or message.tries >= TRIES
    status = Message.Status.FAILED if ended else Message.Status.WAITING
    return {"status": status, "problem": outcome.problem, "next_at": now + pause(message.tries)}


def pause(tries: int) -> timedelta:
    """Twice as long each time, up to half an hour; some longer, some shorter, so that not all come back at once."""
    whole = min(FIRST_PAUSE * 2 ** min(tries - 1, 10), LONGEST_PAUSE)
    return whole * random.uniform(0.75, 1.25)  # noqa: S311  Nobody gains by knowing it.


def failures() -> int:
    """Messages that were not delivered, and those that wait after a try has failed; for /metrics."""
    failed = Message.objects.filter(status=Message.Status.FAILED).count()
    return failed + Message.objects.filter(status=Message.Status.WAITING).exclude(problem="").count()


def forget(now: datetime) -> None:
    """What is over for a month."""
    Message.objects.filter(made_at__lt=now - KEPT).exclude(status=Message.Status.WAITING).delete()
    Event.objects.filter(closed=True, ended_at__lt=now - KEPT, mentions=None).delete()
