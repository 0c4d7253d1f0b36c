from django.contrib import admin

from accounts.models import Profile


@admin.register(Profile)
class ProfileAdmin(admin.ModelAdmin):
    list_display = ["__str__", "username", "organization", "email", "user"]
    ordering = ["-id"]  # newest first, by the primary key's index
    list_select_related = ["user"]
    raw_id_fields = ["user"]
    autocomplete_fields = ["province"]
    # Beginnings in the case they were written: reads every profile once, and compares nothing else.
    search_fields = [
        "name__startswith",
        "username__startswith",
        "organization__startswith",
        "email__startswith",
    ]
    search_help_text = "The beginning of a name, username, organization or email address."
    show_full_result_count = False
