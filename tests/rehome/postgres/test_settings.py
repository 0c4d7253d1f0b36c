"""What rehome runs depends neither on names that others can make nor on settings of a role or a database."""

import contextlib
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import models
from psycopg import sql

from rehome import Move
from rehome.errors import Refused
from rehome.moves.steps import open_session
from rehome.plan.record import Record
from rehome.postgres import settings
from rehome.verify.comparison import compare
from rehome.verify.probe import try_writes
from tests.rehome.support.lab import Lab
from tests.rehome.support.witness import Plain

pytestmark = pytest.mark.server

PLAIN = Move("old.Thing", "new.Thing")
IN_PLACE = Move("old.Thing", "new.Thing", in_place=True)
ONLINE = Move("old.Thing", "new.Thing", online=True)
WAYS = {"in one transaction": PLAIN, "online": ONLINE, "in place": IN_PLACE}

# Every operator by which rehome compares, for every pair of types that PostgreSQL compares so; each is an error.
OPERATORS = """
SELECT format('CREATE OPERATOR evil.%s (LEFTARG = %s, RIGHTARG = %s, FUNCTION = evil.%I)',
              o.oprname, format_type(o.oprleft, NULL), format_type(o.oprright, NULL), 'op_' || o.oid),
       format('CREATE FUNCTION evil.%I(%s, %s) RETURNS boolean LANGUAGE plpgsql AS $$BEGIN RAISE ''evil''; END$$',
              'op_' || o.oid, format_type(o.oprleft, NULL), format_type(o.oprright, NULL))
  FROM pg_operator o JOIN pg_type l ON l.oid = o.oprleft JOIN pg_type r ON r.oid = o.oprright
 WHERE o.oprname IN ('=', '<>', '<', '>', '<=', '>=') AND o.oprnamespace = 'pg_catalog'::regnamespace
   AND o.oprresult = 'bool'::regtype
   AND l.typtype IN ('b', 'r') AND r.typtype IN ('b', 'r')
UNION ALL
SELECT 'CREATE OPERATOR evil.= (LEFTARG = varchar, RIGHTARG = varchar, FUNCTION = evil.fits_better)',
       'CREATE FUNCTION evil.fits_better(varchar, varchar) RETURNS boolean LANGUAGE plpgsql
            AS $$BEGIN RAISE ''evil''; END$$'
"""
FUNCTIONS = """
SELECT format('CREATE FUNCTION evil.%I(%s) RETURNS %s LANGUAGE plpgsql AS $$BEGIN RAISE ''evil''; END$$',
              p.proname, pg_get_function_identity_arguments(p.oid), format_type(p.prorettype, NULL))
  FROM pg_proc p
 WHERE p.proname = ANY('{{{}}}') AND p.pronamespace = 'pg_catalog'::regnamespace AND p.prokind = 'f' AND NOT p.proretset
   AND p.provariadic = 0 AND NOT 'internal'::regtype = ANY(p.proargtypes::oid[])
"""
NAMES = (
    "array_remove", "char_length", "concat_ws", "current_schema", "current_setting", "format", "format_type",
    "has_table_privilege", "has_schema_privilege", "has_sequence_privilege", "hash_record_extended", "nextval",
    "obj_description", "pg_backend_pid", "pg_get_constraintdef", "pg_get_expr", "pg_get_indexdef",
    "pg_get_userbyid", "pg_get_viewdef", "pg_has_role", "pg_relation_size", "pg_size_bytes", "pg_try_advisory_lock",
    "regexp_replace", "repeat", "set_config", "setval", "to_regclass",
)  # fmt: skip
TABLES = (
    "pg_attribute",
    "pg_class",
    "pg_constraint",
    "pg_namespace",
    "pg_proc",
    "pg_settings",
    "pg_trigger",
    "pg_type",
)
DOMAINS = ("text", "oid", "regclass", "int8", "jsonb", "name", "record")


