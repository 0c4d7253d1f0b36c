"""Texts without secrets: what is logged, kept and sent of an error passes here first.

Two nets: the values that a request has brought along are known, and are replaced wherever they stand; what else looks
like a secret is recognised by its name, its place or its shape.
"""

import re
from collections.abc import Iterable

HIDDEN = "[hidden]"
LONGEST = 100_000
"""What is longer is cut: it is written for nobody, and might be made to take long."""
SHORTEST = 4
"""Shorter values stand in every text."""

_NAMES = (
    r"(?:api[-_ ]?key|access[-_ ]?key|token|secret|passw(?:or)?d|authorization|cookie|session[-_ ]?id|signature|"
    r"credential|csrf)[\w-]{0,40}|\bkey"
)
_VALUES = "DETAIL|CONTEXT|QUERY|STATEMENT"
_NO_VALUES = r"HINT:|LINE \d+:|The above exception was|During handling of the above"
_PATTERNS = [
    # PostgreSQL repeats values of the row in what follows its first line, over as many lines as these have.
    (re.compile(rf"(?ms)^([ \t]*(?:{_VALUES}):).*?(?=\n[ \t]*(?:{_NO_VALUES})|\Z)"), r"\1 " + HIDDEN),
    (re.compile(rf"(?is)(failing row contains ).*?(?=\n[ \t]*(?:{_NO_VALUES})|\Z)"), r"\1" + HIDDEN),
    (re.compile(r"(?i)\b((?:proxy-)?authorization|(?:set-)?cookie)(['\"]?\s*[:=]\s*)[^\n]*"), r"\1\2" + HIDDEN),
    (re.compile(r"(?i)\b(bearer|basic|digest)\s+[\w+/=.~-]{4,}[^\n]*"), r"\1 " + HIDDEN),
    (re.compile(r"//[^/\s@'\"]+@"), f"//{HIDDEN}@"),
    (re.compile(r"(?<=[\w/%.)-])\?[^\s'\"<>]+"), f"?{HIDDEN}"),
    (re.compile(rf"(?i)({_NAMES})(['\"]?\s*[:=]\s*)(?:'[^'\n]*'|\"[^\"\n]*\"|[^\s'\",;&)}}\]]+)"), r"\1\2" + HIDDEN),
    # Random characters: of keys in hexadecimal digits, and of those in letters of both cases and digits.
    (re.compile(r"\b(?=[A-Za-z]*\d)(?=\d*[A-Za-z])[A-Za-z0-9]{20,}\b"), HIDDEN),
    (
        re.compile(r"(?<![\w-])(?=[\w-]*[A-Z])(?=[\w-]*[a-z])(?=[\w-]*\d)[\w-]{20,}(?![\w-])"),
        HIDDEN,
    ),
]


def scrub(text: str, known: Iterable[str] = ()) -> str:
    """`text` without what looks like a secret, and without the values in `known`."""
    text = text if len(text) <= LONGEST else f"{text[:LONGEST]} …"
    # The longest first: one may be a part of another.
    for value in sorted({value for value in known if len(value) >= SHORTEST}, key=len, reverse=True):
        text = text.replace(value, HIDDEN)
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    return text
