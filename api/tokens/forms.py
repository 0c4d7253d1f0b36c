from datetime import timedelta
from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from api.tokens import making

MOST = 50
"""Tokens of one user."""


class TokenForm(forms.Form):
    name = forms.CharField(
        label="What is it for", max_length=80, help_text="So that you know later which one to revoke.",
        widget=forms.TextInput(attrs={"placeholder": "For example: Grafana", "autocomplete": "off"}),
    )  # fmt: skip
    may = forms.ChoiceField(
        label="May", choices=[("read", "Read only"), ("write", "Read and write")], initial="read",
        widget=forms.RadioSelect,
    )  # fmt: skip
    days = forms.TypedChoiceField(
        label="Ends in", choices=[("90", "90 days"), ("7", "7 days"), ("365", "1 year")], coerce=int, initial="90"
    )

    def __init__(self, *args: Any, user: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.user = user

    def clean(self) -> dict[str, Any]:
        if making.of(self.user).count() >= MOST:
            raise ValidationError(f"You have {MOST} tokens. Revoke one that is not used any more.")
        return super().clean() or self.cleaned_data

    def make(self) -> str | None:
        """The text of a new token; None where one has this name, which the form says then."""
        given = self.cleaned_data
        try:
            _, text = making.make(
                self.user, given["name"], writes=given["may"] == "write", lasts=timedelta(days=given["days"])
            )
        except making.NameTaken:
            self.add_error("name", "You have a token of this name. Revoke it first, or choose another name.")
            return None
        return text
