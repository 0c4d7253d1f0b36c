"""The farm's two moves as an expert would type them."""

from django.core.management import CommandError
from django.db import connection

from scripts.benching import run

PROFILE = "id, name, username, email, organization, user_id"
PRINTER = "id, ip_address, api_key, ping, printing, profile_id"


def move() -> None:
    """The profiles, then the printers that point at them."""
    for source, target, columns, key, unique, plain_index, referenced in (
        ("portal_profile", "accounts_profile", PROFILE, "user_id", "(user_id)", None, "auth_user"),
        (
            "portal_printer",
            "printers_printer",
            PRINTER,
            "profile_id",
            "(ip_address, api_key)",
            "profile_id",
            "accounts_profile",
        ),
    ):
        names = constraint_names(target)
        # The printers' empty table points at the profiles' primary key, which therefore stays.
        primary_key = names["p"] if target == "printers_printer" else []
        run(*(f'ALTER TABLE {target} DROP CONSTRAINT "{name}"' for name in names["f"] + names["u"] + primary_key))
        run(*(f'DROP INDEX "{name}"' for name in names["i"]))
        hashed = f"SELECT count(*), bit_xor(hash_record_extended(ROW({columns}), 0)) FROM"
        with connection.cursor() as cursor:
            cursor.execute("BEGIN")
            cursor.execute(f"LOCK TABLE {source} IN SHARE MODE")
            cursor.execute(f"INSERT INTO {target} ({columns}) SELECT {columns} FROM {source}")  # noqa: S608
            if primary_key:
                cursor.execute(f"ALTER TABLE {target} ADD PRIMARY KEY (id)")
            cursor.execute(f"ALTER TABLE {target} ADD UNIQUE {unique}")
            if plain_index:
                cursor.execute(f"CREATE INDEX ON {target} ({plain_index})")
            cursor.execute(f"{hashed} {source}")
            before = cursor.fetchone()
            cursor.execute(f"{hashed} {target}")
            if cursor.fetchone() != before:
                raise CommandError("The copy made by hand differs.")
            cursor.execute(
                f"SELECT count(*) FROM {target} c WHERE {key} IS NOT NULL"  # noqa: S608
                f" AND NOT EXISTS (SELECT FROM {referenced} p WHERE p.id = c.{key})"
            )
            cursor.execute(f"SELECT setval(pg_get_serial_sequence('{target}', 'id'), max(id)) FROM {target}")  # noqa: S608
            cursor.execute(sync(source, target, columns))
            cursor.execute(sync(target, source, columns))
            cursor.execute(
                f"ALTER TABLE {target} ADD CONSTRAINT {target}_by_hand FOREIGN KEY ({key}) REFERENCES {referenced}"
                " DEFERRABLE INITIALLY DEFERRED NOT VALID"
            )
            cursor.execute("COMMIT")
        run(f"VACUUM (ANALYZE) {target}", f"ALTER TABLE {target} VALIDATE CONSTRAINT {target}_by_hand")


def sync(origin: str, destination: str, columns: str) -> str:
    names = columns.split(", ")
    news = ", ".join(f"new.{name}" for name in names)
    changes = ", ".join(f"{name} = excluded.{name}" for name in names)
    return f"""
        CREATE FUNCTION {origin}_by_hand() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
          IF TG_OP = 'DELETE' THEN DELETE FROM {destination} WHERE id = old.id; RETURN NULL; END IF;
          INSERT INTO {destination} AS t ({columns}) VALUES ({news}) ON CONFLICT (id) DO UPDATE SET {changes}
          WHERE ROW(t.*) IS DISTINCT FROM ROW(excluded.*);
          RETURN NULL; END $$;
        CREATE TRIGGER by_hand AFTER INSERT OR UPDATE OR DELETE ON {origin}
          FOR EACH ROW EXECUTE FUNCTION {origin}_by_hand()"""  # noqa: S608


def constraint_names(table: str) -> dict[str, list[str]]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT contype::text, conname FROM pg_constraint WHERE conrelid = %s::regclass", [table])
        constraints = cursor.fetchall()
        cursor.execute(
            "SELECT i.relname FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid WHERE x.indrelid = %s::regclass"
            " AND NOT EXISTS (SELECT FROM pg_constraint c WHERE c.conindid = x.indexrelid)",
            [table],
        )
        indexes = [name for (name,) in cursor.fetchall()]
    return {kind: [name for k, name in constraints if k == kind] for kind in "fup"} | {"i": indexes}
