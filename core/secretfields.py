"""Keys and passwords in forms: written, and never shown; an empty field keeps the one that is there.

With another address it has to be typed again: else whoever may edit a printer could have its key sent to them.
"""

from typing import Any

from django import forms

KEPT = "Leave it empty to keep the one that is there. It is shown nowhere."


class SecretFieldsMixin:
    """For a ModelForm whose fields in `secret_fields` hold secrets. Not even the browser that edits them gets them."""

    secret_fields: tuple[str, ...] = ("api_key",)
    address_field = "ip_address"
    """Where they are sent."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.kept = {name: getattr(self.instance, name) for name in self.secret_fields if name in self.fields}
        for name, kept in self.kept.items():
            field = self.fields[name]
            attrs = {"autocomplete": "new-password", "class": field.widget.attrs.get("class", "in")}
            # A password's field shows no value that it is given, also not the one that was typed before an error.
            field.widget = forms.PasswordInput(attrs=attrs)
            if kept:
                self.initial.pop(name, None)
                field.required, field.help_text = False, KEPT

    def clean(self) -> Any:
        cleaned = super().clean()
        for name, kept in self.kept.items():
            if not self.has_error(name) and not self.cleaned_data.get(name):
                self.cleaned_data[name] = kept
                was = self.initial.get(self.address_field)
                if kept and self.cleaned_data.get(self.address_field, was) != was:
                    label = self.fields[name].label
                    self.add_error(name, f"The {label} was for {was}. Type the one of the new address.")
        return cleaned

    def _get_validation_exclusions(self) -> set[str]:
        # Django leaves an empty optional field out, and with it the check that it is unique together with others.
        return super()._get_validation_exclusions() - set(self.kept)
