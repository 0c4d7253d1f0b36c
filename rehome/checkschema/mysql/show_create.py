"""Reads SHOW CREATE TABLE, the only description of a temporary table that MySQL and MariaDB have."""

import dataclasses
import re
from collections.abc import Iterator

from rehome.checkschema.shape import NUMBERED, Column, Part

NAMED = re.compile(r"(PRIMARY|UNIQUE|FULLTEXT|SPATIAL)? ?KEY (?:`((?:[^`]|``)+)` )?(\(.*)")
CONSTRAINT = re.compile(r"CONSTRAINT `((?:[^`]|``)+)` (FOREIGN KEY|CHECK) (.*)")
# What only some versions understand stands in comments that they read; quoted text is left as it is.
VERSIONED = re.compile(r"('(?:[^'\\]|''|\\.)*'|`(?:[^`]|``)*`)|/\*M?!\d+ ?| ?\*/", re.DOTALL)
PERIOD_END = re.compile(r"^  (`(?:[^`]|``)+`) timestamp\(6\) GENERATED ALWAYS AS ROW END", re.MULTILINE)
OF_PERIOD = re.compile(r"^  `(?:[^`]|``)+` timestamp\(6\) GENERATED ALWAYS AS ROW (?:START|END)[^\n]*\n", re.MULTILINE)
# What people can say of an index or a check without dropping it: MariaDB and MySQL ignore it then.
IDLE_PARTS = re.compile(r" (IGNORED|INVISIBLE|NOT ENFORCED)$")
KINDS = {"PRIMARY": "primary key", "UNIQUE": "unique", None: "index", "FULLTEXT": "index", "SPATIAL": "index"}

# How many digits a terminal shows; what a column holds does not depend on it.
WIDTH = re.compile(r"\b(smallint|mediumint|int|bigint)\(\d+\)|\btinyint\((?!1\))\d+\)")
# What a foreign key does by default.
IDLE = re.compile(r" ON (?:DELETE|UPDATE) (?:NO ACTION|RESTRICT)")
# A whole word, a string, a name or a pair of parentheses with everything in it, without a blank between.
OPENING = {"'": "'", "`": "`", '"': '"'}


def plain(statement: str) -> str:
    """The statement, with what stands in comments for some versions as if it stood in none, and without the two columns
    by which MariaDB keeps rows that were.
    """
    read = VERSIONED.sub(lambda found: found[1] or "", statement)
    for name in PERIOD_END.findall(read):
        read = re.sub(rf"^(  (?:PRIMARY|UNIQUE) KEY .*),{re.escape(name)}\)", r"\1)", read, flags=re.MULTILINE)
    return OF_PERIOD.sub("", read)


def lines(statement: str) -> list[str]:
    """Of the columns, keys and constraints."""
    return [line.strip().removesuffix(",") for line in statement.partition("\n)")[0].split("\n")[1:]]


def ending(statement: str) -> str:
    """The options of the table."""
    return statement.partition("\n)")[2]


def engine(statement: str) -> str:
    found = re.search(r"ENGINE=(\w+)", ending(statement))
    return found[1] if found else ""


def has_history(statement: str) -> bool:
    """Whether MariaDB keeps the rows that were."""
    return "WITH SYSTEM VERSIONING" in re.sub(r"'(?:[^'\\]|''|\\.)*'", "''", ending(statement))


def comment(statement: str) -> str:
    """Of the whole table."""
    found = re.search(r" COMMENT='((?:[^'\\]|''|\\.)*)'", ending(statement))
    return unquoted(f"'{found[1]}'") if found else ""


def columns(statement: str, collations: dict[str, str]) -> Iterator[Column]:
    for line in lines(statement):
        if line.startswith("`"):
            yield column(line, collations)


def column(line: str, collations: dict[str, str]) -> Column:
    name, *rest = words(line)
    name = unquoted(name)
    said = options(rest)
    return Column(
        name=name,
        type=WIDTH.sub(lambda found: found[0].partition("(")[0], said["TYPE"]),
        nullable="NOT NULL" not in said,
        default=default(said),
        generated=said.get("AS", ""),
        collation=collations.get(name, ""),
        comment=unquoted(said["COMMENT"]) if "COMMENT" in said else "",
        numbered=NUMBERED if "AUTO_INCREMENT" in said else "",
        definition=line,
    )


