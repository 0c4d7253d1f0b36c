from typing import Any

from django import forms
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group

from core.sides import sending
from core.sides.deciding import BUCKETS
from core.sides.models import Side
from core.sides.reading import name_of


class PercentForm(forms.Form):
    """A percentage whose effect somebody wants to see before it is chosen."""

    percent = forms.IntegerField(
        label="Percentage of everybody",
        min_value=0,
        max_value=BUCKETS,
        help_text="Nobody who is over goes back when the number grows.",
        widget=forms.NumberInput(attrs={"class": "in", "inputmode": "numeric"}),
    )


class SendForm(forms.Form):
    """Sends a percentage, a group or a user, or everybody back: `what` says which field counts."""

    WHO = {"percent": "percent", "group": "group", "user": "user", "unchoose": "user", "back": None}

    what = forms.ChoiceField(choices=[(what, what) for what in WHO])
    percent = forms.IntegerField(min_value=0, max_value=BUCKETS, required=False)
    group = forms.ModelChoiceField(Group.objects.all(), required=False)
    user = forms.ModelChoiceField(get_user_model().objects.all(), required=False)
    side = forms.ChoiceField(choices=Side.choices, required=False)
    reason = forms.CharField(max_length=200, required=False)

    def clean(self) -> dict[str, Any]:
        who = self.WHO.get(self.cleaned_data.get("what", ""))
        if who and self.cleaned_data.get(who) is None and not self.has_error(who):
            self.add_error(None, f"Nobody is sent: choose a {who if who != 'percent' else 'percentage'}.")
        return self.cleaned_data

    @property
    def wrong(self) -> list[str]:
        """What is wrong, as sentences."""
        return [str(error) for errors in self.errors.values() for error in errors]

    def send(self, *, by: str) -> str:
        """Do it, and say in a sentence what is so now."""
        data, side = self.cleaned_data, Side(self.cleaned_data["side"] or Side.NEW)
        match data["what"]:
            case "percent":
                sending.send_percentage(data["percent"], by=by)
                return f"{data['percent']} % of everybody are on the new side."
            case "group":
                sending.send_group(data["group"], side, by=by, reason=data["reason"])
                return f"The group {data['group']} is on the {side} side."
            case "user":
                sending.send_user(data["user"], side, by=by, reason=data["reason"])
                return f"{name_of(data['user'])} is on the {side} side."
            case "unchoose":
                sending.let_percentage_decide(data["user"])
                return f"Groups and the percentage decide for {name_of(data['user'])}."
        sending.send_everybody_back(by=by)
        return "Everybody is on the old side."
