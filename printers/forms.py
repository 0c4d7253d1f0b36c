"""The forms of printers. Keys and passwords are written and never shown, whatever else is wrong in the form."""

from collections.abc import Sequence
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.core.validators import ProhibitNullCharactersValidator
from django.db.models.functions import Lower

from core.tabs import MeanwhileMixin
from core.validators import validate_printer_address
from printers.addresses import as_written, same_address
from printers.clients.base import File
from printers.fleet.models import Machine, PrinterGroup
from printers.models import Printer
from printers.rights import groups_for

PLAIN = {"autocomplete": "off", "spellcheck": "false", "autocapitalize": "none"}
SECRET = {"autocomplete": "new-password", "spellcheck": "false"}
KEPT = "Leave it empty to keep the one that is there. It is shown nowhere."
NO_CAMERA = "This is no address of a picture: enter a URL with a host, and no user or password before it."
BULK = ("pause", "resume", "cancel", "out", "in", "delete")


def text(label: str, limit: int, help_text: str = "", **options: Any) -> forms.CharField:
    return forms.CharField(label=label, max_length=limit, help_text=help_text, required=False, **options)


def secret(label: str, limit: int, help_text: str = "") -> forms.CharField:
    """As it is typed: a blank at the end may belong to it."""
    widget = forms.PasswordInput(attrs=SECRET)
    return forms.CharField(
        label=label, max_length=limit, help_text=help_text, required=False, strip=False, widget=widget
    )


class AddressField(forms.CharField):
    """An address as in a browser; a name of a host alone is one, too."""

    default_validators = [validate_printer_address]

    def __init__(self, **options: Any) -> None:
        widget = forms.TextInput(attrs=PLAIN | {"inputmode": "url", "placeholder": "10.20.2.14 or octopi.local"})
        super().__init__(label="Address", max_length=255, widget=widget, **options)

    def to_python(self, value: Any) -> str:
        return as_written(super().to_python(value))


class ServerForm(forms.Form):
    """Where a printer's server is, and what opens it."""

    address = AddressField(
        help_text="As in your browser when you open the printer’s own page. "
        "Which software answers is found out for you."
    )
    key = secret("Key", 128, "From the printer’s settings, up to 128 characters. It can be replaced later, never read.")
    user = text("User", 100, widget=forms.TextInput(attrs=PLAIN))
    password = secret("Password", 200)

    def clean_key(self) -> str:
        return str(self.cleaned_data["key"]).strip()


class TagsField(forms.CharField):
    """A list of words, separated by commas."""

    def __init__(self, **options: Any) -> None:
        super().__init__(required=False, **options)

    def prepare_value(self, value: Any) -> Any:
        return ", ".join(value) if isinstance(value, list) else value

    def to_python(self, value: Any) -> list[str]:
        words = value if isinstance(value, list) else super().to_python(value).split(",")
        return list(dict.fromkeys(word.strip() for word in words if word.strip()))

    def validate(self, value: list[str]) -> None:
        for tag in value:
            ProhibitNullCharactersValidator()(tag)
        if long := next((tag for tag in value if len(tag) > 50), None):
            raise ValidationError(f"“{long[:20]}…” has {len(long)} characters; a tag has 50 at most.")


