import re
from typing import Any

from rest_framework import serializers

from api.problems import refused
from api.serializers.fields import Key, Moment, Number, Secret, Text
from core.rights import ACTIONS
from printers.clients.base import Seen
from printers.fleet.models import Kind
from printers.states import State

PART = re.compile(r"[A-Za-z][A-Za-z0-9_ ]{0,19}")


SEEN = ("since", "seen_at", "file", "progress", "ends_at", "temperatures", "message")


class TemperatureSerializer(serializers.Serializer):
    actual = Number(allow_null=True, required=False, min_value=-300, max_value=2000)
    target = Number(allow_null=True, required=False, min_value=-300, max_value=2000)


class StateSerializer(serializers.Serializer):
    """What was last seen of a printer."""

    state = serializers.ChoiceField(
        State.choices, source="state.value", allow_null=True, help_text="null: nobody has asked it yet."
    )
    since = serializers.DateTimeField(source="seen.since", allow_null=True, help_text="When this state began.")
    seen_at = serializers.DateTimeField(source="seen.seen_at", allow_null=True, help_text="When it last answered.")
    file = serializers.CharField(source="seen.file", allow_null=True)
    progress = serializers.FloatField(source="seen.progress", allow_null=True, help_text="In per cent.")
    ends_at = serializers.DateTimeField(source="seen.ends_at", allow_null=True)
    temperatures = serializers.DictField(
        source="seen.temperatures", child=TemperatureSerializer(), allow_null=True, help_text="By part, in °C."
    )
    message = serializers.CharField(source="seen.message", allow_null=True)

    def to_representation(self, printer: Any) -> dict[str, Any]:
        """By hand, as those below: in long lists, fields that look for their values take most of the time."""
        return {"state": printer.state.value or None, **seen_of(printer)}


def seen_of(printer: Any) -> dict[str, Any]:
    seen = printer.seen
    return {name: getattr(seen, name) if seen else None for name in SEEN}


class PrinterStateSerializer(StateSerializer):
    printer = serializers.IntegerField(source="pk")
    name = serializers.CharField()

    def to_representation(self, printer: Any) -> dict[str, Any]:
        name = printer.known.name or printer.address
        return {"printer": printer.pk, "name": name, **super().to_representation(printer)}


class OutOfOrderSerializer(serializers.Serializer):
    since = serializers.DateTimeField(source="out_of_order_since")
    why = serializers.CharField(source="out_of_order_why")


class PrinterSerializer(serializers.Serializer):
    id = serializers.IntegerField(source="pk")
    name = serializers.CharField(help_text="What people call it; its address where they don't.")
    address = serializers.CharField()
    kind = serializers.ChoiceField(Kind.choices)
    place = serializers.CharField(source="known.place")
    model = serializers.CharField(source="known.model")
    tags = serializers.ListField(child=serializers.CharField(), source="known.tags")
    user = serializers.CharField(source="known.user", help_text="Who logs in at a PrusaLink.")
    notes = serializers.CharField(source="known.notes")
    has_camera = serializers.BooleanField(source="known.camera")
    owner = serializers.IntegerField(source="profile_id", allow_null=True, help_text="A profile.")
    groups = serializers.ListField(child=serializers.IntegerField(), help_text="Of those that you may see.")
    out_of_order = OutOfOrderSerializer(source="known", allow_null=True)
    may = serializers.ListField(child=serializers.ChoiceField(ACTIONS), help_text="What you may do with it.")
    now = StateSerializer(source="*")

    def to_representation(self, printer: Any) -> dict[str, Any]:
        known = printer.known
        out = known.out_of_order_since
        return {
            "id": printer.pk,
            "name": known.name or printer.address,
            "address": printer.address,
            **{name: getattr(known, name) for name in ("kind", "place", "model", "tags", "user", "notes")},
            "has_camera": bool(known.camera),
            "owner": printer.profile_id,
            "groups": printer.groups,
            "out_of_order": {"since": out, "why": known.out_of_order_why} if out else None,
            "may": printer.may,
            "now": {"state": printer.state.value or None, **seen_of(printer)},
        }


