from typing import Any

from django.db import transaction
from django.db.models import Count
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from api.problems import refused
from api.serializers.alerts import (
    ChannelSerializer,
    MessageSerializer,
    NewRuleSerializer,
    RuleChangeSerializer,
    RuleSerializer,
)
from api.views.base import List, View
from api.views.printers import checked
from monitoring.alerts.forms import RuleForm
from monitoring.alerts.models import Channel, Message, Rule


def own(user: Any) -> Any:
    mine = Rule.objects.filter(user=user).order_by("pk")
    return mine.select_related("printer__machine", "group").prefetch_related("channels")


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
        rule = save(Rule(user=request.user), request.user, {"minutes": 0} | given)
        return Response(RuleSerializer(own(request.user).get(pk=rule.pk)).data, 201)


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
        rule = get_object_or_404(own(request.user), pk=pk)
        now = dict(RuleSerializer(rule).data)
        save(rule, request.user, now | given)
        return Response(RuleSerializer(own(request.user).get(pk=pk)).data)

    @extend_schema(operation_id="alerts_rules_delete", responses={204: None})
    def delete(self, request: Request, pk: int) -> Response:
        """Delete it."""
        get_object_or_404(own(request.user), pk=pk).delete()
        return Response(status=204)


class Channels(List):
    queryset = Channel.objects.none()
    serializer_class = ChannelSerializer

    def get_queryset(self) -> Any:
        return Channel.objects.filter(user=self.request.user)

    @extend_schema(operation_id="alerts_channels_list")
    def get(self, request: Request) -> Response:
        """Where you are told; the page of alerts adds and changes them."""
        return self.list(request)


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


@transaction.atomic
def save(rule: Rule, user: Any, values: dict[str, Any]) -> Rule:
    """Through the form of the page. Raises Problem 409 with its sentences."""
    form = RuleForm(values, instance=rule, user=user)
    if values.get("channels") and "channels" not in form.fields:
        raise refused({"channels": ["You have no channel besides mail."]})
    return checked(form).save()