@pytest.fixture
def evil(lab: Lab) -> Iterator[Callable[[], contextlib.AbstractContextManager[None]]]:
    """Until its block ends, a schema comes before PostgreSQL's own that lies, or raises errors."""
    lab.sql("CREATE SCHEMA evil")
    for operator, function in lab.sql(OPERATORS):
        lab.sql(function)
        lab.sql(operator)
    lab.sql("CREATE FUNCTION evil.hashint8extended(bigint, integer) RETURNS bigint LANGUAGE sql AS 'SELECT 0::bigint'")
    for (function,) in lab.sql(FUNCTIONS.replace("{{{}}}", f"{{{','.join(NAMES)}}}")):
        lab.sql(function)
    for table in TABLES:
        lab.sql(f"CREATE TABLE evil.{table} (oid oid, relname text)")
    for domain in DOMAINS:
        lab.sql(f"CREATE DOMAIN evil.{domain} AS pg_catalog.text CHECK (false)")

    @contextlib.contextmanager
    def reign() -> Iterator[None]:
        lab.connection.cursor().execute("SET search_path = public, evil, pg_catalog")
        try:
            yield
        finally:
            lab.connection.cursor().execute("RESET search_path")

    yield reign
    lab.connection.cursor().execute("DROP SCHEMA evil CASCADE")


def make(lab: Lab) -> None:
    lab.twins(
        lambda app: {
            "name": models.CharField(max_length=20, unique=True),
            "size": models.DecimalField(max_digits=8, decimal_places=2, null=True),
            "owner": models.ForeignKey("auth.User", models.CASCADE, null=True),
        }
    )
    lab.get("old.Thing").objects.create(name="a", size=1)


@pytest.mark.parametrize(
    "way", ["in one transaction", *(pytest.param(way, marks=pytest.mark.long) for way in ("online", "in place"))]
)
def test_nothing_is_taken_from_a_schema_that_comes_before_postgresqls(
    lab: Lab, evil: Callable[[], contextlib.AbstractContextManager[None]], way: str
) -> None:
    move = WAYS[way]
    make(lab)
    with evil():
        lab.forward(move)
        assert lab.verify(move).ok
        lab.forward(move)
    lab.get("new.Thing").objects.create(name="b")
    with evil():
        if not move.in_place:
            lab.retire(move)
            lab.unretire(move)
        lab.back(move)
    assert sorted(lab.get("old.Thing").objects.values_list("name", flat=True)) == ["a", "b"]


@pytest.mark.long
def test_only_what_fires_the_projects_own_runs_under_its_search_path(lab: Lab) -> None:
    """Whatever is run under the project's search path names nothing but tables, and each with its schema."""
    make(lab)
    seen: list[str] = []

    def watch(execute: Any, text: str, params: Any, many: bool, context: Any) -> Any:
        path = lab.connection.connection.execute("SHOW search_path").fetchone()[0]
        if "pg_temp" not in path:
            seen.append(" ".join(str(text).split()))
        return execute(text, params, many, context)

    with lab.connection.execute_wrapper(watch):
        for move in WAYS.values():
            lab.forward(move)
            lab.verify(move)
            if not move.in_place:
                lab.retire(move)
                lab.unretire(move)
            lab.back(move)
    allowed = re.compile(
        r"(INSERT INTO|UPDATE|DELETE FROM|TRUNCATE) \"\w+\"\.|WITH changed AS|SET CONSTRAINTS|SET LOCAL|SET TRANSACTION"
        r"|(CREATE TABLE|CREATE INDEX \"\w+\" ON|ALTER TABLE) \"new_thing\""  # The twin, as Django makes it.
        r"|(SAVEPOINT|RELEASE|ROLLBACK TO)|SELECT (name, before, CASE WHEN before IS NOT NULL THEN )?pg_catalog\.\w+\("
    )
    assert [text for text in seen if not allowed.match(text)] == []


ASSIGNED = re.compile(r"\bSET (?:[^()]|\([^()]*\)|\((?:[^()]|\([^()]*\))*\))*?(?=\bWHERE\b|\bFROM\b|\bRETURNING\b|$)")
NOT_OPERATORS = re.compile(
    r"""'(?:[^']|'')*' | "(?:[^"]|"")*" | \$(\w*)\$.*?\$\1\$ | OPERATOR\([\w.]+\.[^)]+\) | WITH[ ]\([\w =]+\)
      | %(?:\(\w+\))?s | :: | \(\*\) | \.\* | SELECT[ ]\*""",
    re.DOTALL | re.VERBOSE,
)


