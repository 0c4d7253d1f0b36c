"""The farm as chaos finds it: filled, with a cascade and triggers, and with rows that are in the log as well."""

import collections

from django.db import connection

from tests.chaos import statements
from tests.chaos.journal import Write, assert_holds, rows_of
from tests.chaos.statements import SIDES
from tests.farm import farm

NOTES = """
CREATE TABLE chaos_mark (mark bigint PRIMARY KEY);
CREATE TABLE chaos_note (place text, key int, born int, version int, found int, profile int);
CREATE FUNCTION chaos_note() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE format('UPDATE %I SET api_key = (api_key::int + 1)::text WHERE id = $1
                  RETURNING ip_address::int, api_key::int, id, profile_id', new.place)
     INTO new.born, new.version, new.found, new.profile USING new.key;
  RETURN new;
END $$;
CREATE TRIGGER chaos_note BEFORE INSERT ON chaos_note FOR EACH ROW EXECUTE FUNCTION chaos_note();
"""
AUDIT = """
CREATE TABLE chaos_audit (kind text, born int, version int, event text);
CREATE FUNCTION chaos_audit() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  kind CONSTANT text := split_part(TG_TABLE_NAME, '_', 2);
  written CONSTANT jsonb := to_jsonb(CASE TG_OP WHEN 'DELETE' THEN old ELSE new END);
  columns CONSTANT text[] := CASE kind WHEN 'printer' THEN '{ip_address,api_key}' ELSE '{name,username}' END;
BEGIN
  INSERT INTO chaos_audit VALUES (kind, (written ->> columns[1])::int,
                                  (written ->> columns[2])::int + (TG_OP = 'DELETE')::int, TG_OP);
  RETURN NULL;
END $$;
CREATE FUNCTION chaos_stamp() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  new.email := new.username || '@' || TG_TABLE_NAME;
  RETURN new;
END $$;
CREATE TRIGGER chaos_audit AFTER INSERT OR UPDATE OR DELETE ON portal_printer
  FOR EACH ROW EXECUTE FUNCTION chaos_audit();
CREATE TRIGGER chaos_audit AFTER INSERT OR UPDATE OR DELETE ON portal_profile
  FOR EACH ROW EXECUTE FUNCTION chaos_audit();
CREATE TRIGGER chaos_stamp BEFORE INSERT OR UPDATE ON portal_profile FOR EACH ROW EXECUTE FUNCTION chaos_stamp();
"""
"""The project's own triggers on the sources: one that records each write, and one that changes the row."""
FOREIGN_KEYS = """
SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint
 WHERE contype = 'f' AND conrelid::regclass::text = ANY(%s)
   AND confrelid::regclass::text = ANY(%s)
"""
FILL = [
    "TRUNCATE portal_printer, portal_profile",
    "INSERT INTO portal_profile (id, name, username) SELECT n, n, '0' FROM generate_series(1, 20) n",
    "INSERT INTO portal_printer (id, ip_address, api_key, profile_id, ping, printing) "
    "SELECT n, n, '0', CASE WHEN n % 3 = 0 THEN 1 + n % 20 END, false, false FROM generate_series(1, {rows}) n",
    "SELECT setval('portal_printer_id_seq', 100000)",
    "SELECT setval('portal_profile_id_seq', 100000)",
]


def prepare(rows: int = statements.PRINTERS) -> list[Write]:
    """The default database is the stage from now on; returns the births of the rows that it has.

    The targets are fenced, as they are after any way back, so that new code may be there from the beginning.
    """
    for statement in FILL:
        farm.sql(statement.format(rows=rows))
    farm.sql(NOTES)
    printers, profiles = zip(*SIDES.values(), strict=True)
    for table, name, definition in farm.sql(FOREIGN_KEYS, [list(printers), list(profiles)]):
        cascading = definition.replace(" DEFERRABLE", " ON DELETE CASCADE DEFERRABLE")
        farm.sql(f"ALTER TABLE {table} DROP CONSTRAINT {name}, ADD CONSTRAINT {name} {cascading}")
    farm.sql(AUDIT)
    farm.migrate()
    farm.migrate_back()
    return [write for kind in statements.READ for write in read(kind, "old")]


def read(kind: str, side: str) -> list[Write]:
    printers, profiles = SIDES[side]
    found = farm.sql(statements.READ[kind].format(t=printers, p=profiles))
    return [statements.write_of(row) for row in found]


def conninfo() -> str:
    """Of the default database, for a program that is not Django's."""
    from psycopg.conninfo import make_conninfo

    parameters = connection.get_connection_params()
    names = ("host", "port", "user", "password", "dbname")
    return make_conninfo(**{name: parameters[name] for name in names if parameters.get(name)})


def assert_nothing_lost(writes: list[Write], *sides: str) -> None:
    """On each of the sides there is what the log says, and nothing else."""
    for kind in statements.READ:
        expected = rows_of(writes, kind)
        for side in sides:
            assert_holds(read(kind, side), expected, f"{kind}s on the {side} side")


def assert_audited(births: list[Write], writes: list[Write]) -> None:
    """Each write set off the trigger of the source once, whichever table it came through, and nothing else did.

    What deletes a row and inserts it again in one statement is two events of one write.
    """
    logged = {(write.kind, write.born, write.version) for write in writes}
    found = farm.sql("SELECT kind, born, version, event FROM chaos_audit")
    twice = {event: count for event, count in collections.Counter(found).items() if count > 1}
    audited = {tuple(event[:3]) for event in found}
    assert twice == {}, f"{len(twice)} events were recorded more than once"
    assert logged - audited == set(), f"{len(logged - audited)} writes set off no trigger"
    unknown = audited - logged - {(birth.kind, birth.born, birth.version) for birth in births}
    assert unknown == set(), f"{len(unknown)} events of no committed write"
    stale = farm.sql("SELECT id FROM portal_profile WHERE email IS DISTINCT FROM username || '@portal_profile'")
    # Those that nobody has written since the trigger was made.
    touched = {write.key for write in writes if write.kind == "profile"}
    assert {key for (key,) in stale} & touched == set()
