from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.db.models import Count
from django.http import Http404
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from api.problems import Problem, conflict, refused
from api.serializers.alerts import (
    ChannelChangeSerializer,
    ChannelSerializer,
    MessageSerializer,
    NewChannelSerializer,
    NewRuleSerializer,
    RuleChangeSerializer,
    RuleSerializer,
    TrialSerializer,
    TrialsSerializer,
)
from api.views.base import List, View
from api.views.printers import checked
from monitoring.alerts import reading, saving, trying
from monitoring.alerts.channels import Outcome
from monitoring.alerts.forms import ChannelForm, RuleForm
from monitoring.alerts.models import Channel, Message, Rule


def own(user: Any) -> Any:
    return reading.rules_of(user).prefetch_related("channels")


class Rules(List):
    queryset = Rule.objects.none()
    serializer_class = RuleSerializer

    def get_queryset(self) -> Any:
        return own(self.request.user)

    @extend_schema(operation_id="alerts_rules_list")
    def get(self, request: Request) -> Response:
        """Your rules."""
        return self.list(request)

    @extend_schema(operation_id="alerts_rules_add", request=NewRuleSerializer, responses={201: RuleSerializer})
    def post(self, request: Request) -> Response:
        """Add a rule."""
        given = self.sent(NewRuleSerializer).validated_data
        with transaction.atomic():
            rule = save(Rule(user=request.user), request.user, {"minutes": 0} | given)
            made = RuleSerializer(own(request.user).get(pk=rule.pk)).data
        return Response(made, 201)


class OneRule(View):
    serializer_class = RuleSerializer

    @extend_schema(operation_id="alerts_rules_get")
    def get(self, request: Request, pk: int) -> Response:
        """One of your rules."""
        return Response(RuleSerializer(get_object_or_404(own(request.user), pk=pk)).data)

    @extend_schema(operation_id="alerts_rules_change", request=RuleChangeSerializer)
    def patch(self, request: Request, pk: int) -> Response:
        """Change it. One that goes on after a pause tells nothing of what began meanwhile."""
        given = self.sent(RuleChangeSerializer).validated_data
        with transaction.atomic():
            rule = get_object_or_404(own(request.user).select_for_update(no_key=True, of=("self",)), pk=pk)
            now = dict(RuleSerializer(rule).data)
            save(rule, request.user, now | given)
            changed = RuleSerializer(own(request.user).get(pk=pk)).data
        return Response(changed)

    @extend_schema(operation_id="alerts_rules_delete", responses={204: None})
    def delete(self, request: Request, pk: int) -> Response:
        """Delete it."""
        saving.delete(get_object_or_404(own(request.user), pk=pk))
        return Response(status=204)


class TryRule(View):
    serializer_class = TrialsSerializer

    @extend_schema(operation_id="alerts_rules_try", request=None)
    def post(self, request: Request, pk: int) -> Response:
        """Send a message that says that it is a trial to each channel of the rule: a result for each."""
        rule = get_object_or_404(own(request.user), pk=pk)
        count_trial(request.user)
        trials = [Trial(channel, outcome) for channel, outcome in trying.try_rule(rule)]
        return Response(TrialsSerializer({"results": trials}).data)


class Channels(List):
    queryset = Channel.objects.none()
    serializer_class = ChannelSerializer

    def get_queryset(self) -> Any:
        return Channel.objects.filter(user=self.request.user)

    @extend_schema(operation_id="alerts_channels_list")
    def get(self, request: Request) -> Response:
        """Where you are told."""
        return self.list(request)

    @extend_schema(operation_id="alerts_channels_add", request=NewChannelSerializer, responses={201: ChannelSerializer})
    def post(self, request: Request) -> Response:
        """Add one besides mail. Its address is looked at and nobody is called; one that leads where another does is
        a 409, which names the other in `channel`.
        """
        given = self.sent(NewChannelSerializer).validated_data
        return Response(ChannelSerializer(save_channel(Channel(user=request.user), given)).data, 201)


class OneChannel(View):
    serializer_class = ChannelSerializer

    @extend_schema(operation_id="alerts_channels_get")
    def get(self, request: Request, pk: int) -> Response:
        """One of your channels."""
        return Response(ChannelSerializer(find_channel(request.user, pk)).data)

    @extend_schema(operation_id="alerts_channels_change", request=ChannelChangeSerializer)
    def patch(self, request: Request, pk: int) -> Response:
        """Change it, save that of your mail, which goes to the address of your profile."""
        given = self.sent(ChannelChangeSerializer).validated_data
        channel = find_channel(request.user, pk)
        if channel.kind == Channel.Kind.MAIL:
            raise conflict("Mail goes to the confirmed address of your profile.", channel=pk)
        return Response(ChannelSerializer(save_channel(channel, {"name": channel.name} | given)).data)

    @extend_schema(operation_id="alerts_channels_delete", responses={204: None})
    def delete(self, request: Request, pk: int) -> Response:
        """Delete it. What waits to be sent there is not sent; rules that tell nobody else tell nobody then."""
        saving.delete(find_channel(request.user, pk))
        return Response(status=204)


class TryChannel(View):
    serializer_class = TrialSerializer

    @extend_schema(operation_id="alerts_channels_try", request=None)
    def post(self, request: Request, pk: int) -> Response:
        """Send it a message that says that it is a trial. What was not sent is a 409 with the sentence."""
        channel = find_channel(request.user, pk)
        count_trial(request.user)
        trial = Trial(channel, trying.try_channel(channel))
        if not trial.outcome.sent:
            raise conflict(trial.sentence, channel=pk)
        return Response(TrialSerializer(trial).data)


class Messages(List):
    queryset = Message.objects.none()
    serializer_class = MessageSerializer
    usual = "-id"

    def get_queryset(self) -> Any:
        return Message.objects.filter(channel__user=self.request.user).annotate(events=Count("mentions"))

    @extend_schema(operation_id="alerts_messages_list")
    def get(self, request: Request) -> Response:
        """What you were told, newest first."""
        return self.list(request)


def save(rule: Rule, user: Any, values: dict[str, Any]) -> Rule:
    """Through the form of the page. Raises Problem 409 with its sentences, or Http404 where its printer is gone."""
    form = RuleForm(values, instance=rule, user=user)
    if values.get("channels") and "channels" not in form.fields:
        raise refused({"channels": ["You have no channel besides mail."]})
    try:
        return checked(form).save()
    except Rule.DoesNotExist:
        raise Http404 from None


def find_channel(user: Any, pk: int) -> Channel:
    """Raises Http404 for somebody else's, too."""
    return get_object_or_404(Channel.objects.filter(user=user), pk=pk)


def save_channel(channel: Channel, values: dict[str, Any]) -> Channel:
    """Through the form of the page, and with its sentences. Raises Problem or Http404."""
    try:
        return saving.save(checked(ChannelForm(values, instance=channel)))
    except saving.Refused as error:
        raise conflict(error.sentence, **({"channel": error.same.pk} if error.same else {})) from None
    except Channel.DoesNotExist:
        raise Http404 from None


@dataclass(frozen=True)
class Trial:
    channel: Channel
    outcome: Outcome

    @property
    def sentence(self) -> str:
        return f"{self.channel}: {self.outcome.problem or 'the trial was sent.'}"


def count_trial(user: Any) -> None:
    """Raises Problem 429. A trial counts as on the page: it calls somebody else's server."""
    if not trying.may_try(user):
        raise Problem(429, trying.TOO_OFTEN, wait=trying.MINUTE)
