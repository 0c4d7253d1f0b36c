from django import forms

from core.secretfields import SecretFieldsMixin
from core.tabs import MeanwhileMixin
from portal.models import Printer


class PrinterForm(SecretFieldsMixin, MeanwhileMixin, forms.ModelForm):
    """Address and key."""

    write_only = ("api_key",)

    class Meta:
        model = Printer
        fields = ["ip_address", "api_key"]
        labels = {"ip_address": "Address"}
        widgets = {"ip_address": forms.TextInput(attrs={"class": "in", "autocomplete": "off", "spellcheck": "false"})}