def default(said: dict[str, str]) -> str | None:
    """The value that the server writes by itself, when a row is made and when it changes."""
    value = said.get("DEFAULT", "NULL")
    if "COMPRESSED" in said and "NOT NULL" in said and value == "''":
        value = "NULL"  # MariaDB prints it of a compressed column that has no default.
    changed = f"ON UPDATE {said['UPDATE']}" if "UPDATE" in said else ""
    return f"{'' if value == 'NULL' else value} {changed}".strip() or None


def options(rest: list[str]) -> dict[str, str]:
    """What stands behind each keyword of a column; the type stands behind none."""
    said: dict[str, str] = {}
    kind = [rest[0]]
    following = iter(rest[1:])
    for word in following:
        match word.upper():
            case "UNSIGNED" | "ZEROFILL":
                kind.append(word)
            case "NOT":
                said[f"NOT {next(following)}"] = ""
            case "DEFAULT" | "UPDATE" | "COMMENT" | "COLLATE" | "CHECK":
                said[word.upper()] = next(following)
            case "AS":
                said["AS"] = " ".join((next(following), next(following, "")))
            case keyword:
                said[keyword] = ""
    return {**said, "TYPE": " ".join(kind)}


def words(text: str) -> list[str]:
    """Split at the blanks that are in no quotes and in no parentheses."""
    found, depth, quote = [""], 0, ""
    for position, character in enumerate(text):
        if quote:
            escaped = text[position - 1] == "\\" and text[position - 2] != "\\" and quote != "`"
            quote = "" if character == quote and not escaped else quote
        elif character in OPENING:
            quote = character
        elif character in "()":
            depth += 1 if character == "(" else -1
        if character == " " and not depth and not quote:
            found.append("")
        else:
            found[-1] += character
    return [word for word in found if word]


def parts(statement: str) -> Iterator[Part]:
    """With Django's checks, at the column or in the table, that an unsigned number is not negative, as implied."""
    described = [words(line) for line in lines(statement) if line.startswith("`")]
    needless = {f"CHECK ({name} >= 0)" for name, *rest in described if "unsigned" in options(rest)["TYPE"]}
    needless |= {f"CHECK (({name} >= 0))" for name, *rest in described if "unsigned" in options(rest)["TYPE"]}
    for part in all_parts(statement):
        yield dataclasses.replace(part, implied=True) if part.definition in needless else part


def all_parts(statement: str) -> Iterator[Part]:
    for whole in lines(statement):
        flaw = IDLE_PARTS.search(whole) if not whole.startswith("`") else None
        line = whole[: flaw.start()] if flaw else whole
        said = flaw[1] if flaw else ""
        if line.startswith("`"):
            yield from column_check(line)
        elif found := CONSTRAINT.fullmatch(line):
            name, kind, rest = found.groups()
            columns = names(rest) if kind == "FOREIGN KEY" else ()
            yield Part(kind.lower(), name.replace("``", "`"), IDLE.sub("", f"{kind} {rest}"), columns, said)
        elif found := NAMED.fullmatch(line):
            kind, named, rest = found.groups()
            definition = f"{kind} KEY {rest}" if kind else f"KEY {rest}"
            name = (named or "PRIMARY").replace("``", "`")
            yield Part(KINDS[kind], name, definition.removesuffix(" USING BTREE"), names(rest), said)


def column_check(line: str) -> Iterator[Part]:
    name, *rest = words(line)
    said = options(rest)
    if "CHECK" in said:
        without = line.replace(f" CHECK {said['CHECK']}", "")
        yield Part("check", unquoted(name), f"CHECK {said['CHECK']}", (unquoted(name),), column=without)


def names(listed: str) -> tuple[str, ...]:
    """Of columns; empty where there are expressions or beginnings of columns."""
    inside = words(listed)[0][1:-1]
    plain = re.fullmatch(r"`(?:[^`]|``)+`(?:,`(?:[^`]|``)+`)*", inside)
    return tuple(unquoted(name) for name in re.findall(r"`(?:[^`]|``)+`", inside)) if plain else ()


def unquoted(text: str) -> str:
    if text[0] != "'":
        return text[1:-1].replace("``", "`")
    return re.sub(r"\\(.)", r"\1", text[1:-1].replace("''", "'"))
