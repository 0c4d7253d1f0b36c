from datetime import date
from typing import Any

from django import forms
from django.core.validators import MaxValueValidator, MinValueValidator

from monitoring.history.export import HEADS

BETWEEN = [MinValueValidator(date(2000, 1, 1)), MaxValueValidator(date(2100, 1, 1))]


class Day(forms.DateField):
    default_validators = BETWEEN
    widget = forms.DateInput({"type": "date"}, format="%Y-%m-%d")


class FileForm(forms.Form):
    """Which days of what a file has."""

    what = forms.ChoiceField(choices=[(what, what.capitalize()) for what in HEADS])
    first = Day(label="From")
    until = Day(label="Until")

    def clean(self) -> dict[str, Any]:
        given = super().clean() or self.cleaned_data
        first, until = given.get("first"), given.get("until")
        if first and until and first > until:
            self.add_error("until", f"{until} is before {first}; give a later day.")
        return given
