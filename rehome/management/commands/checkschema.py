import textwrap
from typing import Any

from django.apps import apps
from django.core.management.base import CommandError, CommandParser
from django.db.backends.base.base import BaseDatabaseWrapper

from rehome.checkschema.comparing import compare_app
from rehome.checkschema.report import Difference, Report
from rehome.management.base import USAGE, DatabaseCommand, add_format, as_json


class Command(DatabaseCommand):
    help = (
        "Compares the models of an app with the tables of a database, and exits with 0 only when they say the same: "
        "1 for a difference or when there was nothing to compare, 2 for wrong usage."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("app_label", help="The app whose models are compared, unmanaged ones too.")
        super().add_arguments(parser)
        add_format(parser)

    def check_server(self, connection: BaseDatabaseWrapper) -> None:
        if connection.vendor == "postgresql":
            super().check_server(connection)

    def handle_database(self, connection: BaseDatabaseWrapper, **options: Any) -> str | None:
        label = options["app_label"]
        if label not in apps.app_configs:
            known = ", ".join(sorted(apps.app_configs))
            raise CommandError(f"There is no app {label!r}. The apps of this project: {known}.", returncode=USAGE)
        report = compare_app(label, connection)
        if options["format"] == "json":
            self.stdout.write(as_json(report.as_json()))
        else:
            self.show(report)
        if not report.compared:
            raise CommandError(f"Nothing was compared: app {label!r} has no table in database {connection.alias!r}.")
        if not report.ok:
            count = len(report.differences)
            raise CommandError(f"{count} difference{'s' if count > 1 else ''} in database {connection.alias!r}.")
        return None if options["format"] == "json" else "The models and the database say the same."

    def show(self, report: Report) -> None:
        for difference in report.differences:
            self.stdout.write(describe(difference))
        for table, note in report.notes:
            self.stdout.write(f"Note on {table}: {note}")


def describe(difference: Difference) -> str:
    """A paragraph for people."""
    lines = [("model", difference.expected or "-"), ("database", difference.found or "-")]
    lines += [("SQL", f"{statement};") for statement in difference.sql]
    lines += [("SQL", f"with that of {difference.cured_with}")] if difference.cured_with else []
    lines += [("model change", difference.change)] if difference.change else []
    body = textwrap.indent("\n".join(f"{name:<13} {text}" for name, text in lines), "    ")
    return f"{difference.model} ({difference.table}), {difference.what}: {difference.kind}\n{body}"
