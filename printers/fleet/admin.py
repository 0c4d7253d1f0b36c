from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html

from printers.fleet.models import Membership, PrinterGroup, Role


class RoleInline(admin.TabularInline):
    model = Role
    extra = 1


class MembershipInline(admin.TabularInline):
    """Those that are added. Those that are in it have a list: a form of hundreds is too long to be sent."""

    model = Membership
    extra = 3
    raw_id_fields = ["printer"]  # A menu of all printers would be the page.
    verbose_name_plural = "printers to add"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Membership]:
        return super().get_queryset(request).none()


@admin.register(PrinterGroup)
class PrinterGroupAdmin(admin.ModelAdmin):
    """Who may do what with which printers."""

    inlines = [RoleInline, MembershipInline]
    fields = ["name", "printers_in_it"]
    readonly_fields = ["printers_in_it"]
    search_fields = ["name"]

    @admin.display(description="printers")
    def printers_in_it(self, group: PrinterGroup) -> Any:
        there = f"{reverse('admin:fleet_membership_changelist')}?group__id__exact={group.pk}"
        number = group.memberships.count() if group.pk else 0
        return format_html('<a href="{}">{} in it</a>', there, number) if number else "none yet"


@admin.register(Membership)
class MembershipAdmin(admin.ModelAdmin):
    """The printers of a group: found, and taken out."""

    list_display = ["__str__", "called", "place", "group"]
    list_filter = ["group"]
    list_select_related = ["group", "printer__machine"]
    ordering = ["group", "printer"]
    raw_id_fields = ["printer"]
    autocomplete_fields = ["group"]
    search_fields = ["printer__ip_address__exact", "printer__machine__name__startswith"]
    search_help_text = "A printer's whole address, or the beginning of its name."
    show_full_result_count = False

    @admin.display(description="name")
    def called(self, membership: Membership) -> str:
        return membership.printer.name

    @admin.display
    def place(self, membership: Membership) -> str:
        return membership.printer.known.place
