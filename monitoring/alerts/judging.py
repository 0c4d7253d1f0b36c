"""From events to messages, once a round: which rules want them, whether it is time, and what goes into one message.

All of it is one transaction under one lock, so that two pollers don't decide the same thing, and a poller that is
killed has decided all or nothing.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.db import connection, transaction
from django.db.models import prefetch_related_objects

from accounts.people.models import Person
from monitoring.alerts import events, grouping, rules
from monitoring.alerts.grouping import Due, Verdict
from monitoring.alerts.models import Event, Mention, Message, Notice, Rule
from printers.fleet.models import Machine, Membership
from printers.models import Printer

LOCK = 0x616C6572
"""Of PostgreSQL, for as long as the transaction."""
BATCH = 1000
NAMED = 500
UTC = ZoneInfo("UTC")


def judge(now: datetime) -> int:
    """How many messages were made; 0 where another process is at it."""
    with transaction.atomic():
        if not locked():
            return 0
        events.follow(now)
        ask_rules(now)
        return write(gather(now), now)


def locked() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [LOCK])
        return bool(cursor.fetchone()[0])


def ask_rules(now: datetime) -> None:
    """Each event is put to the rules once: what began before a rule was made is none of its business."""
    fresh = list(Event.objects.filter(matched=False).order_by("pk"))
    if not fresh:
        return
    facts = facts_of({event.printer_id for event in fresh})
    Notice.objects.bulk_create(notices(fresh, facts, now), batch_size=BATCH, ignore_conflicts=True)
    Event.objects.filter(pk__in=[event.pk for event in fresh]).update(matched=True)


def notices(fresh: list[Event], facts: dict[int, rules.Facts], now: datetime) -> Iterator[Notice]:
    """For what each person may view now; it is looked at again when it is sent."""
    by_state: defaultdict[str, list[Event]] = defaultdict(list)
    for event in fresh:
        by_state[event.state].append(event)
    by_user: defaultdict[Any, list[Rule]] = defaultdict(list)
    asked = Rule.objects.filter(paused=False, user__is_active=True, states__overlap=list(by_state))
    for rule in asked.select_related("user").order_by("pk"):
        by_user[rule.user].append(rule)
    for user, theirs in by_user.items():
        visible = visible_of(user, facts)
        for rule in theirs:
            for event in (event for state in rule.states for event in by_state[state] if event.printer_id in visible):
                if rules.wants(rule, event, facts[event.printer_id]) and rules.lasted(rule, event):
                    yield Notice(rule=rule, event=event, due_at=rules.due_at(rule, event), made_at=now)


def visible_of(user: Any, keys: Collection[int]) -> set[int]:
    """Those of the keys, at least, that `user` may view; beyond some, naming them takes longer than reading all."""
    mine = Printer.objects.for_user(user, "view")
    return set((mine.filter(pk__in=list(keys)) if len(keys) <= NAMED else mine).values_list("pk", flat=True))


def facts_of(keys: set[int]) -> dict[int, rules.Facts]:
    known = {machine.pk: machine for machine in Machine.objects.filter(pk__in=keys).only("place", "tags")}
    groups: defaultdict[int, set[int]] = defaultdict(set)
    for printer, group in Membership.objects.filter(printer__in=keys).values_list("printer", "group"):
        groups[printer].add(group)
    found = {}
    for key in keys:
        machine = known.get(key, Machine())
        found[key] = rules.Facts(key, machine.place, frozenset(machine.tags), frozenset(groups[key]))
    return found


def gather(now: datetime) -> dict[int, list[Due]]:
    """What may be told now, by user."""
    found: defaultdict[int, list[Due]] = defaultdict(list)
    for due in [*beginnings(now), *endings(now)]:
        found[due.rule.user_id].append(due)
    return found


def beginnings(now: datetime) -> list[Due]:
    """Notices that are no longer wanted go."""
    notices = Notice.objects.filter(due_at__lte=now).select_related("rule", "event")
    waiting = list(notices.order_by("event__began_at", "pk"))
    zones = zones_of({notice.rule.user_id for notice in waiting})
    verdicts = {n: grouping.beginning(n.rule, n.event, now, zones[n.rule.user_id]) for n in waiting}
    forgotten = [notice.pk for notice in waiting if verdicts[notice] is Verdict.FORGET]
    if forgotten:
        Notice.objects.filter(pk__in=forgotten).delete()
    return [
        Due(notice.rule, notice.event, max(notice.due_at, notice.made_at), notice=notice.pk)
        for notice in waiting
        if verdicts[notice] is Verdict.TELL
    ]


def endings(now: datetime) -> list[Due]:
    """Events of whose end nobody has to be told, or everybody has been, are closed."""
    over = list(Event.objects.filter(closed=False, ended_at__isnull=False).order_by("ended_at", "pk"))
    if not over:
        return []
    open_keys = {event.pk for event in over if not event.matched}
    open_keys |= set(Notice.objects.filter(event__in=over).values_list("event", flat=True))
    mentions = Mention.objects.filter(event__in=over).select_related("rule", "event", "message", "channel")
    told = {(mention.channel_id, mention.event_id) for mention in mentions if mention.end}
    zones = zones_of({mention.channel.user_id for mention in mentions})
    dues = []
    for mention in mentions:
        if mention.end or (mention.channel_id, mention.event_id) in told:
            continue
        verdict = grouping.ending(mention, now, zones[mention.channel.user_id])
        if verdict is not Verdict.FORGET:
            open_keys.add(mention.event_id)
        if verdict is Verdict.TELL:
            dues.append(Due(mention.rule, mention.event, mention.event.ended_at, channel=mention.channel_id))
    Event.objects.filter(pk__in={event.pk for event in over} - open_keys).update(closed=True)
    return sorted(dues, key=lambda due: (due.since, due.event.pk))


def zones_of(users: set[int]) -> dict[int, ZoneInfo]:
    """Each person's; UTC for those who have said none."""
    known = Person.objects.filter(profile__user__in=users).values_list("profile__user", "time_zone") if users else []
    return dict.fromkeys(users, UTC) | {user: zone(name) for user, name in known}


def zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):  # Another version of the list of zones knew it.
        return UTC


def write(found: dict[int, list[Due]], now: datetime) -> int:
    """One message for each channel of everybody for whom nothing more is to be waited for."""
    ripe = [due for dues in found.values() if grouping.ripe(dues, now) for due in dues]
    if not ripe:
        return 0
    wanted = mentions_of(ripe)
    there = set(Mention.objects.filter(event__in={due.event.pk for due in ripe}).values_list("channel", "event", "end"))
    by_channel: defaultdict[int, list[Mention]] = defaultdict(list)
    for key, mention in wanted.items():
        if key not in there:
            by_channel[mention.channel_id].append(mention)
    messages = messages_for(by_channel, now)
    for mention in (each := [m for mentions in by_channel.values() for m in mentions]):
        mention.message = messages[mention.channel_id]
    Mention.objects.bulk_create(each, batch_size=BATCH)
    close_notices(ripe)
    return len(messages)


def close_notices(dues: Collection[Due]) -> None:
    Notice.objects.filter(pk__in=[due.notice for due in dues if due.notice]).delete()


def mentions_of(dues: list[Due]) -> dict[tuple[int, int, bool], Mention]:
    """By channel, event and whether it is its end; of two rules that want the same, the one that was due first."""
    prefetch_related_objects([due.rule for due in dues], "channels")
    found: dict[tuple[int, int, bool], Mention] = {}
    for due in dues:
        for channel in [due.channel] if due.end else [channel.pk for channel in due.rule.channels.all()]:
            mention = Mention(channel_id=channel, event=due.event, rule=due.rule, end=due.end)
            found.setdefault((channel, due.event.pk, due.end), mention)
    return found


def messages_for(channels: Collection[int], now: datetime) -> dict[int, Message]:
    """One that still waits takes more, unless it is being sent: a channel that was away a day gets one message."""
    waiting = Message.objects.filter(channel__in=channels, status=Message.Status.WAITING)
    free = waiting.exclude(claimed_until__gt=now).order_by("-pk").select_for_update(skip_locked=True)
    messages = {message.channel_id: message for message in free}
    # Whoever claimed one and comes back too late must not record as sent what is added now.
    Message.objects.filter(pk__in=[message.pk for message in messages.values()]).update(claimed_until=None)
    new = [Message(channel_id=key, made_at=now, next_at=now) for key in channels if key not in messages]
    return messages | {message.channel_id: message for message in Message.objects.bulk_create(new)}
