"""The canonical form of each pair of types: a text that both servers make of a value, each by itself in its own SQL.

Of two values that the import takes for one, the texts are one, and of two others they are two. `{0}` is the value.
"""

import dataclasses
from collections.abc import Callable

from rehome.importing.proof.kinds import Kind
from rehome.importing.proof.zones import Zone

NONZERO = "IF(DAYOFMONTH({0}) AND MONTH({0}) AND YEAR({0}), {0}, NULL)"
"""A date of MySQL that is a day; others become null."""
TEXTS = {"text", "citext", "padded", "enum", "set"}
NUMBERS = {"integer", "decimal"}


@dataclasses.dataclass(frozen=True)
class Form:
    name: str
    """What the values are compared as, in plural."""
    source: str
    target: str
    framed: bool = False
    """Whether the text may hold anything, so that its length has to be said."""
    order: tuple[str, str] = ("", "")
    """What has a smallest and a largest value, at the source and at the target; empty where nothing has."""
    total: tuple[str, str] = ("", "")
    """What has a sum; of texts and bytes, the number of bytes."""
    present: str = "{0}"
    """At the source, what is null where the value is."""


def find(server: str, source: Kind, target: Kind, zone: Zone, *, stored: str = "{0}") -> Form | None:
    """For a `server` of Django's name, whose times are in `zone`; None for types that no two servers write alike.

    `stored` makes UTF-8 of a text of PostgreSQL's.
    """
    return mysql(source, target, zone) if server == "mysql" else postgresql(source, target, zone, stored)


def same(name: str, template: str, *, framed: bool = True) -> Form:
    return Form(name, template, template, framed)


# ----- a source on PostgreSQL


def postgresql(source: Kind, target: Kind, zone: Zone, stored: str) -> Form | None:
    pair = source.family, target.family
    if source.family in NUMBERS and target.family in NUMBERS:
        exact = source.scale == target.scale
        written = "({0})::text" if exact else "trim_scale(({0})::numeric)::text"
        return Form("numbers", written, written, order=("{0}", "{0}"), total=("{0}", "{0}"))
    if pair == ("boolean", "boolean"):
        return dataclasses.replace(truths("({0})::int"), source="({0})::int::text")
    if source.family in TEXTS and target.family == "text":
        # A cast would cut the spaces at the end of a CHAR(n), which belong to it.
        written = "concat({0})" if source.family == "padded" else "({0})::text"
        utf8 = stored.replace("{0}", written)
        return texts(written, source, f"md5({utf8})", f"octet_length({utf8})")
    if pair == ("padded", "padded"):
        return same("texts", "({0})::text")
    if pair == ("bytes", "bytes"):
        return octets("md5({0})", "octet_length({0})")
    if pair == ("money", "money"):
        return same("numbers", "({0})::numeric::text", framed=False)
    if source.family == "money" and target.family in NUMBERS:
        return same("numbers", "trim_scale(({0})::numeric)::text", framed=False)
    if pair == ("money", "text"):
        return Form("numbers as texts", "({0})::numeric::text", "({0})::text", framed=True)
    if moment := moments(pair, zone):
        return moment
    if source.family in {"float", "json", "geometry"} or source.name != target.name:
        return None
    return same(f"{source.name}s", "({0})::text")


def moments(pair: tuple[str, str], zone: Zone) -> Form | None:
    """Times without a zone are in that of the source."""
    utc = "({0} AT TIME ZONE 'UTC')"
    shown = zone.shown("{0}")
    found = {
        ("date", "date"): ("days", "{0}", "{0}"),
        ("date", "local"): ("times", "({0})::timestamp", "{0}"),
        ("date", "moment"): ("times of the source's zone", "({0})::timestamp", shown),
        ("local", "local"): ("times", "{0}", "{0}"),
        ("local", "moment"): ("times of the source's zone", "{0}", shown),
        ("moment", "moment"): ("moments", utc, utc),
        ("moment", "local"): ("times of the source's zone", shown, "{0}"),
        ("time", "time"): ("times of day", "{0}", "{0}"),
    }.get(pair)
    if found is None:
        return None
    name, here, there = found
    written = zone.unique("{0}") if pair in {("date", "moment"), ("local", "moment")} else f"({there})::text"
    return Form(name, f"({here})::text", written, order=(here, there))


# ----- a source on MySQL or MariaDB


def mysql(source: Kind, target: Kind, zone: Zone) -> Form | None:
    ways: list[Callable[[Kind, Kind, Zone], Form | None]] = [mysql_numbers, mysql_texts, mysql_times]
    return next((form for way in ways if (form := way(source, target, zone))), None)


