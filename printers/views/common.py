"""What the pages of printers share: who is let in, and what the printer in the address is."""

from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables
from django.views.decorators.http import require_http_methods

from core.rights import ACTIONS, Action
from core.typed import is_ours, load_anew
from printers.control import Result
from printers.models import Printer

View = Callable[..., HttpResponse]
NOTED = 5
"""So many refusals are told one by one."""


def page(*methods: str) -> Callable[[View], View]:
    """A page for whoever is logged in, by these methods. What is posted there is in no report of an error."""

    def decorate(view: View) -> View:
        guarded = sensitive_variables()(sensitive_post_parameters()(view))
        return require_http_methods([*methods, "HEAD"] if "GET" in methods else methods)(
            never_cache(whole(login_required(wraps(view)(guarded))))
        )

    return decorate


def whole(view: View) -> View:
    """Where nobody is logged in any more, a part of a page loads its page anew, instead of a login within it.

    So it does where what the page shows was deleted, or taken from its reader, instead of having lost the portal.
    """

    @wraps(view)
    def asked(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if request.htmx and not request.user.is_authenticated:
            return load_anew(request)
        try:
            return view(request, *args, **kwargs)
        except Http404:
            if request.htmx and request.method == "GET":
                return load_anew(request)
            raise

    return asked


def find(user: Any, pk: int, action: Action) -> Printer:
    """Raises Http404 for a printer that is not there or that `user` may not see, which are the same to them, and
    PermissionDenied for one that they may see alone.
    """
    if printer := Printer.objects.for_user(user, action).whole().filter(pk=pk).first():
        return printer
    if action != "view" and Printer.objects.for_user(user, "view").filter(pk=pk).exists():
        raise PermissionDenied
    raise Http404


def rights(user: Any, printer: Printer) -> set[str]:
    """What `user`, who may view it, may do with it."""
    if user.is_staff or user.is_superuser:
        return set(ACTIONS)
    return {"view"} | {a for a in ACTIONS[1:] if Printer.objects.for_user(user, a).filter(pk=printer.pk).exists()}


def tell(request: HttpRequest, results: Iterable[Result], *, many: str = "", undo: str = "") -> None:
    """One toast for what was done, with an address to post to that undoes it, and a note for each refusal."""
    done = [result for result in results if result.done]
    refused = [result for result in results if not result.done]
    if len(done) == 1:
        messages.success(request, done[0].sentence, extra_tags=undo)
    elif done:
        messages.success(request, many.format(len(done)), extra_tags=undo)
    for result in refused[:NOTED]:
        messages.warning(request, result.sentence)
    if len(refused) > NOTED:
        messages.warning(request, f"And {len(refused) - NOTED} more were refused for their states.")


def back(request: HttpRequest, otherwise: str) -> str:
    """Where the form says that people came from, if that is a page of ours."""
    there = request.POST.get("next", "")
    return there if is_ours(request, there) else otherwise


def places(user: Any) -> list[str]:
    """That the field of a place offers."""
    known = Printer.objects.for_user(user, "view").exclude(machine__place="").filter(machine__isnull=False)
    return list(known.values_list("machine__place", flat=True).order_by("machine__place").distinct()[:100])
