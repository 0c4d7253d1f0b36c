from django.contrib import admin

from printers.fleet.models import Membership, PrinterGroup, Role


class RoleInline(admin.TabularInline):
    model = Role
    extra = 1


class MembershipInline(admin.TabularInline):
    model = Membership
    extra = 1
    raw_id_fields = ["printer"]  # A menu of all printers would be the page.


@admin.register(PrinterGroup)
class PrinterGroupAdmin(admin.ModelAdmin):
    """Who may do what with which printers."""

    inlines = [RoleInline, MembershipInline]
    search_fields = ["name"]
