from typing import Any

from rest_framework import serializers

from api.serializers.fields import Flag, Integer, Key, Text
from monitoring.alerts.forms import LONGEST
from monitoring.alerts.models import CHOICES, Channel, Message, Rule
from monitoring.alerts.rules import sentence

ADDRESS = (
    "As Slack, Discord, Teams or Google Chat gave it to you, a webhook of your own, or an address as Apprise writes "
    "it. Whoever has it can write there, so it is in no answer."
)
CLOCK = r"^([01][0-9]|2[0-3]):[0-5][0-9]$"


class ChannelSerializer(serializers.Serializer):
    """Where you are told. Its address is written, and is in no answer."""

    id = serializers.IntegerField(source="pk")
    kind = serializers.ChoiceField(Channel.Kind.choices)
    name = serializers.CharField()
    service = serializers.CharField(help_text="Found out from the address, such as Slack.")


class ChannelChangeSerializer(serializers.Serializer):
    """What is left out stays as it is; an empty address is the one that was there."""

    name = Text(max_length=80, required=False, allow_blank=True, help_text="What you call it, such as #farm.")
    address = Text(max_length=1000, required=False, allow_blank=True, write_only=True, help_text=ADDRESS)


class NewChannelSerializer(ChannelChangeSerializer):
    address = Text(max_length=1000, write_only=True, help_text=ADDRESS)


class TrialSerializer(serializers.Serializer):
    """How it went to send a channel a message that says that nothing has happened."""

    channel = serializers.IntegerField(source="channel.pk")
    sent = serializers.BooleanField(source="outcome.sent")
    sentence = serializers.CharField(help_text="For people.")


class TrialsSerializer(serializers.Serializer):
    results = TrialSerializer(many=True)


class RuleSerializer(serializers.Serializer):
    """What you want to be told. Without a printer, place, tag or group it is about all that you may see."""

    id = serializers.IntegerField(source="pk")
    sentence = serializers.CharField(help_text="The same for people.")
    states = serializers.ListField(child=serializers.ChoiceField(CHOICES))
    minutes = serializers.IntegerField(help_text="How long it has been so before you are told.")
    printer = serializers.IntegerField(allow_null=True)
    place = serializers.CharField()
    tag = serializers.CharField()
    group = serializers.IntegerField(allow_null=True)
    quiet_from = serializers.CharField(allow_null=True, help_text="By your clock, such as 22:00.")
    quiet_until = serializers.CharField(allow_null=True)
    mail = serializers.BooleanField()
    channels = serializers.ListField(child=serializers.IntegerField(), help_text="Besides mail.")
    paused = serializers.BooleanField()

    def to_representation(self, rule: Rule) -> dict[str, Any]:
        channels = list(rule.channels.all())
        return {
            "id": rule.pk,
            "sentence": sentence(rule),
            **{name: getattr(rule, name) for name in ("states", "minutes", "place", "tag", "paused")},
            "printer": rule.printer_id,
            "group": rule.group_id,
            "quiet_from": rule.quiet_from and f"{rule.quiet_from:%H:%M}",
            "quiet_until": rule.quiet_until and f"{rule.quiet_until:%H:%M}",
            "mail": any(one.kind == Channel.Kind.MAIL for one in channels),
            "channels": sorted(one.pk for one in channels if one.kind != Channel.Kind.MAIL),
        }


class RuleChangeSerializer(serializers.Serializer):
    """What is left out stays as it is."""

    states = serializers.ListField(
        child=serializers.ChoiceField(CHOICES), min_length=1, max_length=len(CHOICES), required=False
    )
    minutes = Integer(min_value=0, max_value=LONGEST, required=False)
    printer = Key(required=False, allow_null=True)
    place = Text(max_length=200, required=False, allow_blank=True)
    tag = Text(max_length=50, required=False, allow_blank=True)
    group = Key(required=False, allow_null=True)
    quiet_from = serializers.RegexField(CLOCK, required=False, allow_null=True)
    quiet_until = serializers.RegexField(CLOCK, required=False, allow_null=True)
    mail = Flag(required=False)
    channels = serializers.ListField(child=Key(), max_length=100, required=False)
    paused = Flag(required=False)


class NewRuleSerializer(RuleChangeSerializer):
    paused = None
    states = serializers.ListField(child=serializers.ChoiceField(CHOICES), min_length=1, max_length=len(CHOICES))


class MessageSerializer(serializers.Serializer):
    """What you were told, and how its delivery went."""

    id = serializers.IntegerField(source="pk")
    channel = serializers.IntegerField(source="channel_id")
    status = serializers.ChoiceField(Message.Status.choices)
    events = serializers.IntegerField(help_text="How many it tells of.")
    made_at = serializers.DateTimeField()
    sent_at = serializers.DateTimeField(allow_null=True)
    tries = serializers.IntegerField()
    problem = serializers.CharField(help_text="Why the last try failed.")
