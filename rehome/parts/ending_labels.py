"""The SQL that leads whatever names an old label to the new one, for a migration that imports nothing of rehome.

It is the end of a model that has changed its label and no table: for databases that have not had the change, and for
what old code has written since.
"""

import json

from rehome.parts.content_types import Label
from rehome.parts.permissions import renamed_codenames
from rehome.postgres.sql import SQL, Literal, quoted

HEAD = """\
-- What names the label of {source} names that of {target}
-- Written by `manage.py endmoves`. All or nothing; run again, it changes nothing.
"""


def statement(source: str, target: str) -> str:
    """`source` and `target` are labels as people write them, such as shop.Item."""
    old, new = (Label(app, model.lower(), "") for app, _, model in (one.partition(".") for one in (source, target)))
    body = SQL(BODY).format(
        source_app=Literal(old.app),
        source_model=Literal(old.model),
        target_app=Literal(new.app),
        target_model=Literal(new.model),
        codenames=Literal(json.dumps(dict(renamed_codenames(old, new)))),
    )
    return f"{HEAD.format(source=source, target=target)}DO {quoted(body.as_string()).as_string()}"


BODY = """
DECLARE
  own_path CONSTANT text := pg_catalog.current_setting('search_path');
  types CONSTANT regclass := pg_catalog.to_regclass('django_content_type');
  permissions CONSTANT regclass := pg_catalog.to_regclass('auth_permission');
  codenames CONSTANT jsonb := {codenames};
  old_type bigint;
  new_type bigint;
  it record;
BEGIN
  IF types IS NULL THEN
    RETURN;
  END IF;
  PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
  EXECUTE format('LOCK TABLE %s IN SHARE ROW EXCLUSIVE MODE', types);
  EXECUTE format('SELECT id FROM %s WHERE app_label = $1 AND model = $2', types)
     INTO old_type USING {source_app}, {source_model};
  EXECUTE format('SELECT id FROM %s WHERE app_label = $1 AND model = $2', types)
     INTO new_type USING {target_app}, {target_model};
  IF old_type IS NOT NULL AND new_type IS NULL THEN
    EXECUTE format('UPDATE %s SET app_label = $1, model = $2 WHERE id = $3', types)
      USING {target_app}, {target_model}, old_type;
    new_type := old_type;
  END IF;
  IF old_type IS NOT NULL AND permissions IS NOT NULL THEN
    EXECUTE format('UPDATE %1$s AS p SET content_type_id = $1, codename = coalesce($3 ->> codename, codename) '
                   'WHERE content_type_id = $2 AND NOT EXISTS (SELECT FROM %1$s AS d WHERE d.id <> p.id '
                   'AND d.content_type_id = $1 AND d.codename = coalesce($3 ->> p.codename, p.codename))', permissions)
      USING new_type, old_type, codenames;
  END IF;
  IF old_type <> new_type THEN
    PERFORM set_config('search_path', own_path, true);
    FOR it IN SELECT c.conrelid::pg_catalog.regclass AS place, a.attname AS name
                FROM pg_catalog.pg_constraint c
                JOIN pg_catalog.pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = c.conkey[1]
               WHERE c.contype = 'f' AND c.confrelid = types AND c.conrelid IS DISTINCT FROM permissions
                 AND c.conparentid = 0
    LOOP
      BEGIN
        EXECUTE pg_catalog.format('UPDATE %s SET %I = $1 WHERE %I = $2', it.place, it.name, it.name)
          USING new_type, old_type;
      EXCEPTION WHEN unique_violation THEN
        -- Of two rows that are the same afterwards, one is kept.
        EXECUTE pg_catalog.format(
          'DELETE FROM %1$s AS gone WHERE %2$I = $2 AND EXISTS (SELECT FROM %1$s AS same WHERE same.%2$I = $1 '
          'AND pg_catalog.to_jsonb(same) - ''id'' - %2$L = pg_catalog.to_jsonb(gone) - ''id'' - %2$L)',
          it.place, it.name) USING new_type, old_type;
        EXECUTE pg_catalog.format('UPDATE %s SET %I = $1 WHERE %I = $2', it.place, it.name, it.name)
          USING new_type, old_type;
      END;
    END LOOP;
    -- Who may do what under each label stays: a grant that was revoked under the new one does not return. Such a table
    -- has a holder and a permission alone. What other tables have of the old permission is led to the new one.
    FOR it IN SELECT c.conrelid::pg_catalog.regclass AS place, a.attname AS name
                FROM pg_catalog.pg_constraint c
                JOIN pg_catalog.pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = c.conkey[1]
               WHERE c.contype = 'f' AND c.confrelid = permissions AND c.conparentid = 0
                 AND (SELECT pg_catalog.count(*) FROM pg_catalog.pg_attribute
                       WHERE attrelid = c.conrelid AND attnum > 0 AND NOT attisdropped) > 3
    LOOP
      EXECUTE pg_catalog.format(
        'UPDATE %1$s AS given SET %3$I = d.id FROM %2$s AS p JOIN %2$s AS d '
        'ON d.content_type_id = $1 AND d.codename = coalesce($3 ->> p.codename, p.codename) '
        'WHERE p.id = given.%3$I AND p.content_type_id = $2 AND NOT EXISTS (SELECT FROM %1$s AS same '
        'WHERE same.%3$I = d.id AND pg_catalog.to_jsonb(same) - ''id'' - %3$L '
        '= pg_catalog.to_jsonb(given) - ''id'' - %3$L)', it.place, permissions, it.name)
        USING new_type, old_type, codenames;
    END LOOP;
  END IF;
  PERFORM pg_catalog.set_config('search_path', own_path, true);
END
"""
