"""Every command of rehome, with each of its flags, as it is typed; those that only read, and those that write."""

import argparse
import pkgutil

from django.core.management import load_command_class
from django.core.management.base import BaseCommand

import rehome.management.commands
from tests.rehome.product.cells import NAME

READING = (
    "showmoves",
    "showmoves --format json",
    "sqlmove shop 0002",
    "sqlmove shop 0002 --backwards",
    "verifymoves --limit 3",
    "verifymoves shop.Item --format json",
    "verifymoves --probe",
    "retiremoves --dry-run",
    "retiremoves shop.item --dry-run --noinput",
    "retiremoves --undo --dry-run",
    "retiremoves --drop --dry-run",
    "checkschema warehouse",
    "checkschema shop --format json",
    "makemove warehouse.Item shop.Box --dry-run",
    "makemove warehouse.Box shop.Box --name boxes --dry-run",
    "makemove warehouse.Item shop.Item --state-only --dry-run",
    "endmoves --dry-run",
    "endmoves shop.item --dry-run",
    "moveready --window 1 --writer web --backup-hours 1 --seconds 0 --accept disk --format json",
    "backup --pipe",
    "backup --list --keep 3 --format json",
    "checkbackup --within 24",
    "checkbackup nothing --on postgres://127.0.0.1:1/nowhere --noinput --format json",
    "restorebackup nothing --from-other --noinput",
    f"restorebackup --undo --confirm {NAME}",
    "rehearsemoves --here --from-backup nothing",
    "rehearsemoves --on postgres://127.0.0.1:1 --from-backup latest --online --keep --format json",
    "migrate --plan",
    "migrate shop 0001 --plan",
)
"""`makemove` writes a file, and reads no database."""
WRITING = (
    "retiremoves --noinput",
    "retiremoves --undo",
    f"retiremoves --drop --noinput --confirm {NAME}",
    "migrate --noinput",
    f"migrate --noinput --require-backup 24 --confirm {NAME}",
    "migrate shop 0002",
    "migrate shop 0001",
    "migrate shop zero",
    "migrate shop zero --discard-data",
    "migrate --fake-initial",
)
COMMANDS = (*READING, *WRITING)
OF_DJANGO = {
    *("fake", "run_syncdb", "check_unapplied", "prune", "skip_checks"),
    *("start_migration_name", "no_optimize", "include_header", "squashed_name", "interactive"),
}
"""Flags of Django's `migrate` and `squashmigrations` for which ours do nothing."""


def registered() -> dict[str, BaseCommand]:
    found = [module.name for module in pkgutil.iter_modules(rehome.management.commands.__path__)]
    return {name: load_command_class("rehome", name) for name in found}


def flags(name: str, command: BaseCommand) -> set[str]:
    """Its own, without those that every command of Django has."""
    parser, plain = command.create_parser("manage.py", name), BaseCommand().create_parser("manage.py", name)
    common = {action.dest for action in plain._actions}
    return {action.dest for action in parser._actions} - common - {"app_label", "migration_name"}


def used(name: str, command: BaseCommand) -> set[str]:
    """The flags that some line of COMMANDS gives another value than their own."""
    parser = command.create_parser("manage.py", name)
    lines = [line.split()[1:] for line in COMMANDS if line.split()[0] == name]
    given: list[argparse.Namespace] = [parser.parse_args(words) for words in lines]
    return {
        action.dest
        for action in parser._actions
        if any(getattr(one, action.dest, None) != action.default for one in given)
    }
