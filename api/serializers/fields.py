import re
from datetime import datetime
from typing import Any

from django.core.validators import RegexValidator
from rest_framework import serializers

from api.problems import refused
from core import times

RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)")
LARGEST_KEY = 2**31 - 1
FILLED = RegexValidator(r"[^\s\x1c-\x1f\x85]")
"""Python trims more than what `\\s` means in ECMAScript, whose patterns a schema has."""


class Text(serializers.CharField):
    """Where it may not be blank, the schema says so of more than its length: blanks alone are trimmed to nothing."""

    default_error_messages = {"invalid": "This is no text."}

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        if self.trim_whitespace and not self.allow_blank:
            self.validators.append(FILLED)

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        return str(super().to_internal_value(data))


class Secret(Text):
    """A key or password: as it is typed, and in no answer."""

    def __init__(self, **options: Any) -> None:
        super().__init__(write_only=True, required=False, allow_blank=True, trim_whitespace=False, **options)


class Integer(serializers.IntegerField):
    """In addresses numbers are texts: `from_text`."""

    def __init__(self, *, from_text: bool = False, **options: Any) -> None:
        self.from_text = from_text
        super().__init__(**options)

    def to_internal_value(self, data: Any) -> int:
        kinds = str if self.from_text else (int, float)
        if isinstance(data, bool) or not isinstance(data, kinds):
            self.fail("invalid")
        return int(super().to_internal_value(data))


class Key(Integer):
    """Of a row."""

    def __init__(self, **options: Any) -> None:
        super().__init__(min_value=1, max_value=LARGEST_KEY, **options)


class Number(serializers.FloatField):
    def to_internal_value(self, data: Any) -> float:
        if isinstance(data, bool) or not isinstance(data, (int, float)):
            self.fail("invalid")
        return float(super().to_internal_value(data))


class Flag(serializers.BooleanField):
    def to_internal_value(self, data: Any) -> bool:
        if not isinstance(data, bool):
            self.fail("invalid", input=data)
        return data


class Moment(serializers.DateTimeField):
    """With its zone, as RFC 3339 writes it. Raises Problem 409 where nothing can be then."""

    def to_internal_value(self, value: Any) -> Any:
        if not isinstance(value, str) or not RFC3339.fullmatch(value):
            self.fail("invalid", format="2026-03-05T16:12:00Z")
        moment: datetime = super().to_internal_value(value)
        if not times.FIRST <= moment < times.LAST:
            raise refused({self.field_name: [times.NOWHERE]})
        return moment
