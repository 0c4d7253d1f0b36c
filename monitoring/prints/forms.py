from collections.abc import Mapping
from typing import Any

from django import forms

from printers.forms import text

REASONS = (
    "Came loose",
    "Strings everywhere",
    "Layers shifted",
    "Ran out of filament",
    "Nozzle blocked",
    "Wrong file",
    "Something else",
)
MOST_PARTS = 100_000
LOOK_FIRST = "Look at the plate first, and say that it is clear: the next print may start then."


class BadForm(forms.Form):
    """Why a print is bad."""

    reason = forms.ChoiceField(
        label="What went wrong", choices=[(reason, reason) for reason in REASONS], widget=forms.RadioSelect,
        error_messages={"required": "Choose what went wrong."},
    )  # fmt: skip
    count = forms.IntegerField(
        label="Bad parts", required=False, min_value=0, max_value=MOST_PARTS,
        widget=forms.NumberInput(attrs={"inputmode": "numeric"}),
    )  # fmt: skip
    note = text("Anything to add", 200)
    clear = forms.BooleanField(
        label="The plate is clear; the next print may start", error_messages={"required": LOOK_FIRST}
    )

    @property
    def why(self) -> str:
        """Reasons are counted by what stands before the colon."""
        reason, note = self.cleaned_data["reason"], self.cleaned_data["note"]
        return f"{reason}: {note}" if note else reason


class KeysForm(forms.Form):
    """Which prints are signed off, or those of which printers. Who may do it is decided where it is done."""

    print = forms.TypedMultipleChoiceField(coerce=int, required=False)
    printer = forms.TypedMultipleChoiceField(coerce=int, required=False)

    def __init__(self, data: Any) -> None:
        super().__init__(data)
        for name in ("print", "printer"):
            given = data.getlist(name)
            self.fields[name].choices = [(key, key) for key in given if key.isascii() and key.isdecimal()]

    @classmethod
    def read(cls, data: Any) -> dict[str, list[int]]:
        """Numbers that a key may have; whatever else was sent is left out."""
        form = cls(data)
        form.is_valid()
        return {name: [key for key in form.cleaned_data.get(name, []) if key < 2**31] for name in form.fields}


class Chosen(forms.Form):
    """The address of the list. What is wrong in it is left out."""

    SHOW = {"": "All", "running": "Printing now", "waiting": "Waiting for you", "good": "Good", "bad": "Bad"}

    q = forms.CharField(required=False, max_length=200)
    printer = forms.IntegerField(required=False, min_value=1, max_value=2**31 - 1)
    file = forms.CharField(required=False, max_length=1000, strip=False)
    why = forms.CharField(required=False, max_length=1000)
    show = forms.ChoiceField(required=False, choices=list(SHOW.items()))
    page = forms.IntegerField(required=False, min_value=1, max_value=1_000_000)

    @classmethod
    def read(cls, address: Mapping[str, Any]) -> dict[str, Any]:
        form = cls(address)
        form.is_valid()
        return {name: form.cleaned_data.get(name) or "" for name in form.fields}
