from typing import Any

from django.core.validators import RegexValidator
from django.utils import timezone
from rest_framework import serializers

from api.problems import refused
from api.serializers.fields import Moment, Text
from monitoring.maintenance import due
from monitoring.maintenance.models import Task


class TaskSerializer(serializers.Serializer):
    """Work that comes back: after hours printed, days or prints, whichever is first."""

    id = serializers.IntegerField(source="pk")
    printer = serializers.IntegerField(source="printer_id")
    what = serializers.CharField()
    every_hours = serializers.IntegerField(allow_null=True)
    every_days = serializers.IntegerField(allow_null=True)
    every_prints = serializers.IntegerField(allow_null=True)
    done_at = serializers.DateTimeField(help_text="When it was last done, or planned.")
    hours = serializers.SerializerMethodField(help_text="Printed since then.")
    prints = serializers.IntegerField(help_text="Ended since then.")
    overdue = serializers.SerializerMethodField(help_text="By how much, in a sentence; null: it is not due yet.")

    def get_hours(self, task: Task) -> float:
        return round(task.seconds / 3600, 1)

    def get_overdue(self, task: Task) -> str | None:
        return due.sentence(task, timezone.now()) or None


class DoneSerializer(serializers.Serializer):
    """The work, as the log has it."""

    what = Text(max_length=500, required=False, allow_blank=True, help_text="The name of the work, if left out.")
    done_at = Moment(required=False, help_text="Now, if left out.")
    parts = Text(max_length=500, required=False, allow_blank=True)
    cost = Text(required=False, allow_null=True, validators=[RegexValidator(r"^[0-9]{1,8}(\.[0-9]{1,2})?$")])

    def validate(self, given: dict[str, Any]) -> dict[str, Any]:
        now = timezone.now()
        if given.get("done_at") and given["done_at"] > now:
            raise refused({"done_at": ["That is still to come; say when it was done."]})
        return {"what": "", "done_at": now, "parts": "", "cost": None} | given


class EntrySerializer(serializers.Serializer):
    """What somebody has done to a machine."""

    id = serializers.IntegerField(source="pk")
    printer = serializers.IntegerField(source="printer_id")
    task = serializers.IntegerField(source="task_id", allow_null=True, help_text="null: planned no more, or never was.")
    what = serializers.CharField()
    done_at = serializers.DateTimeField()
    by = serializers.CharField(source="by_name")
    parts = serializers.CharField()
    cost = serializers.DecimalField(max_digits=10, decimal_places=2, allow_null=True)
