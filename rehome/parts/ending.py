"""The SQL that ends a move, for a migration that imports nothing of rehome: everything is looked up where it runs.

Names of what a move has made contain a hash of the names of both tables with their schemas, which only the database
knows: a project may have a schema for each tenant.
"""

import json
import re
from typing import Any, NamedTuple

from rehome.parts import functions
from rehome.parts.content_types import Label
from rehome.parts.foreign_keys import ORIGIN, columns_there
from rehome.parts.permissions import renamed_codenames
from rehome.plan.plan import Model, Plan, TablePair
from rehome.postgres.conf import LOCK_TIMEOUT_MS, LOCK_TRIES
from rehome.postgres.session import ONE_MOVE
from rehome.postgres.sql import SQL, Identifier, Literal, quoted

MARK = re.compile(r"-- The end of (\S+ -> \S+)\n")
"""How the statement begins."""
PAIRS = re.compile(r"\n  pairs CONSTANT jsonb := '(.*)';\n")
HEAD = """\
-- The end of {move}
-- Written by `manage.py endmoves`. All or nothing, and there is no way back.
"""


def statement(plan: Plan, *, last: bool) -> str:
    """Locks, raises where the move can't end on the database that runs it, then drops what is left of it.

    With `last`, the records of moves are dropped too, where all of them have ended. Run again, it changes nothing.
    """
    source, target = plan.move.resolve_labels()
    models = (plan.source_model, plan.target_model)
    body = SQL(BODY).format(
        move=Literal(str(plan.move)),
        name=Literal(plan.move.target),
        pairs=Literal(json.dumps([facts(pair, plan) for pair in plan.pairs])),
        source_app=Literal(source[0]),
        source_model=Literal(source[1]),
        target_app=Literal(target[0]),
        target_model=Literal(target[1]),
        codenames=Literal(json.dumps(dict(renamed_codenames(*map(Label.of, models))))),
        last=SQL("true" if last else "false"),
        tries=SQL(str(LOCK_TRIES)),
        timeout=Literal(str(LOCK_TIMEOUT_MS)),
        one_move=SQL(str(ONE_MOVE)),
        origin=Literal(ORIGIN),
    )
    return f"{HEAD.format(move=plan.move)}DO {quoted(body.as_string()).as_string()}"


class Tables(NamedTuple):
    """Of a move that ends: their names, quoted."""

    old: tuple[str, ...]
    new: tuple[str, ...]


def read_tables(statement: str) -> Tables:
    """As an ending says them; none where somebody has written it otherwise."""
    found = PAIRS.search(statement)
    try:
        pairs = json.loads(found[1].replace("''", "'")) if found else []
        old, new = (tuple(Identifier(*pair[side]).as_string() for pair in pairs) for side in ("old", "new"))
    except (KeyError, TypeError, ValueError):
        return Tables((), ())
    return Tables(old, new)


def facts(pair: TablePair, plan: Plan) -> dict[str, Any]:
    """Of one table: nothing that another database of the project could have otherwise."""
    _, computed = functions.compute(pair, plan.search_path)
    ways = {str(pair.source): "forward", str(pair.target): "backward"}
    return {
        "old": identifiers(pair.source_model, plan),
        "new": identifiers(pair.target_model, plan),
        "columns": columns_there(pair),
        "computed": sorted([ways[str(value.table)], value.column.name] for value in computed),
    }


def identifiers(model: Model, plan: Plan) -> list[str]:
    """The name of its table, after that of a schema where the model names one."""
    name = plan.connection.ops.quote_name(model._meta.db_table)
    return [part.replace('""', '"') for part in re.findall(r'"((?:[^"]|"")*)"', name)]


