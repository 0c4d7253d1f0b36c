"""Who may ask at all. Which printers somebody may do what with, the functions decide that pages call as well."""

from typing import Any

from django.http import Http404
from rest_framework.permissions import SAFE_METHODS, BasePermission
from rest_framework.request import Request

from api.models import Token


class SignedIn(BasePermission):
    def has_permission(self, request: Request, view: Any) -> bool:
        return bool(request.user and request.user.is_authenticated and request.user.is_active)


class MayWrite(BasePermission):
    """A token that is made for reading changes nothing, whatever its owner may do."""

    message = "This token may only read. Make one that may write."
    code = "sentence"

    def has_permission(self, request: Request, view: Any) -> bool:
        return request.method in SAFE_METHODS or not isinstance(request.auth, Token) or request.auth.writes


class Staff(BasePermission):
    """To everybody else it is not there."""

    def has_permission(self, request: Request, view: Any) -> bool:
        if not request.user.is_staff:
            raise Http404
        return True