def mysql_numbers(source: Kind, target: Kind, zone: Zone) -> Form | None:
    pair = source.family, target.family
    # What is filled with zeros is not when it has been added to.
    number = {"integer": "({0} + 0)", "bit": "CAST({0} AS UNSIGNED)", "decimal": "{0}"}.get(source.family)
    if number is None:
        return None
    if target.family in NUMBERS:
        exact = source.scale == target.scale or (source.family == "bit" and target.scale == 0)
        written = f"CAST({number} AS CHAR)"
        if source.family == "decimal" and not exact:
            written = without_zeros(written, source)
        there = "({0})::text" if exact else "trim_scale({0})::text"
        return Form("numbers", written, there, order=(number, "{0}"), total=(number, "{0}"))
    if target.family == "boolean" and source.family != "decimal":
        return dataclasses.replace(truths("({0} <> 0)"), source="CAST({0} <> 0 AS CHAR)")
    if pair == ("integer", "interval"):
        there = "trim_scale(extract(epoch FROM {0}) * 1000000)"
        return Form("microseconds", f"CAST({number} AS CHAR)", f"{there}::text", order=(number, there))
    return None


def mysql_texts(source: Kind, target: Kind, zone: Zone) -> Form | None:
    text = "CONVERT({0} USING utf8mb4)"
    if source.family in {*TEXTS, "bytes"} and target.family == "text":
        return texts(text, source, f"MD5({text})", f"LENGTH({text})")
    if source.family == "set" and target.name in {"text[]", "character varying[]"}:
        return Form("texts", text, "array_to_string({0}, ',', '~')", framed=True)
    if source.family in {*TEXTS, "bytes"} and target.family == "uuid":
        written = "LOWER(IF(LENGTH({0}) = 16, HEX({0}), REPLACE(CONVERT({0} USING utf8mb4), '-', '')))"
        return Form("UUIDs", written, "replace(({0})::text, '-', '')")
    if source.family in {*TEXTS, "bytes"} and target.family == "bytes":
        given = "{0}" if source.family == "bytes" else text
        lengths = f"LENGTH({given})", "octet_length({0})"
        return Form("bytes", f"MD5({given})", "md5({0})", order=lengths, total=lengths)
    return None


def mysql_times(source: Kind, target: Kind, zone: Zone) -> Form | None:
    pair = source.family, target.family
    digits = without_zeros("CAST({0} AS CHAR)", source)
    if pair == ("date", "date"):
        return Form("days", f"CAST({NONZERO} AS CHAR)", "({0})::text", order=(NONZERO, "{0}"), present=NONZERO)
    if source.family in {"date", "local"} and target.family in {"local", "moment"}:
        midnight = f"CONCAT(CAST({NONZERO} AS CHAR), ' 00:00:00')"
        written = midnight if source.family == "date" else digits.replace("{0}", NONZERO)
        order = (
            (NONZERO, zone.shown("{0}") if target.family == "moment" else "{0}")
            if source.family == "local"
            else ("", "")
        )
        if target.family == "local":
            return Form("times", written, "({0})::text", order=order, present=NONZERO)
        return Form("times of the source's zone", written, zone.unique("{0}"), order=order, present=NONZERO)
    if pair == ("moment", "moment"):
        seconds = "IF({0} = 0, NULL, CAST(UNIX_TIMESTAMP({0}) AS DECIMAL(20, 6)))"
        there = "extract(epoch FROM {0})"
        return Form("moments", f"CAST({seconds} AS CHAR)", f"{there}::text", order=(seconds, there), present=seconds)
    if pair == ("time", "time"):
        return Form("times of day", digits, "({0})::text", order=("{0}", "{0}"))
    if pair == ("time", "interval"):
        micros = "TIMESTAMPDIFF(MICROSECOND, '2000-01-01', ADDTIME('2000-01-01 00:00:00', {0}))"
        there = "trim_scale(extract(epoch FROM {0}) * 1000000)"
        return Form("microseconds", f"CAST({micros} AS CHAR)", f"{there}::text", order=(micros, there))
    return None


def without_zeros(written: str, source: Kind) -> str:
    """As PostgreSQL writes it: without zeros at the end of a fraction."""
    if source.scale == 0:
        return written
    cut = f"TRIM(TRAILING '.' FROM TRIM(TRAILING '0' FROM {written}))"
    return cut if source.scale else f"IF(LOCATE('.', {written}), {cut}, {written})"


# ----- both


def texts(written: str, source: Kind, md5: str, length: str) -> Form:
    """Written out in the row where it is short, so that no server joins long texts. No two servers sort texts alike, so
    it is their lengths that have a smallest and a largest.
    """
    octets = length, "octet_length({0})"
    if source.long:
        return Form("texts", md5, "md5({0})", order=octets, total=octets)
    return Form("texts", written, "({0})::text", framed=True, order=octets, total=octets)


def truths(number: str) -> Form:
    return Form("truths", number, "({0})::int::text", total=(number, "({0})::int"))


def octets(md5: str, length: str) -> Form:
    return Form("bytes", md5, md5, order=(length, length), total=(length, length))
