"""Pages for staff: to everybody else they are not there."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.cache import never_cache

View = Callable[..., HttpResponse]


def staff_only(*, change: str = "") -> Callable[[View], View]:
    """Ask who is not logged in to do so, and answer 404 to who is no staff. `change` is the right that a POST needs."""

    def decorate(view: View) -> View:
        @never_cache
        @wraps(view)
        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            if not request.user.is_authenticated:
                return redirect_to_login(request.get_full_path())
            if not request.user.is_staff:
                raise Http404
            if change and request.method == "POST" and not request.user.has_perm(change):
                raise PermissionDenied
            return view(request, *args, **kwargs)

        return guarded

    return decorate
