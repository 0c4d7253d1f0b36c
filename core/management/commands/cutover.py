"""Who is on which side of the cutover, and sending people over or back."""

from argparse import ArgumentTypeError
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from core.sides import deciding, sending
from core.sides.models import Choice, Side
from core.sides.reading import count_sides

BY = "manage.py cutover"


class Command(BaseCommand):
    help = (
        "Shows how many people are on the new side and why. With options, sends users, groups or a percentage of "
        "everybody over, or back. Both sides work on the same rows: nothing is lost either way."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--user", action="append", default=[], metavar="NAME", help="Send this user over.")
        parser.add_argument("--group", action="append", default=[], metavar="NAME", help="Send this group over.")
        parser.add_argument("--percent", type=percentage, help="Send this share of everybody over: 0 to 100.")
        parser.add_argument(
            "--back",
            action="store_true",
            help="Send the users and groups that are named back instead; without any, everybody.",
        )
        parser.add_argument("--reason", default="", help="Why, for a user or a group; staff see it.")

    def handle(self, *args: Any, **options: Any) -> None:
        users, groups = find_users(options["user"]), find_groups(options["group"])
        if options["back"] and options["percent"] is not None:
            raise CommandError("--back and --percent exclude each other; a smaller --percent sends people back.")
        side = Side.OLD if options["back"] else Side.NEW
        for user in users:
            sending.send_user(user, side, by=BY, reason=options["reason"])
        for group in groups:
            sending.send_group(group, side, by=BY, reason=options["reason"])
        if options["percent"] is not None:
            sending.send_percentage(options["percent"], by=BY)
        if options["back"] and not users and not groups:
            sending.send_everybody_back(by=BY)
        self.show()

    def show(self) -> None:
        counted = count_sides()
        self.stdout.write(f"{counted.new} of {counted.total} people are on the new side.")
        self.stdout.write(f"Percentage: {deciding.percent_in_force()} %")
        named = Choice.objects.filter(percent__isnull=True).select_related("user", "group").order_by("since", "pk")
        for choice in named:
            kind = "User" if choice.user_id else "Group"
            why = f": {choice.reason}" if choice.reason else ""
            when = f"{timezone.localtime(choice.since):%Y-%m-%d %H:%M}"
            by = f" by {choice.by}" if choice.by else ""
            self.stdout.write(f"{kind} {choice.user or choice.group}: {choice.side} side since {when}{by}{why}")


def percentage(text: str) -> int:
    if not text.isdecimal() or int(text) > deciding.BUCKETS:
        raise ArgumentTypeError(f"{text!r} is not a percentage; give a number from 0 to 100.")
    return int(text)


def find_users(names: list[str]) -> list[Any]:
    model = get_user_model()
    found = {user.get_username(): user for user in model.objects.filter(**{f"{model.USERNAME_FIELD}__in": names})}
    refuse_unknown("user", names, found)
    return list(found.values())


def find_groups(names: list[str]) -> list[Group]:
    found = {group.name: group for group in Group.objects.filter(name__in=names)}
    refuse_unknown("group", names, found)
    return list(found.values())


def refuse_unknown(kind: str, names: list[str], found: dict[str, Any]) -> None:
    """Before anything is changed, so that a slip sends nobody anywhere."""
    if unknown := [name for name in names if name not in found]:
        raise CommandError(f"There is no {kind} {unknown[0]!r}; nothing is changed. Name {kind}s as the admin does.")
