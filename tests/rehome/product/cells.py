"""One cell of the product: what a command says and does in one phase, with one damage."""

import contextlib
import io
import traceback
from collections.abc import Iterator, Sequence
from typing import Any

import psycopg
import pytest
from django.contrib.contenttypes.models import ContentType
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection
from django.db.utils import Error

from tests.farm.databases import WORKER, connected_to, database
from tests.rehome.product.damages import Damage, another

NAME = f"test_product_cell_{WORKER}"
PICTURE = """
WITH own AS (SELECT oid FROM pg_namespace WHERE nspname !~ '^(pg_|information_schema)'),
rels AS (SELECT c.* FROM pg_class c JOIN own ON own.oid = c.relnamespace),
parts (part) AS (
  SELECT concat_ws(' ', c.oid::regclass, relkind, relowner, relacl, reloptions, relrowsecurity,
                   obj_description(c.oid, 'pg_class'), CASE WHEN relkind = 'v' THEN pg_get_viewdef(c.oid) END)
    FROM rels c
   UNION ALL
  SELECT concat_ws(' ', c.oid::regclass, attname, format_type(atttypid, atttypmod), attnotnull, attidentity, attacl,
                   pg_get_expr(adbin, adrelid))
    FROM rels c JOIN pg_attribute a ON attrelid = c.oid LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
   WHERE attnum > 0
   UNION ALL
  SELECT concat_ws(' ', c.oid::regclass, conname, pg_get_constraintdef(k.oid))
    FROM rels c JOIN pg_constraint k ON conrelid = c.oid
   UNION ALL
  SELECT concat_ws(' ', pg_get_indexdef(indexrelid), indisvalid) FROM rels c JOIN pg_index ON indrelid = c.oid
   UNION ALL
  SELECT concat_ws(' ', pg_get_triggerdef(t.oid), tgenabled) FROM rels c JOIN pg_trigger t ON tgrelid = c.oid
   WHERE NOT tgisinternal
   UNION ALL
  SELECT concat_ws(' ', pg_get_functiondef(p.oid), proowner, proacl) FROM pg_proc p JOIN own ON own.oid = pronamespace
   WHERE prokind IN ('f', 'p'))
SELECT part FROM parts ORDER BY part
"""
ROWS = """
SELECT string_agg(format('SELECT %L || (to_jsonb(t)%s)::text FROM %s t', c.oid::regclass || ' ',
                         CASE relname WHEN 'rehome_moverun' THEN '{less}' ELSE '' END, c.oid::regclass), ' UNION ALL ')
  FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
 WHERE relkind = 'r' AND nspname !~ '^(pg_|information_schema)'
"""
LESS = """ - ARRAY[''verified_at'', ''verification'', ''changed_at''] || jsonb_build_object(''kept'',
CASE WHEN jsonb_typeof(to_jsonb(t) -> ''kept'') = ''object''
THEN (to_jsonb(t) -> ''kept'') - ARRAY[''looked'', ''probed''] ELSE to_jsonb(t) -> ''kept'' END)"""
"""What a verification records is its result, whatever it is."""
KEPT = (
    "Copied rows are kept",
    "only the settling is left",
    "The move is live",
    "The move is retired.",
    "has been cancelled.",
)
"""A message with one of these says what has been done, and that it stays."""


def picture(onlooker: "psycopg.Connection[Any]") -> list[str]:
    """Everything in the database: definitions, rights, rows."""
    found = [part for (part,) in onlooker.execute(PICTURE)]
    ((rows,),) = onlooker.execute(ROWS.replace("{less}", LESS))
    return found + sorted(row for (row,) in (onlooker.execute(rows) if rows else ()))


def call(line: str) -> tuple[str, BaseException | None]:
    """What a command says on stdout, and what it raises."""
    out = io.StringIO()
    try:
        call_command(*line.split(), stdout=out, stderr=io.StringIO(), no_color=True)
    except pytest.fail.Exception:
        raise  # The time of the test is over.
    except BaseException as error:  # noqa: BLE001  Whatever it is, it is judged.
        return out.getvalue(), error
    return out.getvalue(), None


def fault(line: str, error: BaseException | None, before: list[str], after: list[str]) -> str:
    """What is wrong with the end of a command; empty where it is as it should be."""
    if error is None:
        return ""
    if not isinstance(error, CommandError):
        return f"{type(error).__name__}: {' '.join(str(error).split())[:160]} {where(error)}"
    said = str(error)
    if (
        not said.rstrip().endswith((".", "?", "!"))
        or isinstance(error.__cause__, Error)
        and said == str(error.__cause__)
    ):
        return f"no sentence: {said[:200]}"
    if before != after and not any(kept in said for kept in KEPT) and not (is_begun(before) and not is_begun(after)):
        changed = [*(set(before) - set(after)), *(set(after) - set(before))]
        return f"half done: {said[:200]} CHANGED {str(changed[:2])[:300]}"
    return ""


def is_begun(parts: list[str]) -> bool:
    """Whether there is anything of a move; a run that was interrupted is cancelled before a refusal."""
    return any("rehome_" in part for part in parts)


def where(error: BaseException) -> str:
    """The frames of rehome, the innermost first."""
    frames = traceback.extract_tb(error.__traceback__)
    return " < ".join(
        f"{f.filename.rpartition('rehome/')[2]}:{f.lineno}"
        for f in reversed(frames)
        if "/rehome/" in f.filename and "/tests/" not in f.filename
    )


@contextlib.contextmanager
def copy_of(template: str, damage: Damage) -> Iterator["psycopg.Connection[Any]"]:
    """Everybody's connection leads to a damaged copy of the database; one that nobody disturbs looks on."""
    with database(NAME, template=template) as name, connected_to(name), another() as onlooker:
        if damage.sql:
            onlooker.execute(damage.sql)
        yield onlooker


def run(template: str, damage: Damage, lines: Sequence[str]) -> dict[str, str]:
    """By command, what is wrong with its end. Each finds the database as the damage has left it."""
    faults, left = {}, list(lines)
    while left:
        with copy_of(template, damage) as onlooker:
            before = after = picture(onlooker)
            while left and after == before:
                line = left.pop(0)
                with damage.around():
                    _, error = call(line)
                connection.close()
                ContentType.objects.clear_cache()
                after = picture(onlooker)
                if found := fault(line, error, before, after):
                    faults[line] = found
    return faults
