"""Keys of rows as MySQL and MariaDB write them, and find them again."""

from collections.abc import Sequence

from MySQLdb.constants import FIELD_TYPE

from rehome.errors import visible
from rehome.importing.plan import ImportPlan
from rehome.importing.sources import keys
from rehome.importing.sources.mysql_values import INTEGERS

MOMENT = "IF({0} = 0, {0}, DATE_ADD('1970-01-01 00:00:00', INTERVAL UNIX_TIMESTAMP({0}) SECOND))"
"""A TIMESTAMP in UTC, whatever the session's zone: in that, an hour of each year comes twice."""
TEXT = "CAST({0} AS CHAR CHARACTER SET utf8mb4)"
BYTES = f"IF(CHARSET({{0}}) = 'binary', CONCAT('\\\\x', LOWER(HEX({{0}}))), {TEXT})"
STRINGS = dict.fromkeys(
    (FIELD_TYPE.STRING, FIELD_TYPE.VAR_STRING, FIELD_TYPE.BLOB, FIELD_TYPE.TINY_BLOB, FIELD_TYPE.MEDIUM_BLOB,
     FIELD_TYPE.LONG_BLOB, FIELD_TYPE.VARCHAR), BYTES,
)  # fmt: skip
WRITTEN = STRINGS | {
    FIELD_TYPE.FLOAT: TEXT.format("{0} + 0.0"),
    FIELD_TYPE.BIT: TEXT.format("{0} + 0"),
    FIELD_TYPE.TIMESTAMP: f"CONCAT({MOMENT}, '+00')",
}


def written(plan: ImportPlan, kinds: Sequence[int]) -> list[str]:
    """SQL of each part of the key, of a row that is called `taken`, as text that no other value has."""
    return [WRITTEN.get(kinds[place], TEXT).format(f"rehome_{place}") for place in keys.places(plan)]


def are_wanted(plan: ImportPlan, kinds: Sequence[int]) -> str:
    """Whether a row has one of the keys that are to be read again, byte by byte: a collation takes more for equal.

    Raises Refused for what is no number where the key is one, by which an index finds it.
    """
    numbers = [kinds[place] in INTEGERS for place in keys.places(plan)]
    texts = written(plan, kinds)
    forms = [
        name if number else f"CAST({text} AS BINARY)"
        for name, text, number in zip(keys.names(plan), texts, numbers, strict=True)
    ]

    def literal(n: int, part: str) -> str:
        return integer(plan, part) if numbers[n] else f"x'{part.encode(errors='surrogatepass').hex()}'"

    return keys.are_among(keys.wanted(plan), keys.asked(plan), forms, "", literal)


def integer(plan: ImportPlan, text: str) -> str:
    try:
        return str(int(text))
    except ValueError as error:
        raise keys.refuse(plan, f"'{visible(text)}' is no number") from error
