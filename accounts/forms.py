import zoneinfo

from allauth.account.models import EmailAddress
from django import forms

from accounts.models import Profile
from accounts.people.models import Density, Person, Theme


class ProfileForm(forms.ModelForm):
    """Who somebody is. The address is kept by allauth, and counts once the link sent to it was opened."""

    email = forms.EmailField(
        label="E-mail", max_length=254, required=False, widget=forms.EmailInput(attrs={"autocomplete": "email"})
    )
    shares_printers = forms.BooleanField(required=False, label="Members of my organization may see my printers")

    class Meta:
        model = Profile
        fields = ["name", "organization", "province"]
        widgets = {
            "name": forms.TextInput(attrs={"autocomplete": "name"}),
            "organization": forms.TextInput(attrs={"autocomplete": "organization"}),
        }
        help_texts = {
            "organization": "Its other members see your printers if you let them, once staff have confirmed it."
        }

    def __init__(self, *args, person: Person, address: EmailAddress | None, **kwargs) -> None:  # type: ignore[no-untyped-def]
        super().__init__(*args, **kwargs)
        self.address = address
        self.fields["email"].initial = address.email if address else ""
        self.fields["email"].help_text = (
            f"{'Confirmed' if address and address.verified else 'Not confirmed yet'}. A new address counts once you "
            "open the link sent to it."
        )
        self.fields["shares_printers"].initial = person.shares_printers
        self.fields["shares_printers"].help_text = standing_of(self.instance, person)

    @property
    def new_address(self) -> str:
        """The address to confirm; empty where it is the present one."""
        given: str = self.cleaned_data["email"]
        return "" if self.address and given.lower() == self.address.email.lower() else given


def standing_of(profile: Profile, person: Person) -> str:
    if not profile.organization:
        return "You have no organization yet."
    if profile.organization == person.confirmed_organization:
        return f"Staff have confirmed that you belong to {profile.organization}. Members see them, and change nothing."
    return f"Nobody sees them before staff have confirmed that you belong to {profile.organization}."


class LookForm(forms.ModelForm):
    theme = forms.ChoiceField(choices=Theme, widget=forms.RadioSelect, required=False)
    density = forms.ChoiceField(choices=Density, widget=forms.RadioSelect, required=False)
    time_zone = forms.ChoiceField(
        choices=[(name, name) for name in sorted(zoneinfo.available_timezones())], label="Time zone"
    )

    class Meta:
        model = Person
        fields = ["theme", "density", "time_zone"]
