"""The old models, as long as they have rows of their own: once their moves are retired, they are not here."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from core.moves import standing
from portal.forms import PrinterForm
from portal.models import Printer, Profile


class UntilRetiredMixin:
    """Nobody may do anything with a model of which only the name is left; so it is in no list and has no page."""

    def is_there(self) -> bool:
        return not standing.is_retired(f"portal.{self.model.__name__}")

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.is_there() and super().has_module_permission(request)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.is_there() and super().has_view_permission(request, obj)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return self.is_there() and super().has_add_permission(request)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.is_there() and super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.is_there() and super().has_delete_permission(request, obj)


@admin.register(Profile)
class ProfileAdmin(UntilRetiredMixin, admin.ModelAdmin):
    list_display = ["__str__", "username", "organization", "email", "user"]
    ordering = ["-id"]
    list_select_related = ["user"]
    raw_id_fields = ["user"]
    search_fields = ["name__startswith", "username__startswith", "organization__startswith", "email__startswith"]
    show_full_result_count = False


@admin.register(Printer)
class PrinterAdmin(UntilRetiredMixin, admin.ModelAdmin):
    form = PrinterForm
    fields = ["profile", "ip_address", "api_key", "ping", "printing"]
    list_display = ["ip_address", "profile", "ping", "printing"]
    list_filter = ["printing", "ping"]
    ordering = ["-id"]
    list_select_related = ["profile"]
    autocomplete_fields = ["profile"]
    search_fields = ["ip_address__exact"]
    search_help_text = "A printer's whole address."
    show_full_result_count = False
