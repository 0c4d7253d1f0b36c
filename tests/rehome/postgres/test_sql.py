"""SQL that people paste into psql is SQL, whatever their tables and roles are called."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import rehome
from rehome.postgres.sql import RESERVED, readable
from tests.rehome.support.lab import Lab

PASTED = re.compile(r"\b(ALTER|GRANT|REVOKE|DROP|CREATE) [A-Z]+\b")
BARE = {"table", "view", "gone", "other", "pair.source", "pair.target", "self.view", "role", "owner"}


@pytest.mark.server
def test_words_that_need_quotes_have_them(lab: Lab) -> None:
    known = {word for (word,) in lab.sql("SELECT word FROM pg_get_keywords() WHERE catcode <> 'U'")}
    assert known <= RESERVED
    for word in sorted(known | {"Printer", "two words", 'quo"ted', "1st"}):
        lab.sql(f"CREATE TEMPORARY TABLE {readable(word)} ({readable(word)} integer)")
        lab.sql(f"ALTER TABLE {readable('pg_temp', word)} DROP COLUMN {readable(word)}")
    assert readable("public", "printers_printer") == "public.printers_printer"


def formatted() -> Iterator[tuple[str, ast.JoinedStr]]:
    for path in sorted(Path(rehome.__file__).parent.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.JoinedStr):
                yield path.name, node


def test_no_sentence_has_a_bare_name_in_its_sql() -> None:
    for file, text in formatted():
        before = ""
        for part in text.values:
            if isinstance(part, ast.Constant):
                before = re.split(r"[.:;] ", before + part.value)[-1]
            elif isinstance(part, ast.FormattedValue):
                bare = ast.unparse(part.value) in BARE and part.conversion == -1
                assert not (bare and PASTED.search(before)), f"{file}: {before}{{{ast.unparse(part.value)}}}"
                before += "x"
