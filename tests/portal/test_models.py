"""The monolith's tables are in production: these tests pin them to what is deployed there."""

import pytest
from django.db import connection

PROFILE = {
    "id": "bigint NOT NULL",
    "user_id": "integer",
    "name": "character varying(200)",
    "username": "character varying(200)",
    "organization": "character varying(200)",
    "email": "character varying(500)",
}
PRINTER = {
    "id": "integer NOT NULL",
    "profile_id": "bigint",
    "ip_address": "character varying(255) NOT NULL",
    "api_key": "character varying(128) NOT NULL",
    "ping": "boolean NOT NULL",
    "printing": "boolean NOT NULL",
}


def columns(table: str) -> dict[str, str]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT attname, format_type(atttypid, atttypmod) || CASE WHEN attnotnull THEN ' NOT NULL' ELSE '' END"
            " FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped",
            [table],
        )
        return dict(cursor.fetchall())


def constraints(table: str) -> set[str]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = %s::regclass AND contype <> 'n'",
            [table],
        )
        return {definition for (definition,) in cursor.fetchall()}


@pytest.mark.django_db
@pytest.mark.parametrize(("app", "later"), [("portal", {}), ("accounts", {"province_id": "bigint"})])
def test_profiles_have_the_columns_that_are_in_production(app: str, later: dict[str, str]) -> None:
    assert columns(f"{app}_profile") == PROFILE | later
    assert constraints(f"{app}_profile") >= {"PRIMARY KEY (id)", "UNIQUE (user_id)"}


@pytest.mark.django_db
@pytest.mark.parametrize("app", ["portal", "printers"])
def test_printers_have_the_columns_that_are_in_production(app: str) -> None:
    assert columns(f"{app}_printer") == PRINTER
    assert constraints(f"{app}_printer") >= {"PRIMARY KEY (id)", "UNIQUE (ip_address, api_key)"}


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("table", "definition"),
    [
        ("portal_profile", "FOREIGN KEY (user_id) REFERENCES auth_user(id)"),
        ("accounts_profile", "FOREIGN KEY (user_id) REFERENCES auth_user(id)"),
        ("portal_printer", "FOREIGN KEY (profile_id) REFERENCES portal_profile(id)"),
        ("printers_printer", "FOREIGN KEY (profile_id) REFERENCES accounts_profile(id)"),
    ],
)
def test_foreign_keys_point_into_the_same_half(table: str, definition: str) -> None:
    assert any(found.startswith(definition) for found in constraints(table))
