"""What a writer may do: SQL over the two sides' tables, each statement returning the rows as it left them.

A row's birth and version are in text columns that the farm has: `ip_address` and `api_key` of a printer, `name` and
`username` of a profile. {t} is one side's printers, {p} its profiles.
"""

from tests.chaos.journal import Write

SIDES = {"old": ("portal_printer", "portal_profile"), "new": ("printers_printer", "accounts_profile")}
PRINTERS = 3000
"""Keys of printers that are taken by choice; those that the sequence gives are larger."""
HOT = 60
"""The first of them, which every writer comes to again and again."""
PROFILES = 30

ROW = "'printer', ip_address::int, api_key::int, id, profile_id"
GONE = "'printer', ip_address::int, api_key::int + 1, NULL, NULL"
OWNER = "'profile', name::int, username::int, id, NULL"
NEXT = "api_key = ({t}.api_key::int + 1)::text"
BIRTH = "INSERT INTO {t} (id, ip_address, api_key, profile_id, ping, printing)"
NEW = f"{BIRTH} VALUES (%(key)s, %(born)s, '0', NULL, false, false)"
NEW_OWNER = "INSERT INTO {p} (id, name, username) VALUES (%(owner)s, %(born)s, '0')"

UPDATES = [
    f"UPDATE {{t}} SET {NEXT}, printing = NOT printing WHERE id = %(key)s RETURNING {ROW}",
    f"UPDATE {{t}} SET {NEXT}, profile_id = %(owner)s WHERE id = %(key)s RETURNING {ROW}",
    f"UPDATE {{t}} SET {NEXT} WHERE id BETWEEN %(key)s AND %(key)s + 3 RETURNING {ROW}",
    f"UPDATE {{t}} SET {NEXT}, id = %(other)s WHERE id = %(key)s RETURNING {ROW}",
    f"{NEW} ON CONFLICT (id) DO UPDATE SET {NEXT} RETURNING {ROW}",
    # Another trigger writes the row: see stage.py.
    "INSERT INTO chaos_note (place, key) VALUES ('{t}', %(key)s) RETURNING 'printer', born, version, found, profile",
    "UPDATE {p} SET username = (username::int + 1)::text WHERE id = %(owner)s RETURNING " + OWNER,
]
BIRTHS = [
    f"{NEW} ON CONFLICT (id) DO NOTHING RETURNING {ROW}",
    f"{BIRTH} SELECT %(key)s + n, %(born)s + n, '0', NULL, false, false FROM generate_series(0, 3) n "
    f"ON CONFLICT (id) DO NOTHING RETURNING {ROW}",
    f"{NEW_OWNER} ON CONFLICT (id) DO NOTHING RETURNING {OWNER}",
]
DRAWN = f"INSERT INTO {{t}} (ip_address, api_key, ping, printing) VALUES (%(born)s, '0', false, false) RETURNING {ROW}"
"""The key comes from the sequence, and nobody may have it already."""
DEATHS = [
    f"DELETE FROM {{t}} WHERE id = %(key)s RETURNING {GONE}",
    f"DELETE FROM {{t}} WHERE id BETWEEN %(key)s AND %(key)s + 2 RETURNING {GONE}",
    # Gone and there again, in one statement.
    f"WITH gone AS (DELETE FROM {{t}} WHERE id = %(key)s RETURNING *) {BIRTH} "
    f"SELECT id, ip_address, (api_key::int + 1)::text, profile_id, ping, printing FROM gone RETURNING {ROW}",
]
REBORN = [DEATHS[0], f"{NEW} RETURNING {ROW}"]
"""A deleted key is taken again by another row, in one transaction."""
CASCADE = [
    f"SELECT {OWNER} FROM portal_profile WHERE id = %(owner)s FOR UPDATE",
    f"SELECT {ROW} FROM portal_printer WHERE profile_id = %(owner)s FOR UPDATE",
    "DELETE FROM {p} WHERE id = %(owner)s RETURNING 'profile', name::int, username::int + 1, NULL, NULL",
]
"""The database deletes the printers of a profile. Which ones, the locks make sure of: the old side has all of them,
even where the profiles have moved and the printers have not.
"""

READ = {"printer": f"SELECT {ROW} FROM {{t}}", "profile": f"SELECT {OWNER} FROM {{p}}"}


def write_of(row: tuple[str, int, int, int | None, int | None]) -> Write:
    return Write(*row)
