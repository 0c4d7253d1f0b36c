"""The one decision about who may do what with which printers: pages, admin, exports and other apps all ask it."""

from typing import Any

from django.apps import apps
from django.db.models import Q, QuerySet

from accounts.people.sharing import sharing_with
from core.moves import standing
from core.rights import ACTIONS, Action
from printers.fleet.models import Membership, PrinterGroup, Role

VIEW: Action = "view"


def allowed(user: Any, action: Action) -> Q:
    """Which printers `user` may do `action` with. Raises ValueError for another word than view, operate, manage.

    Staff and superusers: all. Others: those of their own profile; those of groups in which one of their user groups has
    the action or one that includes it; and, to view, those that their organization shares.
    """
    if action not in ACTIONS:
        raise ValueError(f"{action!r} is not an action; use one of {', '.join(ACTIONS)}.")
    if not (user.is_authenticated and user.is_active):
        return Q(pk__in=[])
    if user.is_staff or user.is_superuser:
        return Q()
    mine = Q(profile__user=user) | Q(pk__in=in_groups_of(user, action))
    return mine | Q(profile__in=sharing_with(user).values("pk")) if action == VIEW else mine


def keys_for_user(user: Any, action: Action) -> QuerySet[Any]:
    """What `core.rights` hands on to apps that know no printers.

    The same condition is put to the model that has the rows: before the move, and after going back, that is the source.
    """
    source = standing.uses_of(standing.PRINTERS) == "source"
    model = apps.get_model(standing.PRINTERS if source else "printers.Printer")
    return model.objects.filter(allowed(user, action)).values("pk")


def in_groups_of(user: Any, action: Action) -> QuerySet[Any]:
    """Keys of printers in groups in which a user group of `user` has a role that includes `action`."""
    enough = ACTIONS[ACTIONS.index(action) :]
    return Membership.objects.filter(group__roles__user_group__user=user, group__roles__action__in=enough).values(
        "printer"
    )


def groups_for(user: Any, action: Action) -> "QuerySet[PrinterGroup]":
    """Groups in whose printers a user group of `user` has a role that includes `action`; for staff all of them."""
    if user.is_staff or user.is_superuser:
        return PrinterGroup.objects.all()
    enough = ACTIONS[ACTIONS.index(action) :]
    roles = Role.objects.filter(user_group__user=user, action__in=enough)
    return PrinterGroup.objects.filter(pk__in=roles.values("printer_group"))
