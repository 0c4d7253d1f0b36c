"""Who may do what: content types and permissions as post_migrate makes them, and who holds them."""

import dataclasses

from django.contrib.auth.models import Permission, User
from django.contrib.contenttypes.models import ContentType
from django.db.models.signals import pre_delete

from rehome.graph import signals
from tests.rehome.support.lab import Lab

ACTIONS = ("add", "change", "delete", "view")


def register(app_label: str, model: str = "thing", *custom: str) -> ContentType:
    """What post_migrate makes for a model."""
    content_type = ContentType.objects.create(app_label=app_label, model=model)
    for action in ACTIONS:
        Permission.objects.create(content_type=content_type, codename=f"{action}_{model}", name=f"Can {action} {model}")
    for codename in custom:
        Permission.objects.create(content_type=content_type, codename=codename, name=f"May {codename}")
    return content_type


def permission(name: str) -> Permission:
    app_label, codename = name.split(".")
    return Permission.objects.get(content_type__app_label=app_label, codename=codename)


def grant(user: User, *names: str) -> None:
    user.user_permissions.add(*map(permission, names))


def may(user: User) -> set[str]:
    """Every permission on things, as either code would ask for it."""
    granted = User.objects.get(pk=user.pk).get_all_permissions()
    return {name for name in granted if name.partition(".")[0] in {"old", "new"}}


def forget(app_label: str) -> None:
    """Delete content types with all that names them, as a release without rehome does."""
    pre_delete.disconnect(signals.before_label_goes, sender=ContentType)
    try:
        ContentType.objects.filter(app_label=app_label).delete()
    finally:
        pre_delete.connect(signals.before_label_goes, sender=ContentType)
    ContentType.objects.clear_cache()


def label_of(pk: int) -> str:
    content_type = ContentType.objects.filter(pk=pk).get()
    return f"{content_type.app_label}.{content_type.model}"


@dataclasses.dataclass
class Everything:
    """All rows that have to do with names, as they stand."""

    rows: dict[str, list[tuple[object, ...]]]

    @classmethod
    def of(cls, lab: Lab, *others: str) -> "Everything":
        tables = ("django_content_type", "auth_permission", "auth_group_permissions", "auth_user_user_permissions")
        return cls({t: lab.sql(f"SELECT * FROM {t} ORDER BY id") for t in (*tables, "django_admin_log", *others)})
