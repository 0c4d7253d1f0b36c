"""Pages of one's own rules and channels. What is not the reader's, or not there any more, leads back to the list."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib import messages
from django.db.models import Count
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render

from core.typed import sent
from monitoring.alerts import channels, reading, saving, trying
from monitoring.alerts.forms import ChannelForm, RuleForm
from monitoring.alerts.models import Channel, Message, Rule
from printers.views.common import page, places

LATEST = 20


def own(model: type[Any], name: str) -> Callable[[Callable[..., HttpResponse]], Callable[..., HttpResponse]]:
    """Hands the view the reader's own rule or channel instead of its key."""

    def decorate(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
        @wraps(view)
        def wrapped(request: HttpRequest, **kwargs: int) -> HttpResponse:
            found = mine(model, request.user).filter(pk=kwargs[name]).first()
            return view(request, found) if found else gone(request, name)

        return wrapped

    return decorate


def mine(model: type[Any], user: Any) -> Any:
    return reading.rules_of(user) if model is Rule else model.objects.filter(user=user)


def gone(request: HttpRequest, name: str) -> HttpResponse:
    messages.info(request, f"This {name} is not there any more.")
    return redirect("alerts:list")


@page("GET")
def rules(request: HttpRequest) -> HttpResponse:
    told = Message.objects.filter(channel__user=request.user).select_related("channel")
    context = {
        "rules": reading.rules_of(request.user).prefetch_related("channels"),
        "channels": Channel.objects.filter(user=request.user).annotate(used=Count("rules")),
        "told": told.annotate(events=Count("mentions"))[:LATEST],
        "address": channels.mail_address(request.user),
    }
    return render(request, "alerts/list.html", context)


@page("GET", "POST")
def new(request: HttpRequest) -> HttpResponse:
    """For one printer where its page leads here."""
    return fill_in(request, Rule(user=request.user), {"printer": request.GET.get("printer", "")})


@page("GET", "POST")
@own(Rule, "rule")
def edit(request: HttpRequest, rule: Rule) -> HttpResponse:
    return fill_in(request, rule, {})


def fill_in(request: HttpRequest, rule: Rule, initial: dict[str, Any]) -> HttpResponse:
    form = RuleForm(sent(request), instance=rule, user=request.user, initial=initial)
    if request.method == "POST" and form.is_valid():
        try:
            form.save()
        except Rule.DoesNotExist:
            return gone(request, "rule")
        messages.success(request, "The rule is saved.")
        return redirect("alerts:list")
    about = form.fields["printer"].queryset.filter(pk=key).first() if (key := number(form["printer"].value())) else None
    context = {"form": form, "rule": rule, "about": about, "places": places(request.user)}
    return render(request, "alerts/rule.html", context, status=400 if form.errors else 200)


def number(value: Any) -> int | None:
    return int(text) if (text := str(value or "")).isascii() and text.isdecimal() and len(text) < 10 else None


@page("POST")
@own(Rule, "rule")
def delete(request: HttpRequest, rule: Rule) -> HttpResponse:
    saving.delete(rule)
    messages.success(request, "The rule is deleted.")
    return redirect("alerts:list")


@page("POST")
@own(Rule, "rule")
def try_rule(request: HttpRequest, rule: Rule) -> HttpResponse:
    """Sends a message that says it is a trial, now, and says how that went."""
    if not trying.may_try(request.user):
        messages.warning(request, trying.TOO_OFTEN)
        return redirect("alerts:list")
    for channel, outcome in trying.try_rule(rule):
        if outcome.sent:
            messages.success(request, f"{channel}: the trial was sent.")
        else:
            messages.warning(request, f"{channel}: {outcome.problem}")
    return redirect("alerts:list")


@page("GET", "POST")
def new_channel(request: HttpRequest) -> HttpResponse:
    return fill_in_channel(request, Channel(user=request.user))


@page("GET", "POST")
@own(Channel, "channel")
def edit_channel(request: HttpRequest, channel: Channel) -> HttpResponse:
    if channel.kind == Channel.Kind.MAIL:
        return redirect("profile")
    return fill_in_channel(request, channel)


def fill_in_channel(request: HttpRequest, channel: Channel) -> HttpResponse:
    form = ChannelForm(sent(request), instance=channel)
    if request.method == "POST" and form.is_valid():
        try:
            messages.success(request, f"{saving.save(form)} is saved. Choose it in a rule, and try it.")
            return redirect("alerts:list")
        except saving.Refused as error:
            form.add_error("address", error.sentence)
        except Channel.DoesNotExist:
            return gone(request, "channel")
    context = {"form": form, "channel": channel}
    return render(request, "alerts/channel.html", context, status=400 if form.errors else 200)


@page("POST")
@own(Channel, "channel")
def delete_channel(request: HttpRequest, channel: Channel) -> HttpResponse:
    """What waits to be sent there is not sent any more."""
    saving.delete(channel)
    messages.success(request, f"{channel} is deleted.")
    return redirect("alerts:list")
