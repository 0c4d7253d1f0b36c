"""Values of PostgreSQL that its COPY does not give as they are needed: amounts of money, and what is too long."""

import secrets
from collections.abc import Collection, Iterable, Iterator, Sequence

from django.db.backends.base.base import BaseDatabaseWrapper
from psycopg.postgres import types

from rehome.importing.sources.reader import LONGEST, NULL, Report, too_long

SIZES = {
    types["bytea"].oid: "2 * octet_length({0})::bigint",
    **{types[name].oid: "octet_length({0})::bigint" for name in ("text", "varchar")},
    **{types[name].oid: "octet_length({0}::text)::bigint" for name in ("json", "xml")},
}
"""By the type of a value that may be long, how many bytes it has in COPY's text."""


class Values:
    """Those of one query, whose text it changes."""

    def __init__(self, connection: BaseDatabaseWrapper, text: str, *, named: bool, but: Collection[str] = ()) -> None:
        """With `named`, a value that makes a row too long becomes a mark, `but` those of some columns."""
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT * FROM ({text}) AS taken LIMIT 0", None)  # noqa: S608
            kinds = {f'taken."{column.name}"': column.type_code for column in cursor.description}
        kept = {f'taken."{name}"' for name in but}
        self.mark = f"too long {secrets.token_hex(8)} "
        shown = {name: name for name in kinds}
        # As it is written, an amount of money has the signs of a country.
        shown |= {name: f"{name}::numeric" for name, kind in kinds.items() if kind == types["money"].oid}
        if named:
            long = {name: kind for name, kind in kinds.items() if kind in SIZES and name not in kept}
            shown |= self.marked({name: SIZES[kind].format(name) for name, kind in long.items()})
        listed = ", ".join(f"{value} AS {name.partition('.')[2]}" for name, value in shown.items())
        changed = any(name != value for name, value in shown.items())
        self.text = f"SELECT {listed} FROM ({text}) AS taken" if changed else text  # noqa: S608

    def marked(self, sizes: dict[str, str]) -> dict[str, str]:
        """Of the values that are too long together, each that is above the average."""
        total = " + ".join(f"coalesce({size}, 0)" for size in sizes.values())
        return {
            name: f"CASE WHEN {size} > {LONGEST // len(sizes)} AND {total} > {LONGEST} "
            f"THEN '{self.mark}' || {size} ELSE {name}::text END"
            for name, size in sizes.items()
        }

    def unmarked(self, lines: Iterable[bytes], columns: Sequence[str | None], report: Report) -> Iterator[bytes]:
        """The lines of COPY with null for each mark, which is reported."""
        mark = self.mark.encode()
        for number, line in enumerate(lines, 1):
            if mark not in line:
                yield line
                continue
            values = line.removesuffix(b"\n").split(b"\t")
            for place, value in enumerate(values):
                if value.startswith(mark):
                    values[place] = NULL
                    if column := columns[place]:
                        report(number, column, too_long(int(value.removeprefix(mark))))
            yield b"\t".join(values) + b"\n"