BODY = """
DECLARE
  moved CONSTANT text := {move};
  pairs CONSTANT jsonb := {pairs};
  own_path CONSTANT text := pg_catalog.current_setting('search_path');
  own_timeout CONSTANT text := pg_catalog.current_setting('lock_timeout');
  own_row_security CONSTANT text := pg_catalog.current_setting('row_security');
  ledger CONSTANT regclass := pg_catalog.to_regclass('rehome_moverun');
  types CONSTANT regclass := pg_catalog.to_regclass('django_content_type');
  permissions CONSTANT regclass := pg_catalog.to_regclass('auth_permission');
  codenames CONSTANT jsonb := {codenames};
  olds oid[];
  news oid[];
  run_id bigint;
  phase text;
  source text;
  step text;
  old_type bigint;
  new_type bigint;
  it record;
  key record;
  found text;
  yes boolean;
  schemas text[] := '{{}}';
  places oid[];
  hashes text[] := '{{}}';
  homes text[] := '{{}}';
  named text[] := '{{}}';
  mine text;
BEGIN
  SELECT pg_catalog.array_agg(pg_catalog.to_regclass(o)::oid ORDER BY n),
         pg_catalog.array_agg(pg_catalog.to_regclass(w)::oid ORDER BY n)
    INTO olds, news
    FROM (SELECT e.n,
                 (SELECT pg_catalog.string_agg(pg_catalog.quote_ident(p), '.' ORDER BY i)
                    FROM pg_catalog.jsonb_array_elements_text(e.pair -> 'old') WITH ORDINALITY AS parts (p, i)),
                 (SELECT pg_catalog.string_agg(pg_catalog.quote_ident(p), '.' ORDER BY i)
                    FROM pg_catalog.jsonb_array_elements_text(e.pair -> 'new') WITH ORDINALITY AS parts (p, i))
            FROM pg_catalog.jsonb_array_elements(pairs) WITH ORDINALITY AS e (pair, n)) AS named (n, o, w);
  PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
  PERFORM set_config('row_security', 'off', true);

  -- Every lock, or none: nobody waits for long behind one that is not granted.
  IF NOT (SELECT relkind = 'r' AND relowner IN (
            SELECT c.relowner FROM pg_class c WHERE c.oid = ANY (olds || news)
             UNION SELECT r.oid FROM pg_roles r WHERE r.rolname = current_user) FROM pg_class WHERE oid = ledger) THEN
    RAISE object_not_in_prerequisite_state USING
      MESSAGE = format('%s is not the table in which rehome keeps its records.', ledger),
      HINT = 'Find out who made it, and drop or rename it.';
  END IF;
  FOR turn IN 1..{tries} LOOP
    BEGIN
      PERFORM set_config('lock_timeout', {timeout}, true);
      PERFORM pg_advisory_xact_lock({one_move});
      FOR it IN SELECT c.oid::regclass AS place FROM unnest(olds || news || ledger::oid) WITH ORDINALITY AS o (oid, n)
                  JOIN pg_class c ON c.oid = o.oid AND c.relkind IN ('r', 'p', 'v') ORDER BY n
      LOOP
        EXECUTE format('LOCK TABLE %s IN ACCESS EXCLUSIVE MODE', it.place);
      END LOOP;
      EXIT;
    EXCEPTION WHEN lock_not_available OR deadlock_detected THEN
      IF turn = {tries} THEN
        RAISE;
      END IF;
      PERFORM pg_sleep(random() * least(2, 0.1 * turn));
    END;
  END LOOP;

  -- Whether the move may end on this database.
  IF ledger IS NOT NULL THEN
    EXECUTE format('SELECT id, phase, source_table FROM %s WHERE lower(move) = lower($1) ORDER BY id DESC LIMIT 1',
                   ledger) INTO run_id, phase, source USING moved;
  END IF;
  step := CASE WHEN phase IN ('live', 'moved') THEN 'Run `manage.py retiremoves ' || {name} || '`'
               WHEN phase = 'frozen' THEN 'Drop the old table, after a backup,'
               ELSE 'Run `manage.py migrate` and `manage.py retiremoves ' || {name} || '`' END
          || ' with the release before this migration. Then run this migration again.';
  FOR it IN SELECT c.oid::regclass AS place, c.relkind, obj_description(c.oid, 'pg_class') AS said
              FROM pg_class c WHERE c.oid = ANY (olds) ORDER BY array_position(olds, c.oid)
  LOOP
    yes := false;
    IF it.relkind <> 'v' THEN
      EXECUTE format('SELECT EXISTS (SELECT FROM %s)', it.place) INTO yes;
    END IF;
    IF yes AND phase IS NULL THEN
      RAISE object_not_in_prerequisite_state USING
        MESSAGE = format('%s has rows, and %s has not run on this database. Nothing is dropped.', it.place, moved),
        HINT = step || ' In a new database, no migration may fill the old table: let it fill the new one.';
    ELSIF yes AND phase = 'ended' OR it.relkind <> 'v' AND phase IN ('retired', 'in place') THEN
      RAISE object_not_in_prerequisite_state USING
        MESSAGE = format('%s is a table, and %s is recorded as %L. Nothing is dropped.', it.place, moved, phase),
        HINT = 'Find out who made it, and drop or rename it. Then run this migration again.';
    ELSIF it.relkind = 'v' AND (coalesce(phase, 'ended') = 'ended' OR coalesce(it.said, '') NOT LIKE 'rehome: %') THEN
      RAISE object_not_in_prerequisite_state USING
        MESSAGE = format('%s is a view that %s has not made. Nothing is dropped.', it.place, moved),
        HINT = 'Find out who made it, and drop or rename it. Then run this migration again.';
    END IF;
  END LOOP;
  IF phase NOT IN ('retired', 'in place', 'ended')
     AND NOT (phase = 'frozen' AND NOT EXISTS (SELECT FROM pg_class WHERE oid = ANY (olds))) THEN
    RAISE object_not_in_prerequisite_state USING
      MESSAGE = format('%s is %L on this database, neither retired nor in place. Nothing is dropped.', moved, phase),
      HINT = step;
  END IF;
  SELECT string_agg(DISTINCT CASE WHEN v.oid IS NULL THEN pg_describe_object(d.classid, d.objid, d.objsubid)
                                  ELSE format('view %s', v.oid::regclass) END, ', ') INTO found
    FROM pg_depend d
    LEFT JOIN pg_rewrite r ON d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid
    LEFT JOIN pg_class v ON v.oid = r.ev_class
   WHERE (d.refclassid = 'pg_class'::regclass AND d.refobjid = ANY (olds)
          OR d.refclassid = 'pg_type'::regclass AND d.refobjid IN (
             SELECT t.oid FROM pg_class c JOIN pg_type t ON c.reltype IN (t.oid, t.typelem) WHERE c.oid = ANY (olds)))
     AND d.deptype = 'n'
     AND d.classid <> 'pg_constraint'::regclass AND coalesce(r.ev_class, 0) <> ALL (olds)
     -- What is part of an old table goes with it: a generated column, a trigger with a condition, a policy.
     AND NOT EXISTS (SELECT FROM pg_depend p
                      WHERE (p.classid, p.objid) = (d.classid, d.objid) AND p.deptype IN ('a', 'i')
                        AND p.refclassid = 'pg_class'::regclass AND p.refobjid = ANY (olds));
  IF found IS NOT NULL THEN
    RAISE object_not_in_prerequisite_state USING
      MESSAGE = format('%s still use what %s has replaced. Nothing is dropped.', found, moved),
      HINT = 'Drop them, or let them use the new table. Then run this migration again.';
  END IF;

  -- What old code has written under the label of its model is the new model's.
  IF phase IN ('retired', 'in place') AND types IS NOT NULL THEN
    EXECUTE format('SELECT id FROM %s WHERE app_label = $1 AND model = $2', types)
       INTO old_type USING {source_app}, {source_model};
    EXECUTE format('SELECT id FROM %s WHERE app_label = $1 AND model = $2', types)
       INTO new_type USING {target_app}, {target_model};
    PERFORM set_config('search_path', own_path, true);
    FOR it IN SELECT c.conrelid::pg_catalog.regclass AS place, a.attname AS name
                FROM pg_catalog.pg_constraint c
                JOIN pg_catalog.pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = c.conkey[1]
               WHERE c.contype = 'f' AND c.confrelid = types AND c.conrelid IS DISTINCT FROM permissions
                 AND c.conparentid = 0 AND old_type IS NOT NULL AND new_type IS NOT NULL
    LOOP
      BEGIN
        EXECUTE pg_catalog.format('UPDATE %s SET %I = $1 WHERE %I = $2', it.place, it.name, it.name)
          USING new_type, old_type;
      EXCEPTION WHEN unique_violation THEN
        RAISE object_not_in_prerequisite_state USING
          MESSAGE = pg_catalog.format('Rows of %s name both content types of %s. Nothing is dropped.', it.place, moved),
          HINT = 'Run `manage.py migrate` with the release before this migration, which merges them. Then run this '
                 'migration again.';
      END;
    END LOOP;
    PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
    -- Both labels have each permission that is granted. What one of them alone has was not brought over.
    FOR it IN SELECT c.conrelid::regclass AS place, a.attname AS name
                FROM pg_constraint c JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = c.conkey[1]
               WHERE c.contype = 'f' AND c.confrelid = permissions AND c.conparentid = 0 AND old_type IS NOT NULL
    LOOP
      EXECUTE format(
        'SELECT EXISTS (SELECT FROM %1$s AS given JOIN %2$s AS p ON p.id = given.%3$I '
        'WHERE p.content_type_id = $1 AND NOT EXISTS (SELECT FROM %1$s AS same JOIN %2$s AS d ON d.id = same.%3$I '
        'WHERE d.content_type_id = $2 AND d.codename = coalesce($3 ->> p.codename, p.codename) '
        'AND to_jsonb(same) - ''id'' - %3$L = to_jsonb(given) - ''id'' - %3$L))',
        it.place, permissions, it.name) INTO yes USING old_type, new_type, codenames;
      IF yes THEN
        RAISE object_not_in_prerequisite_state USING
          MESSAGE = format('Rows of %s give permissions under the old label of %s only. Nothing is dropped.',
                           it.place, moved),
          HINT = 'Run `manage.py migrate` with the release before this migration, which brings them over. Then run '
                 'this migration again.';
      END IF;
    END LOOP;
    -- What is checked at the end of the transaction would forbid the ALTER TABLEs that follow.
    SET CONSTRAINTS ALL IMMEDIATE;
  END IF;

  -- Foreign keys that lead to an old table, which is empty, lead to the new one.
  FOR key IN
    SELECT c.oid, c.conname, c.conrelid::regclass AS place, c.confrelid::regclass AS old, w.new::regclass AS new,
           (SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY k.n)
              FROM unnest(c.conkey) WITH ORDINALITY AS k (num, n)
              JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = k.num) AS here,
           (SELECT string_agg(quote_ident(w.pair -> 'columns' ->> a.attname), ', ' ORDER BY k.n)
              FROM unnest(c.confkey) WITH ORDINALITY AS k (num, n)
              JOIN pg_attribute a ON a.attrelid = c.confrelid AND a.attnum = k.num
            HAVING bool_and(w.pair -> 'columns' ? a.attname)) AS there,
           CASE c.confdeltype WHEN 'c' THEN ' ON DELETE CASCADE' WHEN 'n' THEN ' ON DELETE SET NULL'
                WHEN 'd' THEN ' ON DELETE SET DEFAULT' WHEN 'r' THEN ' ON DELETE RESTRICT' ELSE '' END
           || CASE WHEN c.condeferrable THEN ' DEFERRABLE' ELSE '' END
           || CASE WHEN c.condeferred THEN ' INITIALLY DEFERRED' ELSE '' END AS terms
      FROM pg_constraint c
      JOIN unnest(olds, news, ARRAY(SELECT jsonb_array_elements(pairs))) AS w (old, new, pair) ON c.confrelid = w.old
     WHERE c.contype = 'f' AND c.conrelid <> ALL (array_remove(olds, NULL)) AND c.conparentid = 0
  LOOP
    IF key.new IS NULL OR key.there IS NULL THEN
      RAISE object_not_in_prerequisite_state USING
        MESSAGE = format('The foreign key %s of %s leads to %s. Nothing is dropped.', key.conname, key.place, key.old),
        HINT = 'Drop it, or let it lead to another table. Then run this migration again.';
    END IF;
    EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I, ADD CONSTRAINT %I FOREIGN KEY (%s) REFERENCES %s (%s)%s',
                   key.place, key.conname, key.conname, key.here, key.new, key.there, key.terms);
  END LOOP;

  -- The names of all that the move has made, while both tables are there to tell them.
  FOR it IN
    SELECT coalesce(o.place, w.main, w.schema || '.' || (w.pair -> 'old' ->> -1)) AS old,
           w.schema || '.' || w.name AS new,
           coalesce(o.schema, split_part(w.main, '.', 1), w.schema) AS old_schema, w.schema AS new_schema, w.pair
      FROM (SELECT w.old, w.pair, s.nspname::text AS schema, c.relname::text AS name,
                   CASE w.n WHEN 1 THEN source END AS main
              FROM unnest(olds, news, ARRAY(SELECT jsonb_array_elements(pairs)))
                   WITH ORDINALITY AS w (old, new, pair, n)
              JOIN pg_class c ON c.oid = w.new JOIN pg_namespace s ON s.oid = c.relnamespace) AS w
      LEFT JOIN (SELECT c.oid, s.nspname::text AS schema, s.nspname || '.' || c.relname AS place
                   FROM pg_class c JOIN pg_namespace s ON s.oid = c.relnamespace) AS o ON o.oid = w.old
  LOOP
    schemas := schemas || it.old_schema || it.new_schema;
    hashes := hashes || left(encode(sha256(convert_to(it.old || chr(10) || it.new, 'UTF8')), 'hex'), 12);
    homes := homes || it.old;
    FOR key IN SELECT value ->> 0 AS way, value ->> 1 AS name FROM jsonb_array_elements(it.pair -> 'computed')
    LOOP
      named := named || ('rehome_value_' || left(encode(sha256(convert_to(
        CASE key.way WHEN 'forward' THEN it.old || chr(10) || it.new ELSE it.new || chr(10) || it.old END
        || chr(10) || key.name, 'UTF8')), 'hex'), 12));
    END LOOP;
  END LOOP;
  places := ARRAY(SELECT oid FROM pg_namespace WHERE nspname = ANY (schemas));
  mine := '^rehome_[a-z_]+_(' || array_to_string(hashes, '|') || ')$';

  -- The old names, then what stands behind them.
  FOR it IN SELECT string_agg(oid::regclass::text, ', ') AS places, relkind = 'v' AS viewed
              FROM pg_class WHERE oid = ANY (olds) GROUP BY relkind = 'v' ORDER BY viewed DESC
  LOOP
    EXECUTE format('DROP %s %s', CASE WHEN it.viewed THEN 'VIEW' ELSE 'TABLE' END, it.places);
  END LOOP;
  FOR it IN SELECT t.tgname, t.tgrelid::regclass AS place FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid
             WHERE p.proname ~ mine AND p.pronamespace = ANY (places)
  LOOP
    EXECUTE format('DROP TRIGGER %I ON %s', it.tgname, it.place);
  END LOOP;
  FOR it IN SELECT oid::regclass AS place, relkind FROM pg_class
             WHERE relname ~ mine AND relkind IN ('r', 'S') AND relnamespace = ANY (places)
             ORDER BY relname DESC
  LOOP
    EXECUTE format('DROP %s %s', CASE it.relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END, it.place);
  END LOOP;
  FOR it IN SELECT oid::regprocedure AS place FROM pg_proc
             WHERE (proname ~ mine OR proname = ANY (named)) AND pronamespace = ANY (places)
  LOOP
    EXECUTE format('DROP FUNCTION %s', it.place);
  END LOOP;
  FOR it IN SELECT c.conname, c.conrelid::regclass AS place,
                   substr(obj_description(c.oid, 'pg_constraint'), 1 + length({origin}))::jsonb AS home
              FROM pg_constraint c
             WHERE c.contype = 'f' AND c.confrelid = ANY (news)
               AND starts_with(obj_description(c.oid, 'pg_constraint'), {origin})
  LOOP
    IF (it.home ->> 0) || '.' || (it.home ->> 1) = ANY (homes) THEN
      EXECUTE format('COMMENT ON CONSTRAINT %I ON %s IS NULL', it.conname, it.place);
    END IF;
  END LOOP;

  -- The record.
  IF run_id IS NOT NULL THEN
    EXECUTE format('UPDATE %s SET phase = ''ended'', changed_at = now() WHERE id = $1', ledger) USING run_id;
  END IF;
  IF {last} AND ledger IS NOT NULL THEN
    EXECUTE format('SELECT NOT EXISTS (SELECT FROM %1$s AS r WHERE phase <> ''ended'' AND NOT EXISTS ('
                   'SELECT FROM %1$s AS later WHERE later.id > r.id AND later.source_table = r.source_table '
                   'AND later.target_table = r.target_table))', ledger) INTO yes;
    IF yes THEN
      EXECUTE format('DROP TABLE %s', ledger);
    END IF;
  END IF;
  PERFORM set_config('row_security', own_row_security, true);
  PERFORM set_config('lock_timeout', own_timeout, true);
  PERFORM set_config('search_path', own_path, true);
END
"""
