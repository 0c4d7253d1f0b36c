from django.contrib import admin

from printers.models import Printer


@admin.register(Printer)
class PrinterAdmin(admin.ModelAdmin):
    list_display = ["ip_address", "profile", "ping", "printing"]
    list_filter = ["printing", "ping"]
    ordering = ["-id"]  # newest first, by the primary key's index
    list_select_related = ["profile"]
    autocomplete_fields = ["profile"]
    # Whole addresses only: the one question about millions of printers that an index answers.
    search_fields = ["ip_address__exact"]
    search_help_text = "A printer's whole address."
    show_full_result_count = False
