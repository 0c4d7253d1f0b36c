from datetime import UTC, datetime, timedelta
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils import timezone

from core import times
from monitoring.maintenance.models import Entry, Task

MOMENT = "%Y-%m-%dT%H:%M"
INTERVALS = ("every_hours", "every_days", "every_prints")
MOST = 1_000_000


def is_possible(moment: datetime) -> None:
    if not times.FIRST <= moment < times.LAST:
        raise ValidationError(times.NOWHERE)


class Moment(forms.DateTimeField):
    """By the reader's clock, which is on the form. In the hour that comes twice it is taken for the first time."""

    default_validators = [is_possible]
    widget = forms.DateTimeInput(attrs={"type": "datetime-local"}, format=MOMENT)

    def __init__(self, **options: Any) -> None:
        super().__init__(**options | {"input_formats": [MOMENT]})

    def to_python(self, value: Any) -> datetime | None:
        zone = timezone.get_current_timezone()
        with timezone.override(UTC):  # Which has every hour once.
            clock = super().to_python(value)
        return clock and clock.replace(tzinfo=zone)


class EntryForm(forms.ModelForm):
    """Work that was done: planned work, or anything else in words."""

    tasks = forms.ModelMultipleChoiceField(
        label="Planned work that this was", queryset=Task.objects.none(), required=False,
        widget=forms.CheckboxSelectMultiple,
    )  # fmt: skip
    what = forms.CharField(label="What", max_length=500, required=False)
    done_at = Moment(label="When")

    class Meta:
        model = Entry
        fields = ["what", "done_at", "parts", "cost"]
        widgets = {"cost": forms.NumberInput(attrs={"min": 0, "step": "0.01"})}
        help_texts = {"cost": "A number, in the money you count in."}

    field_order = ["tasks", "what", "done_at", "parts", "cost"]

    def __init__(self, *args: Any, tasks: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["tasks"].queryset = tasks
        if not tasks:
            del self.fields["tasks"]
        self.fields["what"].help_text = (
            "In your words." if not tasks else "In your words, or empty for the planned work."
        )

    def clean_done_at(self) -> Any:
        moment = self.cleaned_data["done_at"]
        if moment > timezone.now() + timedelta(minutes=1):
            raise ValidationError("That is still to come; say when it was done.")
        return moment

    def clean_cost(self) -> Any:
        cost = self.cleaned_data["cost"]
        if cost is not None and cost < 0:
            raise ValidationError("A cost is 0 or more.")
        return cost

    def clean(self) -> Any:
        cleaned = super().clean()
        done = list(self.cleaned_data.get("tasks") or [])
        if not self.cleaned_data.get("what") and not done and "what" not in self.errors:
            self.add_error("what", "Say what was done.")
        self.cleaned_data["what"] = self.cleaned_data.get("what") or ", ".join(task.what for task in done)[:500]
        return cleaned


class TaskForm(forms.ModelForm):
    """Work that comes back."""

    also = forms.BooleanField(required=False)

    class Meta:
        model = Task
        fields = ["what", *INTERVALS, "done_at"]
        widgets = {name: forms.NumberInput(attrs={"min": 1, "max": MOST}) for name in INTERVALS}
        field_classes = {"done_at": Moment}
        labels = {"done_at": "Last done"}
        help_texts = {"done_at": "It is counted from here on.", "every_prints": "Whichever is first makes it due."}

    def __init__(self, *args: Any, model: str = "", alike: int = 0, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if alike:
            self.fields["also"].label = f"Also for {alike} more of model {model} that you may manage"
        else:
            del self.fields["also"]

    def clean(self) -> Any:
        cleaned = super().clean()
        for name in INTERVALS:
            if (number := self.cleaned_data.get(name)) is not None and not 0 < number <= MOST:
                self.add_error(name, f"Give a number from 1 to {MOST:,}, or leave it empty.")
        if not any(self.cleaned_data.get(name) for name in INTERVALS) and not set(INTERVALS) & self.errors.keys():
            self.add_error("every_hours", "Say after how many hours, days or prints it is due.")
        return cleaned
