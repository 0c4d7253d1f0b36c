from datetime import timedelta

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_variables
from django.views.decorators.http import require_http_methods

from api.tokens import making
from api.tokens.forms import TokenForm
from core.typed import sent

SOON = timedelta(days=3)


@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
@sensitive_variables()
def tokens(request: HttpRequest) -> HttpResponse:
    """The answer to the form shows the new token, once; sent again, the same form makes no second one of its name."""
    form = TokenForm(sent(request), user=request.user)
    if request.method != "POST":
        return show(request, form)
    text = form.make() if form.is_valid() else None
    if text is None:
        return show(request, form, status=400)
    return show(request, TokenForm(user=request.user), text=text, name=form.cleaned_data["name"])


def show(request: HttpRequest, form: TokenForm, *, text: str = "", name: str = "", status: int = 200) -> HttpResponse:
    context = {"form": form, "tokens": making.of(request.user), "text": text, "name": name}
    context["soon"] = timezone.now() + SOON
    return render(request, "api/tokens.html", context, status=status)


@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def revoke(request: HttpRequest) -> HttpResponse:
    """The page of the dialog that asks first. The name of one's own token says which."""
    name = (request.POST if request.method == "POST" else request.GET).get("name", "")
    token = making.of(request.user).filter(name=name).first()
    if token is None:
        raise Http404
    if request.method != "POST":
        return render(request, "api/revoke.html", {"token": token})
    making.revoke(request.user, name)
    messages.success(request, f"The token “{name}” is revoked.")
    return redirect("tokens")
