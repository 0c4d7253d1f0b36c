"""Rules and channels as people fill them in. An address of a channel is written, and never shown."""

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone

from core.secretfields import KEPT
from monitoring.alerts import channels
from monitoring.alerts.models import CHOICES, Channel, Rule
from printers.fleet.models import PrinterGroup
from printers.models import Printer
from printers.states import State

USUAL = [State.FAILED, State.ERROR, State.ATTENTION, State.REFUSED, State.UNREACHABLE]
"""What a new rule tells of, until somebody chooses."""
LONGEST = 7 * 24 * 60
MOST_RULES, MOST_CHANNELS = 100, 20
"""Of one person: each event is put to each rule, each message goes to each channel, and a trial starts a process for
each. `saving` counts channels.
"""
CLOCK = {"type": "time"}


class RuleForm(forms.ModelForm):
    states = forms.MultipleChoiceField(
        label="Tell me when a printer is", choices=CHOICES, widget=forms.CheckboxSelectMultiple
    )
    minutes = forms.IntegerField(
        label="For how long", min_value=0, max_value=LONGEST, initial=0, required=False,
        help_text="In minutes. What is over sooner is not told; with 0 you are told at once.",
    )  # fmt: skip
    printer = forms.ModelChoiceField(queryset=Printer.objects.none(), required=False, widget=forms.HiddenInput)
    group = forms.ModelChoiceField(queryset=PrinterGroup.objects.none(), required=False, empty_label="Any")
    mail = forms.BooleanField(required=False)
    channels = forms.ModelMultipleChoiceField(
        label="And to", queryset=Channel.objects.none(), required=False, widget=forms.CheckboxSelectMultiple
    )

    class Meta:
        model = Rule
        fields = [
            "states",
            "minutes",
            "printer",
            "place",
            "tag",
            "group",
            "quiet_from",
            "quiet_until",
            "channels",
            "paused",
        ]
        widgets = {
            "place": forms.TextInput(attrs={"list": "places"}),
            "quiet_from": forms.TimeInput(attrs=CLOCK, format="%H:%M"),
            "quiet_until": forms.TimeInput(attrs=CLOCK, format="%H:%M"),
        }
        labels = {"quiet_from": "Quiet from", "quiet_until": "Quiet until", "paused": "Paused: this rule tells nothing"}
        help_texts = {"quiet_until": "By your clock. What is still so at the end is told then."}

    def __init__(self, *args: Any, user: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.user, self.address, self.was_paused = user, channels.mail_address(user), self.instance.paused
        visible = Printer.objects.for_user(user, "view")
        self.fields["printer"].queryset = visible.select_related("machine")
        self.fields["group"].queryset = PrinterGroup.objects.filter(memberships__printer__in=visible).distinct()
        mine = Channel.objects.filter(user=user)
        self.fields["channels"].queryset = mine.filter(kind=Channel.Kind.SERVICE)
        self.describe_mail(mine)
        if not self.instance.pk:
            self.initial["states"] = [state.value for state in USUAL]
            del self.fields["paused"]
        if not self.fields["channels"].queryset:
            del self.fields["channels"]

    def describe_mail(self, mine: Any) -> None:
        field = self.fields["mail"]
        if self.address:
            field.label, new = f"By mail to {self.address}", not self.instance.pk
            field.initial = new or mine.filter(kind=Channel.Kind.MAIL, rules=self.instance).exists()
        else:
            field.label, field.disabled = "By mail", True
            field.help_text = "You have no confirmed address. Give one on your profile and open the link sent to it."

    def clean_minutes(self) -> int:
        return self.cleaned_data["minutes"] or 0

    def clean(self) -> Any:
        cleaned = super().clean()
        if not self.instance.pk and Rule.objects.filter(user=self.user).count() >= MOST_RULES:
            raise ValidationError(f"You have {MOST_RULES} rules. Delete one that is not needed any more.")
        start, end = self.cleaned_data.get("quiet_from"), self.cleaned_data.get("quiet_until")
        if (start is None) != (end is None) and not {"quiet_from", "quiet_until"} & self.errors.keys():
            self.add_error("quiet_until" if start else "quiet_from", "Quiet hours have a beginning and an end.")
        if start is not None and start == end:
            self.add_error("quiet_until", "It begins and ends at the same time; leave both empty for no quiet hours.")
        if not self.cleaned_data.get("mail") and not self.cleaned_data.get("channels"):
            self.add_error("mail", "Choose where you are told.")
        return cleaned

    @transaction.atomic
    def save(self, commit: bool = True) -> Rule:
        """With the channel of the mail, which is made when it is first wanted.

        A rule that goes on after a pause tells nothing of what began meanwhile. A channel that was deleted meanwhile is
        left out. Raises Rule.DoesNotExist where the rule itself was, or the printer of a new one.
        """
        self.hold()
        self.instance.user = self.user
        if self.was_paused and not self.instance.paused:
            self.instance.since = timezone.now()
        rule = super().save(commit=False)
        rule.save()
        chosen = [channel.pk for channel in self.cleaned_data.get("channels") or []]
        wanted = list(Channel.objects.select_for_update(no_key=True).filter(pk__in=chosen))
        if self.cleaned_data["mail"]:
            wanted.append(self.mail_channel())
        rule.channels.set(wanted)
        return rule

    def hold(self) -> None:
        """What the rule hangs on stays there until it is saved."""
        rule, printers = self.instance, Printer.objects.select_for_update(no_key=True)
        if rule.pk:
            Rule.objects.select_for_update(no_key=True).get(pk=rule.pk)
        elif rule.printer_id and not printers.filter(pk=rule.printer_id).first():
            raise Rule.DoesNotExist

    def mail_channel(self) -> Channel:
        return Channel.objects.get_or_create(user=self.user, kind=Channel.Kind.MAIL)[0]


class ChannelForm(forms.ModelForm):
    address = forms.CharField(
        max_length=1000, required=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password", "spellcheck": "false"}),
        help_text="As Slack, Discord, Teams or Google Chat gave it to you, a webhook of your own, or an address as "
        "Apprise writes it: tgram://…, ntfy://…, gotifys://…. Whoever has it can write there, so it is never shown.",
    )  # fmt: skip

    class Meta:
        model = Channel
        fields = ["name", "address"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.kept = self.instance.address
        self.initial.pop("address", None)
        if self.kept:
            self.fields["address"].help_text = KEPT

    def clean_address(self) -> str:
        address = str(self.cleaned_data["address"]).strip()
        if not address and not self.kept:
            raise ValidationError("Paste the address.")
        if address:
            self.instance.service, problem = channels.service_at(address)
            if not self.instance.service:
                raise ValidationError(problem or "It could not be looked at; try again.")
        return address or self.kept
