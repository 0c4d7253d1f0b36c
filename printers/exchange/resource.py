"""What a row of a file means: the columns of a printer, by django-import-export."""

from collections.abc import Iterable
from typing import Any

import tablib
from django.core.exceptions import ValidationError
from django.db import IntegrityError
from django.db.models import Q
from import_export import fields, resources, widgets

from printers.addresses import as_written
from printers.fleet.models import Kind, Machine
from printers.models import Printer
from printers.saving import Taken, profile_of

SECRET = ("key", "password")
"""Columns that are read and never written."""
LONGEST_TAG = 50
PRINTER = ("ip_address", "api_key")
MACHINE = ("name", "kind", "place", "model", "tags", "user", "password", "camera", "notes")


class AddressWidget(widgets.Widget):
    def clean(self, value: Any, row: Any = None, **kwargs: Any) -> str:
        return as_written(str(value))


class TextWidget(widgets.Widget):
    def clean(self, value: Any, row: Any = None, **kwargs: Any) -> str:
        return str(value).strip()


class KindWidget(widgets.Widget):
    """As its value or as people write it; empty for whatever answers."""

    def clean(self, value: Any, row: Any = None, **kwargs: Any) -> str | None:
        typed = str(value).strip().lower()
        known = {word.lower(): kind for kind, label in Kind.choices for word in (kind, label)}
        if typed and typed not in known:
            raise ValueError(f"“{value}” is not a kind; use OctoPrint, Moonraker, PrusaLink, or leave it empty.")
        return known.get(typed)


class TagsWidget(widgets.Widget):
    def clean(self, value: Any, row: Any = None, **kwargs: Any) -> list[str]:
        words = list(dict.fromkeys(word.strip() for word in str(value).split(",") if word.strip()))
        if long := next((word for word in words if len(word) > LONGEST_TAG), None):
            raise ValueError(f"“{long[:20]}…” has {len(long)} characters; a tag has {LONGEST_TAG} at most.")
        return words

    def render(self, value: Any, obj: Any = None, **kwargs: Any) -> str:
        return ", ".join(value or [])


class SecretWidget(TextWidget):
    """An empty cell keeps the one that is there."""

    def clean(self, value: Any, row: Any = None, **kwargs: Any) -> str | None:
        return super().clean(value, row, **kwargs) or None


def column(attribute: str, name: str, widget: widgets.Widget | None = None, *, keeps: bool = False) -> fields.Field:
    return fields.Field(
        attribute=attribute, column_name=name, widget=widget or TextWidget(), saves_null_values=not keeps
    )


