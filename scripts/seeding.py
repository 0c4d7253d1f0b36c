"""Fills the monolith's tables inside PostgreSQL, many ordinary rows and every awkward one, in seconds."""

from typing import Any

from django.db import transaction
from django.db.backends.base.base import BaseDatabaseWrapper

LARGEST_INT, LARGEST_BIGINT = 2**31 - 1, 2**63 - 1
BULK = 1000
"""Keys of the ordinary rows begin after this one; the awkward rows come before, and at the end of the type."""

USERS = [10, 30, 60, 80, 99]
"""99 has no profile."""

PROFILES: list[tuple[Any, ...]] = [
    # id, user, name, username, organization, email
    (10, 10, "Ada Lovelace", "ada", "Analytical Engines", "ada@example.com"),
    (20, None, "Nobody's account", "guest", "", None),
    (30, 30, None, None, None, None),
    (40, None, None, None, None, None),
    (50, None, "", "", "", ""),
    (60, 60, "🖨️ Zoë 打印机 👩‍🔧", "zoë", "Фабрика Ωμέγα", "zoë@例え.example"),
    (70, None, "مريم الطابعة", "שרה", "\u202eright to left\u202c", "maryam@example.com"),
    (80, 80, 'O\'Brien "Bob" \\ %s $$ $rehome$', "bob\ttab\nline", "  spaces  ", "bob+tag@example.com"),
    (90, None, "n" * 200, "u" * 200, "🧵" * 200, f"{'e' * 488}@example.com"),
    (LARGEST_BIGINT, None, "The largest key", None, None, None),
]

PRINTERS: list[tuple[Any, ...]] = [
    # id, profile, ip_address, api_key, ping, printing
    (10, 10, "192.0.2.10", "0" * 32, True, True),
    (20, 20, "192.0.2.20", "a profile without a user", True, False),
    (30, None, "192.0.2.30", "no profile", False, False),
    (40, 40, "2001:db8::40", "IPv6", True, False),
    (50, 50, "https://octopi.example.com:5000/octoprint?a=%20#top", "a URL", False, False),
    (60, 60, "http://[2001:db8::60]/", "🔑 שלום", False, True),
    (70, LARGEST_BIGINT, "192.0.2.10", "an address that is there twice", False, False),
    (80, 90, f"https://{'x' * 235}.example", "long", False, False),
    (LARGEST_INT, 10, "192.0.2.99", "", False, False),
]

USER_GRANTS = [(10, "add_printer"), (30, "delete_profile")]

INSERT_PROFILE = """
INSERT INTO portal_profile (id, user_id, name, username, organization, email) VALUES (%s, %s, %s, %s, %s, %s)
"""
INSERT_PRINTER = """
INSERT INTO portal_printer (id, profile_id, ip_address, api_key, ping, printing) VALUES (%s, %s, %s, %s, %s, %s)
"""
# A group whose permissions are Django's own and one that somebody made by hand.
GROUP = """
WITH made AS (INSERT INTO auth_group (name) VALUES ('Operators'))
INSERT INTO auth_permission (name, content_type_id, codename)
SELECT 'Can calibrate printer', id, 'calibrate_printer' FROM django_content_type
 WHERE app_label = 'portal' AND model = 'printer'
"""
GROUP_GRANTS = """
INSERT INTO auth_group_permissions (group_id, permission_id)
SELECT g.id, p.id FROM auth_group g, auth_permission p JOIN django_content_type t ON t.id = p.content_type_id
 WHERE t.app_label = 'portal'
   AND p.codename IN ('view_printer', 'change_printer', 'calibrate_printer', 'change_profile')
"""
USER_GRANT = """
INSERT INTO auth_user_user_permissions (user_id, permission_id)
SELECT %s, p.id FROM auth_permission p JOIN django_content_type t ON t.id = p.content_type_id
 WHERE t.app_label = 'portal' AND p.codename = %s
"""

