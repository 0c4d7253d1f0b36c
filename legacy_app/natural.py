"""Expressions that make different spellings of a natural key equal, for both sides of a lookup."""

from django.db.models import F, Func, TextField, Value
from django.db.models.expressions import Combinable

LETTERS = {"\u064a": "\u06cc", "\u0649": "\u06cc", "\u0643": "\u06a9"}
"""Arabic ya, with and without its dots, and Arabic kaf: to the Persian letters that look the same."""
IGNORED = (
    "\u0640"  # tatweel, which only stretches a word
    "\u200b\u200c\u200d\u2060\ufeff"  # no width at all; ZWNJ and ZWJ among them
    "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"  # directions
    " \t\n\v\f\r\x1c\x1d\x1e\x1f\x85\u1680\u2028\u2029"  # spaces; NFKC has made the other ones plain
)


def persian(expression: str | Combinable) -> Combinable:
    """A Persian text in the form in which it is compared: composed (NFKC), with the Persian ya and kaf, and without
    spaces and characters of no width, since some people type a space, others a ZWNJ or nothing.

    Computed by PostgreSQL, whose database has to be in UTF-8. Null stays null.
    """
    value = F(expression) if isinstance(expression, str) else expression
    composed = Func(value, function="normalize", template="%(function)s(%(expressions)s, NFKC)")
    return Func(
        composed,
        # What has no counterpart is left out.
        Value("".join(LETTERS) + IGNORED),
        Value("".join(LETTERS.values())),
        function="translate",
        output_field=TextField(),
    )
