"""Who may view, operate and manage which printers: one decision, which everything else asks."""

import pytest
from django.contrib.auth.models import AnonymousUser, Group, User

from accounts.models import Profile
from core import rights
from printers.fleet.models import Membership, PrinterGroup, Role
from printers.models import Printer

pytestmark = pytest.mark.django_db


def user(name: str, **fields: bool) -> User:
    return User.objects.create_user(name, **fields)


def printer(address: str, owner: User | None = None) -> Printer:
    profile = Profile.objects.get_or_create(user=owner)[0] if owner else None
    return Printer.objects.create(profile=profile, ip_address=address, api_key="k")


def give(role: str, somebody: User, *printers: Printer) -> None:
    crew, hall = Group.objects.create(name=role), PrinterGroup.objects.create(name=role)
    somebody.groups.add(crew)
    Role.objects.create(user_group=crew, printer_group=hall, action=role)
    Membership.objects.bulk_create(Membership(group=hall, printer=one) for one in printers)


def may(somebody: User | AnonymousUser) -> dict[str, set[str]]:
    return {
        action: set(Printer.objects.for_user(somebody, action).values_list("ip_address", flat=True))
        for action in rights.ACTIONS
    }


def test_an_owner_may_do_everything_with_printers_of_the_profile_and_nothing_with_others() -> None:
    ada = user("ada")
    printer("ada's", ada), printer("bob's", user("bob")), printer("nobody's")

    assert may(ada) == {"view": {"ada's"}, "operate": {"ada's"}, "manage": {"ada's"}}


@pytest.mark.parametrize("flag", ["is_staff", "is_superuser"])
def test_staff_and_superusers_may_do_everything_with_all(flag: str) -> None:
    root = user("root", **{flag: True})
    printer("bob's", user("bob")), printer("nobody's")

    assert may(root) == dict.fromkeys(rights.ACTIONS, {"bob's", "nobody's"})


def test_a_role_includes_the_actions_before_it() -> None:
    ada = user("ada")
    give("view", ada, printer("seen"))
    give("operate", ada, printer("operated"))
    give("manage", ada, printer("managed"))
    printer("another")

    assert may(ada) == {
        "view": {"seen", "operated", "managed"}, "operate": {"operated", "managed"}, "manage": {"managed"},
    }  # fmt: skip


def test_a_printer_in_two_groups_is_found_once_with_the_greater_right() -> None:
    ada, both = user("ada"), printer("both", None)
    give("view", ada, both)
    give("operate", ada, both)

    assert [one.pk for one in Printer.objects.for_user(ada, "operate")] == [both.pk]


def test_a_role_is_for_the_users_of_its_group_alone() -> None:
    give("manage", user("ada"), printer("managed"))

    assert may(user("bob")) == dict.fromkeys(rights.ACTIONS, set())


def test_nobody_without_an_active_account_may_do_anything() -> None:
    gone = user("gone", is_superuser=True, is_active=False)
    printer("gone's", gone), printer("nobody's")

    assert may(AnonymousUser()) == may(gone) == dict.fromkeys(rights.ACTIONS, set())


def test_another_word_for_an_action_is_refused() -> None:
    with pytest.raises(ValueError, match="'edit' is not an action; use one of view, operate, manage"):
        Printer.objects.for_user(user("ada"), "edit")


def test_other_apps_get_the_same_answer() -> None:
    ada = user("ada")
    mine = printer("ada's", ada)
    printer("bob's", user("bob"))

    assert [row["pk"] for row in rights.printer_keys(ada, "manage")] == [mine.pk]