class PrinterResource(resources.ModelResource):
    """Rows for the printers that `user` may manage; new ones are the user's own."""

    id = fields.Field(attribute="pk", column_name="id", readonly=True)
    address = column("ip_address", "address", AddressWidget())
    key = column("api_key", "key", SecretWidget(), keeps=True)
    name = column("machine__name", "name")
    kind = column("machine__kind", "kind", KindWidget(), keeps=True)
    place = column("machine__place", "place")
    model = column("machine__model", "model")
    tags = column("machine__tags", "tags", TagsWidget())
    user = column("machine__user", "user")
    password = column("machine__password", "password", SecretWidget(), keeps=True)
    camera = column("machine__camera", "camera")
    notes = column("machine__notes", "notes")

    class Meta:
        model = Printer
        fields = (
            "id", "address", "key", "name", "kind", "place", "model", "tags", "user", "password", "camera", "notes",
        )  # fmt: skip
        use_bulk = True
        batch_size = None
        skip_diff = True  # `changes` says it without secrets.
        report_skipped = True
        store_instance = True

    def __init__(self, *, reader: Any = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.reader = reader

    # ----- export

    def get_export_fields(self, selected_fields: Any = None) -> list[fields.Field]:
        return [one for one in super().get_export_fields(selected_fields) if one.column_name not in SECRET]

    def filter_export(self, queryset: Any, **kwargs: Any) -> Any:
        """For whoever exports, whichever query is handed in."""
        return queryset.for_user(self.reader, "view").whole().order_by("pk")

    # ----- import

    def before_import(self, dataset: tablib.Dataset, **kwargs: Any) -> None:
        """Look once for the printers that the rows may mean."""
        rows = dataset.dict
        addresses = {as_written(row.get("address", "")) for row in rows}
        keys = {int(cell) for row in rows if (cell := row.get("id", "").strip()).isdecimal() and len(cell) < 10}
        there = Q(ip_address__in=addresses)
        found = Printer.objects.for_user(self.reader, "manage").whole().filter(there | Q(pk__in=keys)).order_by("pk")
        self.by_key = {printer.pk: printer for printer in found}
        self.by_address: dict[str, list[Printer]] = {}
        for printer in self.by_key.values():
            self.by_address.setdefault(printer.ip_address, []).append(printer)
        taken = Printer.objects.filter(there).values_list("ip_address", "api_key", "pk")
        self.taken = {(address, key): pk for address, key, pk in taken}
        self.rows_by_name: dict[Any, int] = {}
        self.rows_by_printer: dict[Any, int] = {}

    def get_instance(self, instance_loader: Any, row: dict[str, str]) -> Printer | None:
        """By its id, else by an address that one printer alone has."""
        if typed := row.get("id", "").strip():
            found = [self.by_key[int(typed)]]
        else:
            found = self.by_address.get(as_written(row.get("address", "")), [])
        if len(found) != 1:
            return None
        # Before the row changes it: both rows would have one object.
        self.refuse_twice(self.rows_by_printer, found[0].pk, "printer")
        return found[0]

    def refuse_twice(self, seen: dict[Any, int], what: Any, word: str) -> None:
        if seen.setdefault(what, self.row_number) != self.row_number:
            raise ValidationError(f"The {word} stands in row {seen[what]} too.")

    def after_init_instance(self, instance: Printer, new: bool, row: Any, **kwargs: Any) -> None:
        instance.machine = instance.known
        instance.was = None if new else self.shown(instance) | self.secrets(instance)

    def shown(self, printer: Printer) -> dict[str, str]:
        """What people may see of it, by column."""
        open_fields = [one for one in self.get_import_fields() if one.column_name not in (*SECRET, "id")]
        return {one.column_name: str(one.export(printer)) for one in open_fields}

    def secrets(self, printer: Printer) -> dict[str, str]:
        return {"key": printer.api_key, "password": printer.machine.password}

    def changes(self, printer: Printer) -> list[tuple[str, str, str]]:
        """(column, before, after) of each that differs; of a secret only that it does."""
        now, was = self.shown(printer), printer.was or {}
        found = [(name, was[name], value) for name, value in now.items() if printer.was and was[name] != value]
        replaced = [name for name, value in self.secrets(printer).items() if printer.was and was[name] != value]
        return found + [(name, "", "replaced") for name in replaced]

    def skip_row(self, instance: Printer, original: Any, row: Any, import_validation_errors: Any = None) -> bool:
        return not import_validation_errors and instance.was is not None and not self.changes(instance)

    def validate_instance(
        self, instance: Printer, import_validation_errors: Any = None, validate_unique: bool = True
    ) -> None:
        """Without a query: what is taken was looked up before."""
        errors = dict(import_validation_errors or {})
        for one, names in ((instance, PRINTER), (instance.machine, MACHINE)):
            known = {field.name for field in one._meta.fields}
            try:
                one.clean_fields(exclude={*known.difference(names), *(key.rpartition("__")[2] for key in errors)})
            except ValidationError as error:
                errors = error.update_error_dict(errors)
        if errors:
            raise ValidationError(errors)

    def before_import_row(self, row: dict[str, str], row_number: int = 0, **kwargs: Any) -> None:
        self.row_number = row_number
        if not row.get("address", "").strip():
            raise ValidationError({"address": "The row has no address."})
        typed = row.get("id", "").strip()
        if typed and not (typed.isdecimal() and len(typed) < 10 and int(typed) in self.by_key):
            raise ValidationError({"id": f"There is no printer {typed[:20]} that you may change; leave the id empty."})

    def before_save_instance(self, instance: Printer, row: Any, **kwargs: Any) -> None:
        """Rows of one file must not mean the same printer or name, nor one that another has; and no secret goes to
        another address than the one that it was typed for.
        """
        self.refuse_kept_secrets(instance, row)
        pair = instance.ip_address, instance.api_key
        if self.taken.get(pair, instance.pk) != instance.pk:
            raise ValidationError(Taken.sentence)
        self.refuse_twice(self.rows_by_printer, pair, "printer")
        if instance.machine.name:
            self.refuse_twice(self.rows_by_name, instance.machine.name.lower(), "name")

    def refuse_kept_secrets(self, instance: Printer, row: dict[str, str]) -> None:
        if instance.was is None or instance.was["address"] == self.shown(instance)["address"]:
            return
        kept = [name for name, value in self.secrets(instance).items() if value and not row.get(name, "").strip()]
        if kept:
            words = " and ".join(kept)
            raise ValidationError(
                {"address": f"The {words} of this printer was for its former address: write it anew."}
            )

    def after_import(self, dataset: tablib.Dataset, result: Any, **kwargs: Any) -> None:
        """The library would set the sequence of the keys anew, beside whoever draws from it on either side."""

    def bulk_create(self, using_transactions: bool, dry_run: bool, *args: Any, **kwargs: Any) -> None:
        self.save_all(self.create_instances, dry_run, new=True)

    def bulk_update(self, using_transactions: bool, dry_run: bool, *args: Any, **kwargs: Any) -> None:
        self.save_all(self.update_instances, dry_run, new=False)

    def save_all(self, printers: list[Printer], dry_run: bool, *, new: bool) -> None:
        """Two statements for all of them. Raises Taken, without the key that PostgreSQL's error names."""
        taken = False
        try:
            if printers and not dry_run:
                self.save_printers(printers, new=new)
                self.save_machines(printers)
        except IntegrityError:
            taken = True
        finally:
            printers.clear()
        if taken:
            raise Taken

    def save_printers(self, printers: list[Printer], *, new: bool) -> None:
        if not new:
            Printer.objects.bulk_update(printers, PRINTER, batch_size=500)
            return
        owner = profile_of(self.reader)
        for printer in printers:
            printer.profile = owner
        Printer.objects.bulk_create(printers, batch_size=500)

    def save_machines(self, printers: Iterable[Printer]) -> None:
        for printer in printers:
            printer.machine.printer = printer
            printer.machine.password_for = printer.ip_address if printer.machine.password else ""
        Machine.objects.bulk_create(
            [printer.machine for printer in printers],
            batch_size=500, update_conflicts=True, unique_fields=["printer"], update_fields=[*MACHINE, "password_for"],
        )  # fmt: skip
