from allauth.account.decorators import secure_admin_login
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest

from accounts import invitations
from accounts.models import Profile
from accounts.people import sharing

# The admin's own login asks for no second factor, and counts no tries.
admin.site.login = secure_admin_login(admin.site.login)


@admin.register(Profile)
class ProfileAdmin(admin.ModelAdmin):
    list_display = ["__str__", "username", "organization", "is_confirmed", "email", "user"]
    ordering = ["-id"]  # newest first, by the primary key's index
    list_select_related = ["user", "person"]
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
    actions = ["invite", "confirm_organization"]

    @admin.display(description="confirmed", boolean=True)
    def is_confirmed(self, profile: Profile) -> bool:
        person = getattr(profile, "person", None)
        return bool(profile.organization) and bool(person) and person.confirmed_organization == profile.organization

    @admin.action(description="Send an invitation to claim the profile", permissions=["change"])
    def invite(self, request: HttpRequest, queryset: QuerySet[Profile]) -> None:
        sent = 0
        for profile in queryset:
            try:
                invitations.send(profile)
                sent += 1
            except invitations.NotClaimed as error:
                messages.warning(request, str(error))
            except OSError as error:
                messages.error(request, f"No mail could be sent to {profile.email}: {error}. Correct EMAIL_URL.")
        if sent:
            messages.success(request, f"{sent} invitation{'s' if sent != 1 else ''} sent.")

    @admin.action(description="Confirm the organization", permissions=["change"])
    def confirm_organization(self, request: HttpRequest, queryset: QuerySet[Profile]) -> None:
        confirmed = sum(sharing.confirm(profile, request.user) for profile in queryset)
        messages.success(request, f"{confirmed} of {len(queryset)} confirmed.")
