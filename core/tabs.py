"""Two people, or two tabs, with the same form: nobody undoes what another has saved meanwhile without knowing.

A form says what was there when it was opened. A field that somebody else has changed since, and this form has not,
keeps the other's value; one that both have changed is asked about.
"""

import hashlib
import json
from typing import Any

from django.db.models import QuerySet


class MeanwhileMixin:
    """For a form that edits a row: write `<input type="hidden" name="was" value="{{ form.was }}">` into its page."""

    write_only: tuple[str, ...] = ()
    """Fields that nobody is shown: the last who writes them wins."""

    @property
    def was(self) -> str:
        """What is there now, by field, as hashes."""
        return json.dumps({name: mark(self.there(name)) for name in self.fields if name not in self.write_only})

    def there(self, name: str) -> Any:
        return self.get_initial_for_field(self.fields[name], name)

    def clean(self) -> Any:
        cleaned = super().clean() or self.cleaned_data
        for name, was in self.opened_with().items():
            if name not in cleaned or name in self.write_only or mark(self.there(name)) == was:
                continue
            if mark(cleaned[name]) == was:
                cleaned[name] = self.fields[name].clean(self.fields[name].prepare_value(self.there(name)))
            elif mark(cleaned[name]) != mark(self.there(name)):
                self.add_error(
                    name,
                    f"Somebody has changed this meanwhile, to {shown(self.there(name))}. Save again to replace that.",
                )
        return cleaned

    def opened_with(self) -> dict[str, str]:
        """Empty where the form comes without, such as from a page of the other side."""
        try:
            was = json.loads(self.data.get("was", ""))
        except ValueError:
            return {}
        return was if isinstance(was, dict) else {}


def mark(value: Any) -> str:
    """The same for a value from the database and for one that was typed: browsers end lines otherwise."""
    if isinstance(value, QuerySet | list | tuple):
        value = sorted(str(getattr(one, "pk", one)) for one in value)
    text = json.dumps(value) if isinstance(value, list) else " ".join(str("" if value is None else value).split())
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def shown(value: Any) -> str:
    if isinstance(value, QuerySet | list | tuple):
        value = ", ".join(map(str, value))
    return f"“{value}”" if value else "nothing"
