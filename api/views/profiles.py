from typing import Any

from allauth.account.models import EmailAddress
from django.db import transaction
from django.db.models import Value
from django.db.models.functions import Coalesce, Lower
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import profiles
from accounts.forms import LookForm, ProfileForm
from accounts.models import Profile
from accounts.people.models import Person
from api.problems import Problem
from api.serializers.people import OwnProfileSerializer, ProfileChangeSerializer, ProfileSerializer
from api.views.base import List, View
from api.views.printers import checked

ELSEWHERE = "Profiles are in the former table just now. Try again later."
ALL = "accounts.view_profile"
"""The right to see everybody's, as the admin has it."""


class Profiles(List):
    queryset = Profile.objects.none()
    serializer_class = ProfileSerializer
    orderings = {"id": "pk", "name": "by_name"}

    def get_queryset(self) -> Any:
        user = self.request.user
        found = Profile.objects.annotate(by_name=Lower(Coalesce("name", "username", Value(""))))
        return found if user.is_staff and user.has_perm(ALL) else found.filter(user=user)

    @extend_schema(operation_id="profiles_list")
    def get(self, request: Request) -> Response:
        """Your own profile; for staff who may see profiles, everybody's."""
        return self.list(request)


class OwnProfile(View):
    serializer_class = OwnProfileSerializer

    @extend_schema(operation_id="profiles_get_own")
    def get(self, request: Request) -> Response:
        """Your own profile, and how pages look for you."""
        return Response(own(request.user))

    @extend_schema(operation_id="profiles_change_own", request=ProfileChangeSerializer)
    def patch(self, request: Request) -> Response:
        """Change your own profile. How pages look changes with your next login."""
        given = self.sent(ProfileChangeSerializer).validated_data
        mine, _ = find(request.user)
        with transaction.atomic():
            Profile.objects.select_for_update(no_key=True).filter(pk=mine.pk).first()
            mine, person = find(request.user)  # With what somebody has changed at the same time.
            for form in forms_of(request.user, mine, person, given):
                checked(form).save()
        return Response(own(request.user))


def find(user: Any) -> tuple[Profile, Person]:
    if not profiles.are_here():
        raise Problem(503, ELSEWHERE)
    mine = profiles.of(user)
    return mine, Person.objects.filter(profile=mine).first() or Person(profile=mine)


def forms_of(user: Any, mine: Profile, person: Person, given: dict[str, Any]) -> list[Any]:
    """Those of the page, filled with what is there and what was given."""
    address = EmailAddress.objects.get_primary(user)
    now = {name: getattr(mine, name) for name in ("name", "organization")} | {"province": mine.province_id}
    look = {name: getattr(person, name) for name in ("theme", "density", "time_zone", "shares_printers")}
    data = now | look | {"email": address.email if address else ""} | given
    return [ProfileForm(data, instance=mine, person=person, address=address), LookForm(data, instance=person)]


def own(user: Any) -> dict[str, Any]:
    mine, mine.person = find(user)
    mine.groups = list(user.groups.order_by("name").values_list("name", flat=True))
    return dict(OwnProfileSerializer(mine).data)