def bare_operators(text: str) -> list[str]:
    """Operators without a schema, but for the `=` of an assignment."""
    plain = NOT_OPERATORS.sub(" ", text)
    plain = ASSIGNED.sub(lambda found: found[0].replace(" = ", " "), plain)
    return re.findall(r"[-+*/<>=~!@#%^&|`?]+", plain)


def test_where_a_schema_of_the_projects_is_looked_in_every_operator_has_its_schema(
    lab: Lab, make_role: Callable[[str], str]
) -> None:
    """Of several operators of one name PostgreSQL takes the one that fits best, in whichever schema."""
    lab.sql("CREATE DOMAIN code AS varchar; CREATE TYPE colour AS ENUM ('red')")
    for app in ("old", "new"):
        lab.model(f"{app}.Shelf", {"code": Plain(kind="code", primary_key=True)})
        shelf = models.ForeignKey(f"{app}.Shelf", models.CASCADE, null=True)
        lab.model(
            f"{app}.Thing", {"name": Plain(kind="code", primary_key=True), "hue": Plain(kind="colour"), "shelf": shelf}
        )
    lab.sql("INSERT INTO old_shelf VALUES ('x'); INSERT INTO old_thing VALUES ('a', 'red', 'x'), ('b', 'red', NULL)")
    lab.sql(f"GRANT SELECT, INSERT, UPDATE, DELETE ON old_thing, old_shelf TO {make_role('clerk')}")
    seen: dict[str, list[str]] = {}

    def watch(execute: Any, text: str, params: Any, many: bool, context: Any) -> Any:
        path = lab.connection.connection.execute("SHOW search_path").fetchone()[0]
        if path != '"pg_catalog", "pg_temp"' and (bare := bare_operators(str(text))):
            seen[" ".join(str(text).split())] = bare
        return execute(text, params, many, context)

    moves = [Move("old.Shelf", "new.Shelf"), Move("old.Thing", "new.Thing")]
    with lab.connection.execute_wrapper(watch):
        for move in moves:
            lab.forward(move)
            lab.verify(move)
            try_writes(lab.plan(move), open_session(lab.plan(move)), Record())
            lab.forward(move)
        lab.retire(moves[1])
        lab.unretire(moves[1])
        for move in reversed(moves):
            lab.back(move)
    assert seen == {}


def test_the_way_out_leads_back_to_the_projects_search_path(lab: Lab) -> None:
    path = lab.sql("SHOW search_path")
    with settings.own(lab.connection), settings.projects(lab.connection):
        assert lab.sql("SHOW search_path") == path
    with contextlib.suppress(ZeroDivisionError), settings.own(lab.connection, held=True):
        assert lab.sql("SHOW search_path") == [('"pg_catalog", "pg_temp"',)]
        raise ZeroDivisionError
    assert lab.sql("SHOW search_path") == path


def test_a_function_that_fits_better_does_not_answer_for_the_comparison(lab: Lab) -> None:
    make(lab)
    lab.forward(PLAIN)
    lab.sql("CREATE FUNCTION hashint8extended(bigint, integer) RETURNS bigint LANGUAGE sql AS 'SELECT NULL::bigint'")
    lab.sql("SET session_replication_role = replica")
    lab.sql("UPDATE new_thing SET name = 'lie'")
    lab.sql("RESET session_replication_role")
    assert lab.verify(PLAIN).comparison.different == 1


