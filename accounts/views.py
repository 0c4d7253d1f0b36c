"""The page of one's own profile, and the page that an invitation leads to."""

from allauth.account.models import EmailAddress
from allauth.core import ratelimit
from allauth.mfa.models import Authenticator
from allauth.usersessions.models import UserSession
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from accounts import invitations, profiles
from accounts.forms import LookForm, ProfileForm
from accounts.invitations import NotClaimed
from accounts.models import Profile
from accounts.people import look
from accounts.people.models import Person
from core.typed import sent


@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def profile(request: HttpRequest) -> HttpResponse:
    if not profiles.are_here():
        return render(request, "accounts/elsewhere.html", status=503)
    mine, person = find(request)
    address = EmailAddress.objects.get_primary(request.user)
    form = ProfileForm(sent(request), instance=mine, person=person, address=address)
    if request.method == "POST" and form.is_valid() and may_send(request, form):
        save(request, form, person)
        return redirect("profile")
    return show(request, mine, person, form=form)


def may_send(request: HttpRequest, form: ProfileForm) -> bool:
    """Each new address gets a mail, whoever it belongs to: allauth counts them for its own page and for this one."""
    if not form.new_address or ratelimit.consume(request, action="manage_email"):
        return True
    form.add_error("email", "You have given many addresses. Wait an hour before you give another one.")
    return False


def find(request: HttpRequest) -> tuple[Profile, Person]:
    """The reader's own; what has no row yet gets one when it is saved."""
    mine = profiles.of(request.user)
    return mine, Person.objects.filter(profile=mine).first() or Person(profile=mine)


def save(request: HttpRequest, form: ProfileForm, person: Person) -> None:
    form.save()
    person.shares_printers = form.cleaned_data["shares_printers"]
    person.save()
    if form.new_address:
        EmailAddress.objects.add_new_email(request, request.user, form.new_address)
        messages.info(request, f"A link was sent to {form.new_address}. The address counts once you open it.")
    messages.success(request, "Saved.")


@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def save_look(request: HttpRequest) -> HttpResponse:
    if request.method != "POST":
        return redirect("profile")
    if not profiles.are_here():
        return render(request, "accounts/elsewhere.html", status=503)
    mine, person = find(request)
    form = LookForm(request.POST, instance=person)
    if not form.is_valid():
        return show(request, mine, person, look_form=form)
    look.remember(request, form.save())
    messages.success(request, "Saved.")
    return redirect("profile")


def show(
    request: HttpRequest,
    mine: Profile,
    person: Person,
    form: ProfileForm | None = None,
    look_form: LookForm | None = None,
) -> HttpResponse:
    user = request.user
    address = EmailAddress.objects.get_primary(user)
    keys = list(Authenticator.objects.filter(user=user))
    codes = next((key.wrap() for key in keys if key.type == Authenticator.Type.RECOVERY_CODES), None)
    context = {
        "profile": mine,
        "form": form or ProfileForm(instance=mine, person=person, address=address),
        "look_form": look_form or LookForm(instance=person),
        "groups": user.groups.order_by("name"),
        "passkeys": [key.wrap().name for key in keys if key.type == Authenticator.Type.WEBAUTHN],
        "has_code_app": any(key.type == Authenticator.Type.TOTP for key in keys),
        "codes_left": len(codes.get_unused_codes()) if codes else None,
        "sessions": UserSession.objects.purge_and_list(user),
    }
    return render(request, "accounts/profile.html", context)


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def claim(request: HttpRequest, token: str) -> HttpResponse:
    """Shows whose profile the link is for; only the POST of somebody who is signed in takes it over."""
    if not profiles.are_here():
        return render(request, "accounts/elsewhere.html", status=503)
    try:
        if request.method == "POST" and request.user.is_authenticated:
            merged = invitations.claim(token, request.user)
            messages.success(request, f"{merged.profile} and its printers are yours now.")
            return redirect("profile")
        found = invitations.find(token)
    except NotClaimed as error:
        return render(request, "accounts/claim.html", {"refused": str(error)})
    if not request.user.is_authenticated:
        request.session[invitations.SESSION_KEY] = token
    return render(request, "accounts/claim.html", {"profile": found})