ORDINARY = [
    """
    INSERT INTO auth_user (id, password, is_superuser, username, first_name, last_name, email, is_staff,
                           is_active, date_joined)
    SELECT %(bulk)s + k, '!', false, 'user' || k, '', '', 'user' || k || '@example.com', k %% 50 = 0, true,
           timestamptz '2020-01-01 00:00+00' + k * interval '1 minute'
      FROM generate_series(1, %(profiles)s::int) AS k
    """,
    # Every tenth user has no profile, every tenth profile no user, and every tenth key is a gap.
    """
    INSERT INTO portal_profile (id, user_id, name, username, organization, email)
    SELECT %(bulk)s + k + k / 10, CASE WHEN k %% 10 > 0 THEN %(bulk)s + k END,
           (ARRAY['Ada', 'Bjørn', 'Chloé', '大輔', 'Елена', 'فاطمة', 'Grace'])[1 + k %% 7] || ' ' || k,
           'user' || k, (ARRAY['Prusa Lab', 'Makerspace', '', NULL, '3D ファーム'])[1 + k %% 5],
           CASE WHEN k %% 3 > 0 THEN 'user' || k || '@example.com' END
      FROM generate_series(1, %(profiles)s::int) AS k
    """,
    # Every twentieth printer has no profile; addresses are IPv4, IPv6 and URLs in turn.
    """
    INSERT INTO portal_printer (id, profile_id, ip_address, api_key, ping, printing)
    SELECT %(bulk)s + k + k / 10, CASE WHEN k %% 20 > 0 THEN %(bulk)s + owner + owner / 10 END,
           CASE k %% 3 WHEN 0 THEN '10.' || k / 65536 || '.' || k / 256 %% 256 || '.' || k %% 256
                       WHEN 1 THEN '2001:db8::' || to_hex(k / 65536) || ':' || to_hex(k %% 65536)
                       ELSE 'https://printer-' || k || '.example.com/octoprint' END,
           upper(md5(k::text)), k %% 4 > 0, k %% 9 = 0
      FROM generate_series(1, %(printers)s::int) AS k, LATERAL (SELECT 1 + k %% %(profiles)s::int AS owner) AS owned
    """,
    """
    INSERT INTO django_admin_log (action_time, user_id, content_type_id, object_id, object_repr, action_flag,
                                  change_message)
    SELECT timestamptz '2024-01-01 00:00+00' + k * interval '1 hour', 10, t.id, %(bulk)s + k, t.model, 2, '[]'
      FROM generate_series(1, least(%(printers)s::int, 1000)) AS k, django_content_type t WHERE t.app_label = 'portal'
    """,
]

# A restored dump carries its sequences; here the rows brought keys of their own. The largest keys of the
# types are left out, for nothing comes after them.
SEQUENCES = """
SELECT setval(pg_get_serial_sequence('auth_user', 'id'), %(bulk)s + %(profiles)s),
       setval(pg_get_serial_sequence('portal_profile', 'id'), %(last_profile)s),
       setval(pg_get_serial_sequence('portal_printer', 'id'), %(last_printer)s)
"""


def last_key(rows: int) -> int:
    """Of so many ordinary rows with a gap after every tenth."""
    return BULK + rows + rows // 10


def fill(connection: BaseDatabaseWrapper, *, profiles: int, printers: int) -> None:
    """Fill a monolith that has no rows yet, in one transaction. Both numbers are of ordinary rows, one or more."""
    numbers = {
        "bulk": BULK,
        "profiles": profiles,
        "printers": printers,
        "last_profile": last_key(profiles),
        "last_printer": last_key(printers),
    }
    with transaction.atomic(using=connection.alias), connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO auth_user (id, password, is_superuser, username, first_name, last_name, email, is_staff, "
            "is_active, date_joined) VALUES (%s, '!', false, %s, '', '', '', true, true, '2020-01-01 00:00+00')",
            [(user, f"awkward{user}") for user in USERS],
        )
        cursor.executemany(INSERT_PROFILE, PROFILES)
        cursor.executemany(INSERT_PRINTER, PRINTERS)
        for statement in (*ORDINARY, SEQUENCES):
            cursor.execute(statement, numbers)
        cursor.execute(GROUP)
        cursor.execute(GROUP_GRANTS)
        cursor.executemany(USER_GRANT, USER_GRANTS)
        cursor.execute("ANALYZE")