def test_a_role_that_may_create_where_a_type_is_from_is_refused(
    lab: Lab, refused: Callable[..., str], make_role: Callable[[str], str]
) -> None:
    lab.sql("CREATE TYPE colour AS ENUM ('red')")
    lab.twins(lambda app: {"colour": Plain(kind="colour")})
    role = make_role("creator")
    lab.sql(f'GRANT USAGE, CREATE ON SCHEMA public TO "{role}"')
    message = refused(PLAIN)
    assert f"The role '{role}' may create objects in schema 'public'" in message
    assert f"REVOKE CREATE ON SCHEMA public FROM {role}" in message
    owner = lab.sql("SELECT current_user")[0][0]
    lab.sql(f'GRANT "{owner}" TO "{role}"')
    lab.forward(PLAIN)
    lab.sql(f'REVOKE "{owner}" FROM "{role}"')
    (found,) = lab.verify(PLAIN).lent
    assert f"The role '{role}' may create objects in schema 'public'" in found.text
    for step in (lab.forward, lab.retire):
        with pytest.raises(Refused, match="may create objects in schema 'public'"):
            step(PLAIN)
    lab.sql(f'REVOKE CREATE ON SCHEMA public FROM "{role}"')
    lab.retire(PLAIN)


# ----- settings


ODD = {
    "DateStyle": "ISO, DMY", "IntervalStyle": "sql_standard", "extra_float_digits": "-15", "bytea_output": "escape",
    "xmloption": "document", "TimeZone": "Asia/Tehran", "quote_all_identifiers": "on", "transform_null_equals": "on",
    "array_nulls": "off", "default_text_search_config": "pg_catalog.german", "client_min_messages": "error",
    "statement_timeout": "1h", "lock_timeout": "1h", "idle_in_transaction_session_timeout": "1h",
    "idle_session_timeout": "1h", "transaction_timeout": "1h", "default_transaction_isolation": "serializable",
    "work_mem": "64kB", "maintenance_work_mem": "1MB", "max_stack_depth": "1MB", "temp_file_limit": "1GB",
}  # fmt: skip
"""What is worth another value than the one next to the usual."""
EXCLUDED = {
    "search_path": "see above",
    "client_encoding": "Django sets it",
    "application_name": "rehome names its connection",
    "default_transaction_read_only": "a database that is read-only on purpose can't be moved",
    "transaction_read_only": "of one transaction",
    "transaction_isolation": "of one transaction",
    "transaction_deferrable": "of one transaction",
    "role": "is no setting of a format, but another role",
    "session_authorization": "is no setting of a format, but another role",
    "session_replication_role": "no trigger fires, on purpose",
    "exit_on_error": "a lock that is not granted would end the session",
    "default_tablespace": "needs a tablespace",
    "temp_tablespaces": "needs a tablespace",
    "default_table_access_method": "there is one",
    "local_preload_libraries": "needs a library",
    "session_preload_libraries": "needs a library",
    "dynamic_library_path": "needs a library",
    "seed": "of one transaction",
    "zero_damaged_pages": "is for damaged disks",
    "ignore_checksum_failure": "is for damaged disks",
    "ignore_system_indexes": "is set when a session starts",
    "allow_system_table_mods": "lets a superuser break the catalog",
    "restrict_nonsystem_relation_kind": "forbids to read views, on purpose",
}
CHANGEABLE = """
SELECT name, vartype, setting, boot_val, min_val, max_val, enumvals FROM pg_settings
 WHERE context IN ('user', 'superuser') AND name NOT LIKE '%.%' AND name NOT LIKE 'debug%' AND name NOT LIKE 'trace%'
   AND name NOT LIKE 'lc_%' AND name NOT LIKE 'log%' ORDER BY name
"""


def other_value(name: str, kind: str, now: str, low: str, high: str, known: list[str] | None) -> str | None:
    if name in ODD:
        return ODD[name]
    if kind == "bool":
        return "off" if now == "on" else "on"
    if kind == "enum" and known:
        return next((one for one in known if one != now), None)
    if kind in {"integer", "real"}:
        number = float(now)
        other = next(n for n in (number + 1, float(low), float(high)) if number != n <= float(high))
        return f"{other:g}" if kind == "real" else str(int(other))
    return None