class PrinterFields(serializers.Serializer):
    """What people say of a printer. What is left out stays as it is."""

    name = Text(max_length=200, required=False, allow_blank=True)
    place = Text(max_length=200, required=False, allow_blank=True)
    model = Text(max_length=200, required=False, allow_blank=True)
    tags = serializers.ListField(child=Text(max_length=50), max_length=100, required=False)
    camera = Text(
        max_length=500, required=False, allow_blank=True, write_only=True,
        help_text="An address that sends a picture. In no answer, since people write passwords into it.",
    )  # fmt: skip
    notes = Text(max_length=10_000, required=False, allow_blank=True)
    groups = serializers.ListField(child=Key(), max_length=1000, required=False)


class NewPrinterSerializer(PrinterFields):
    address = Text(max_length=255)
    key = Secret(max_length=128)
    user = Text(max_length=100, required=False, allow_blank=True)
    password = Secret(max_length=200)


class PrinterChangeSerializer(PrinterFields):
    """Keys and passwords are written and never shown; an empty one is the one that was there."""

    kind = serializers.ChoiceField(Kind.choices, required=False)
    address = Text(max_length=255, required=False)
    key = Secret(max_length=128)
    user = Text(max_length=100, required=False, allow_blank=True)
    password = Secret(max_length=200)


class FileSerializer(serializers.Serializer):
    path = serializers.CharField(help_text="What `start` takes.")
    name = serializers.CharField()
    size = serializers.IntegerField(allow_null=True, help_text="In bytes.")
    changed_at = serializers.DateTimeField(allow_null=True)


class StartSerializer(serializers.Serializer):
    file = Text(max_length=1000, help_text="The path of a file that is on the machine.")


class WhySerializer(serializers.Serializer):
    why = Text(max_length=500, help_text="Whoever looks at the printer reads it.")


class ResultSerializer(serializers.Serializer):
    """What became of an action on one printer."""

    printer = serializers.IntegerField(source="printer.pk")
    done = serializers.BooleanField()
    sentence = serializers.CharField(help_text="For people.")


class ResultsSerializer(serializers.Serializer):
    results = ResultSerializer(many=True)


class SelectionSerializer(serializers.Serializer):
    do = serializers.ChoiceField(["pause", "resume", "cancel", "out-of-order", "in-service", "delete"])
    printers = serializers.ListField(child=Key(), min_length=1, max_length=1000)
    why = Text(max_length=500, required=False, help_text="For out-of-order, which needs it.")

    def validate(self, given: dict[str, Any]) -> dict[str, Any]:
        if given["do"] == "out-of-order" and not given.get("why"):
            raise refused({"why": ["Say why: whoever looks at the printer reads it."]})
        return given


class ReportSerializer(serializers.Serializer):
    """What an agent beside a printer has seen of it."""

    state = serializers.ChoiceField([(s.value, s.label) for s in State if s != State.OUTOFORDER])
    at = Moment(required=False, help_text="When it was seen; now, where it is left out.")
    file = Text(max_length=1000, required=False, allow_blank=True, default="")
    progress = Number(min_value=0, max_value=100, required=False, allow_null=True, default=None)
    ends_at = Moment(required=False, allow_null=True, default=None)
    temperatures = serializers.DictField(child=TemperatureSerializer(), required=False, default=dict)
    message = Text(max_length=1000, required=False, allow_blank=True, default="")

    def validate_temperatures(self, given: dict[str, Any]) -> dict[str, Any]:
        if len(given) > 20 or not all(PART.fullmatch(part) for part in given):
            raise refused({"temperatures": ["Name up to 20 parts, such as tool0, bed and chamber."]})
        return {part: {"actual": one.get("actual"), "target": one.get("target")} for part, one in given.items()}

    def seen(self) -> Seen:
        given = {name: value for name, value in self.validated_data.items() if name != "at"}
        return Seen(**given | {"state": State(given["state"])}, answered=given["state"] != State.UNREACHABLE)


class KeptSerializer(serializers.Serializer):
    """The same answer to the same report, however often it comes."""

    printer = serializers.IntegerField()
    kept_at = serializers.DateTimeField()
    repeated = serializers.BooleanField(help_text="Whether it was kept before.")
