from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from import_export.admin import ImportExportMixin
from import_export.forms import ExportForm

from core.secretfields import SecretFieldsMixin
from printers.exchange.formats import CSV, JSON
from printers.exchange.resource import PrinterResource
from printers.fleet.models import Machine
from printers.models import Printer


class PrinterForm(SecretFieldsMixin, forms.ModelForm):
    """The key is written and never shown. Where there is a password, the printer's own page asks for it anew."""

    def clean(self) -> Any:
        cleaned = super().clean()
        if self.instance.pk and "ip_address" in self.changed_data and self.instance.known.password:
            self.add_error(
                "ip_address", "Its password is for the former address: change both on the printer's own page."
            )
        return cleaned


class MachineForm(SecretFieldsMixin, forms.ModelForm):
    """So is the password."""

    secret_fields = ("password",)

    def save(self, commit: bool = True) -> Any:
        self.instance.password_for = self.instance.printer.ip_address if self.instance.password else ""
        return super().save(commit)


class MachineInline(admin.StackedInline):
    model = Machine
    form = MachineForm
    verbose_name_plural = "what people know of it"


@admin.register(Printer)
class PrinterAdmin(ImportExportMixin, admin.ModelAdmin):
    form = PrinterForm
    inlines = [MachineInline]
    list_display = ["ip_address", "called", "place", "profile", "ping", "printing"]
    list_filter = ["printing", "ping"]
    ordering = ["-id"]  # newest first, by the primary key's index
    list_select_related = ["profile", "machine"]
    autocomplete_fields = ["profile"]
    # Whole addresses only: the one question about millions of printers that an index answers.
    search_fields = ["ip_address__exact"]
    search_help_text = "A printer's whole address."
    show_full_result_count = False

    resource_classes = [PrinterResource]
    formats = [CSV, JSON]
    export_form_class = ExportForm

    @admin.display(description="name")
    def called(self, printer: Printer) -> str:
        return printer.known.name

    @admin.display
    def place(self, printer: Printer) -> str:
        return printer.known.place

    def get_export_resource_kwargs(self, request: HttpRequest, **kwargs: Any) -> dict[str, Any]:
        return super().get_export_resource_kwargs(request, **kwargs) | {"reader": request.user}

    def import_action(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        """There is one import, which asks every address and shows no key; the library's page shows whole rows."""
        return redirect("printers:import")

    process_import = import_action