@pytest.fixture
def changed(lab: Lab) -> Iterator[set[str]]:
    """Every setting that a database can have is another one in this one."""
    name, made = sql.Identifier(lab.connection.settings_dict["NAME"]), set()
    for setting, kind, now, _, low, high, known in lab.sql(CHANGEABLE):
        value = None if setting in EXCLUDED else other_value(setting, kind, now, low, high, known)
        if value is not None:
            lab.sql(sql.SQL("ALTER DATABASE {} SET {} = {}").format(name, sql.SQL(setting), value).as_string())
            made.add(setting)
    lab.connection.close()
    yield made
    lab.sql(sql.SQL("ALTER DATABASE {} RESET ALL").format(name).as_string())
    lab.connection.close()


def test_a_database_whose_every_setting_was_changed_has_the_same_verdicts(lab: Lab, changed: set[str]) -> None:
    assert changed >= ODD.keys() - {"transaction_timeout"}
    lab.twins(
        lambda app: {
            "real": models.FloatField(),
            "span": Plain(kind="interval"),
            "spans": Plain(kind="tstzrange[]"),
            "bytes": Plain(kind="bytea[]"),
        }
    )
    lab.sql(
        "INSERT INTO old_thing (real, span, spans, bytes) VALUES (0.1, '1 day -01:00', "
        "ARRAY[tstzrange('2025-01-01', '2025-02-01')], ARRAY[decode('00ff', 'hex')]), "
        "(1.6, '2 mons', '{}', '{}')"
    )
    lab.forward(PLAIN)
    assert lab.verify(PLAIN).ok
    for change, lie in (
        ("real = 0.1::float8 + 0.2::float8 - 0.2::float8", "real"),
        ("span = '1 day 01:00'", "span"),
        ("bytes = ARRAY[decode('00fe', 'hex')]", "bytes"),
    ):
        before = lab.sql("SELECT real, span::text, bytes FROM new_thing WHERE id = 1")[0]
        lab.sql("SET session_replication_role = replica")
        lab.sql(f"UPDATE new_thing SET {change} WHERE id = 1")
        (difference,) = lab.verify(PLAIN).comparison.differences
        assert difference.columns == [lie]
        lab.sql(
            "UPDATE new_thing SET real = old.real, span = old.span, bytes = old.bytes FROM old_thing old "
            "WHERE old.id = new_thing.id"
        )
        lab.sql("RESET session_replication_role")
        assert before == lab.sql("SELECT real, span::text, bytes FROM new_thing WHERE id = 1")[0]
    lab.retire(PLAIN)
    lab.unretire(PLAIN)
    lab.back(PLAIN)
    lab.forward(IN_PLACE)
    assert lab.verify(IN_PLACE).ok
    lab.back(IN_PLACE)


# ----- widths and types


def test_a_difference_in_a_table_of_as_many_columns_as_there_can_be_is_named(lab: Lab) -> None:
    lab.twins(lambda app: {f"c{number}": models.SmallIntegerField(default=0) for number in range(1598)})
    lab.get("old.Thing").objects.create()
    with lab.connection.cursor() as cursor:
        cursor.execute("INSERT INTO new_thing SELECT * FROM old_thing")
        cursor.execute("UPDATE new_thing SET c1597 = 1, c3 = 1")
    plan = lab.plan(PLAIN)
    (difference,) = compare(plan, open_session(plan)).differences
    assert difference.columns == ["c3", "c1597"]


def test_a_collation_in_the_type_of_a_column_is_understood(lab: Lab) -> None:
    lab.twins(
        lambda app: {"name": Plain(kind='varchar(20) COLLATE "C"'), "other": Plain(kind='text COLLATE pg_catalog."C"')}
    )
    lab.get("old.Thing").objects.create(name="a", other="b")
    lab.forward(PLAIN)
    assert lab.verify(PLAIN).ok


def test_a_type_that_is_not_postgresqls_is_named_as_its_model_names_it(lab: Lab, refused: Callable[..., str]) -> None:
    lab.sql("CREATE DOMAIN mark AS smallint")
    lab.model("old.Thing", {"mark": Plain(kind="mark")})
    lab.model("new.Thing", {"mark": models.DateField()})
    assert "public.old_thing.mark is mark and does not fit public.new_thing.mark, which is date." in refused(PLAIN)