class MachineForm(forms.ModelForm):
    """What people call a printer."""

    tags = TagsField(help_text="Separated by commas. They filter the list.")
    groups = forms.ModelMultipleChoiceField(
        label="Groups it belongs to", queryset=PrinterGroup.objects.none(), required=False,
        widget=forms.CheckboxSelectMultiple, help_text="Whoever has a role in a group may see or operate its printers.",
    )  # fmt: skip

    class Meta:
        model = Machine
        fields = ["name", "place", "model", "tags", "camera", "notes"]
        widgets = {
            "camera": forms.TextInput(attrs=PLAIN | {"inputmode": "url"}),
            "notes": forms.Textarea(attrs={"rows": 3}),
            "place": forms.TextInput(attrs={"list": "places"}),
        }
        help_texts = {"name": "", "place": "", "model": "", "camera": "", "notes": ""}
        # Not repeated: people write passwords into it.
        error_messages = {"camera": {"invalid": NO_CAMERA}}

    def __init__(self, *args: Any, user: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.reader = user
        self.fields["groups"].queryset = groups_for(user, "manage")  # Whose printers one may manage.
        if self.instance.pk:
            self.fields["groups"].initial = PrinterGroup.objects.filter(memberships__printer=self.instance.pk)
        if not self.fields["groups"].queryset:
            del self.fields["groups"]

    def clean_name(self) -> str:
        name = str(self.cleaned_data["name"]).strip()
        others = Printer.objects.for_user(self.reader, "view").exclude(pk=self.instance.pk).whole()
        same = others.alias(lower=Lower("machine__name")).filter(lower=name.lower()).first() if name else None
        if same:
            where = f"{same.known.place} has a {same.name} already" if same.known.place else f"There is a {same.name}"
            raise ValidationError(f"{where}. Give this one a name of its own.")
        return name


class EditForm(MeanwhileMixin, MachineForm):
    """All of a printer that people decide."""

    write_only = ("key", "password")

    address = AddressField()
    key = secret("Key", 128)
    password = secret("Password", 200)

    class Meta(MachineForm.Meta):
        fields = ["name", "kind", "place", "model", "tags", "user", "camera", "notes"]
        widgets = MachineForm.Meta.widgets | {"user": forms.TextInput(attrs=PLAIN)}
        help_texts = MachineForm.Meta.help_texts | {"user": "For PrusaLink, as the password is."}

    field_order = ["name", "place", "kind", "address", "key", "user", "password", "model", "tags", "camera", "notes"]

    def __init__(self, *args: Any, printer: Printer, **kwargs: Any) -> None:
        self.printer = printer
        super().__init__(*args, instance=printer.known, initial={"address": printer.ip_address}, **kwargs)
        for name, kept in (("key", printer.api_key), ("password", printer.known.password)):
            if kept:
                self.fields[name].help_text = KEPT

    def clean(self) -> dict[str, Any]:
        """An empty key or password is the one that was there; but for another host, it has to be typed again."""
        cleaned = super().clean() or self.cleaned_data
        cleaned["key"] = str(cleaned.get("key", "")).strip()
        moved = "address" in cleaned and not same_address(cleaned["address"], self.printer.ip_address)
        for name, kept in (("key", self.printer.api_key), ("password", self.printer.known.password)):
            if kept and not cleaned.get(name) and moved:
                self.add_error(name, f"The {name} was for {self.printer.address}. Type the one of the new address.")
            cleaned[name] = cleaned.get(name) or kept
        return cleaned


class StartForm(forms.Form):
    """Which file of the machine's is printed."""

    file = forms.ChoiceField(widget=forms.RadioSelect)

    def __init__(self, *args: Any, files: Sequence[File], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["file"].choices = [(file.path, file.name) for file in files]


class OutOfOrderForm(forms.Form):
    why = forms.CharField(label="Why", max_length=500, help_text="Whoever looks at the printer reads it.")


class SelectionForm(forms.Form):
    """What is done to the printers that were ticked."""

    do = forms.ChoiceField(choices=[(word, word) for word in BULK])
    printer = forms.TypedMultipleChoiceField(coerce=int)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        given = self.data.getlist("printer") if self.data else []
        # Any number may be given; who may do it with which is decided where it is done.
        self.fields["printer"].choices = [
            (key, key) for key in given if key.isascii() and key.isdecimal() and len(key) < 10
        ]


class UploadForm(forms.Form):
    file = forms.FileField(
        label="File", help_text="CSV or JSON, up to 5,000 printers.",
        widget=forms.FileInput(attrs={"accept": ".csv,.json,text/csv,application/json"}),
    )  # fmt: skip
