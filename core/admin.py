"""The site of the admin, what of core is changed there, and which permissions it offers."""

from typing import Any

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group, User
from django.db.models import Q
from django.forms import ModelForm
from django.http import HttpRequest
from django.utils import timezone

from core.models import Choice, Province
from core.moves import standing
from core.sides.reading import name_of

admin.site.site_header = admin.site.site_title = "Print farm"
admin.site.index_title = "Administration"
admin.site.index_template = "core/admin_index.html"


@admin.register(Province)
class ProvinceAdmin(admin.ModelAdmin):
    list_display = ["__str__", "name", "code"]
    search_fields = ["name", "name_en", "code"]


@admin.register(Choice)
class ChoiceAdmin(admin.ModelAdmin):
    """Who is sent to which side. Whom a choice is about stays: another one is added, and this one can be deleted."""

    list_display = ["__str__", "side", "reason", "by", "since"]
    list_filter = ["side"]
    list_select_related = ["user", "group"]
    ordering = ["-since"]
    search_fields = ["user__username__startswith", "group__name__startswith"]
    autocomplete_fields = ["user", "group"]
    fields = ["user", "group", "percent", "side", "reason"]

    def get_readonly_fields(self, request: HttpRequest, obj: Choice | None = None) -> list[str]:
        return ["user", "group", "percent"] if obj else []

    def save_model(self, request: HttpRequest, obj: Choice, form: ModelForm, change: bool) -> None:
        obj.by = name_of(request.user)
        if change and "side" in form.changed_data:
            obj.since = timezone.now()
        super().save_model(request, obj, form, change)


class KnownPermissionsMixin:
    """Offers no permission on a model that has only its old name left: it would allow nothing."""

    def formfield_for_manytomany(self, db_field: Any, request: HttpRequest | None = None, **kwargs: Any) -> Any:
        field = super().formfield_for_manytomany(db_field, request, **kwargs)
        if db_field.name in ("permissions", "user_permissions"):
            field.queryset = field.queryset.exclude(of_retired_models())
        return field


def of_retired_models() -> Q:
    gone = Q(pk__in=[])
    for source in standing.retired():
        app_label, _, model = source.lower().partition(".")
        gone |= Q(content_type__app_label=app_label, content_type__model=model)
    return gone


admin.site.unregister([User, Group])


@admin.register(User)
class FarmUserAdmin(KnownPermissionsMixin, UserAdmin):
    pass


@admin.register(Group)
class FarmGroupAdmin(KnownPermissionsMixin, GroupAdmin):
    pass
