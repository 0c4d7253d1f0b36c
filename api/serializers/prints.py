from typing import Any

from rest_framework import serializers

from api.problems import refused
from api.serializers.fields import Integer, Key, Text
from core.sides.reading import name_of
from monitoring.history.ranges import LAST
from monitoring.models import Print
from printers.states import State

MOST_PARTS = 100_000


class PrintSerializer(serializers.Serializer):
    """One print on one machine, from its start to what somebody said of it."""

    id = serializers.IntegerField(source="pk")
    printer = serializers.IntegerField(source="printer_id")
    file = serializers.CharField()
    started_by = serializers.SerializerMethodField(help_text="null: not known.")
    started_at = serializers.DateTimeField()
    ended_at = serializers.DateTimeField(allow_null=True, help_text="null: it goes on.")
    outcome = serializers.ChoiceField(Print.Outcome.choices, allow_null=True)
    reason = serializers.CharField(help_text="What the machine said at its end.")
    seconds = serializers.FloatField(allow_null=True)
    filament_mm = serializers.FloatField(allow_null=True)
    found_by = serializers.ChoiceField(Print.FoundBy.choices)
    signed_off_at = serializers.DateTimeField(allow_null=True)
    signed_off_by = serializers.SerializerMethodField()
    verdict = serializers.ChoiceField(Print.Verdict.choices, allow_null=True)
    bad_count = serializers.IntegerField(allow_null=True, help_text="How many of its parts were bad.")
    bad_reason = serializers.CharField()

    def get_started_by(self, one: Print) -> str | None:
        return name_of(one.started_by) if one.started_by else None

    def get_signed_off_by(self, one: Print) -> str | None:
        return name_of(one.signed_off_by) if one.signed_off_by else None

    def to_representation(self, one: Print) -> dict[str, Any]:
        shown = super().to_representation(one)
        return shown | {name: shown[name] or None for name in ("outcome", "verdict")}


class VerdictSerializer(serializers.Serializer):
    """good: the plate is clear. bad: and why; the plate is clear as well."""

    verdict = serializers.ChoiceField(Print.Verdict.choices)
    count = Integer(min_value=0, max_value=MOST_PARTS, required=False, allow_null=True)
    reason = Text(max_length=500, required=False, allow_blank=True, help_text="For bad, which needs it.")

    def validate(self, given: dict[str, Any]) -> dict[str, Any]:
        if given["verdict"] == Print.Verdict.BAD and not given.get("reason"):
            raise refused({"reason": ["Say what went wrong."]})
        return {"count": None, "reason": ""} | given


class VerdictsSerializer(VerdictSerializer):
    prints = serializers.ListField(child=Key(), min_length=1, max_length=1000)


class SaidSerializer(serializers.Serializer):
    """What became of one print."""

    print = serializers.IntegerField(source="print.pk")
    printer = serializers.IntegerField(source="printer.pk")
    done = serializers.BooleanField(help_text="Also where somebody had said the same before.")
    sentence = serializers.CharField(help_text="For people.")


class AllSaidSerializer(serializers.Serializer):
    results = SaidSerializer(many=True)


class RateSerializer(serializers.Serializer):
    printer = serializers.IntegerField(required=False, help_text="Where it is by printer.")
    file = serializers.CharField(required=False, help_text="Where it is by file.")
    good = serializers.IntegerField()
    bad = serializers.IntegerField()
    unknown = serializers.IntegerField(help_text="Finished, and nobody has said how it went.")
    rate = serializers.FloatField(allow_null=True, help_text="In per cent of those that are known.")


class ReasonSerializer(serializers.Serializer):
    reason = serializers.CharField(source="why")
    prints = serializers.IntegerField(source="number")


class RatesSerializer(serializers.Serializer):
    rates = RateSerializer(many=True)
    reasons = ReasonSerializer(many=True)


class HistoryQuery(serializers.Serializer):
    range = serializers.ChoiceField(list(LAST), default="day")
    until = serializers.DateTimeField(required=False, help_text="Its end; now, where it is left out.")


class PointSerializer(serializers.Serializer):
    """From this moment on. Of a quarter of an hour that is rolled up, its mean."""

    at = serializers.DateTimeField()
    actual = serializers.FloatField(allow_null=True)
    low = serializers.FloatField(allow_null=True)
    high = serializers.FloatField(allow_null=True)
    target = serializers.FloatField(allow_null=True)


class SpanSerializer(serializers.Serializer):
    state = serializers.ChoiceField(State.choices)
    begins = serializers.DateTimeField()
    ends = serializers.DateTimeField()


class HistorySerializer(serializers.Serializer):
    start = serializers.DateTimeField()
    end = serializers.DateTimeField()
    temperatures = serializers.DictField(child=PointSerializer(many=True), help_text="By part, in °C.")
    states = SpanSerializer(many=True)
