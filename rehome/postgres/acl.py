"""Rights to one object: nobody but its owner has any, whatever default privileges gave to others when it was made."""

from collections.abc import Iterable

from rehome.postgres.sql import SQL, Literal, Statement, name, quoted
from rehome.postgres.tables import Table

RELATION = """
    SELECT held.grantee FROM pg_catalog.pg_class c,
           LATERAL (SELECT c.relacl UNION ALL
                    SELECT a.attacl FROM pg_catalog.pg_attribute a WHERE a.attrelid OPERATOR(pg_catalog.=) c.oid)
           AS granted (list), pg_catalog.aclexplode(granted.list) held
     WHERE c.oid OPERATOR(pg_catalog.=) it AND held.grantee OPERATOR(pg_catalog.<>) c.relowner"""
ROUTINE = """
    SELECT held.grantee FROM pg_catalog.pg_proc p,
           pg_catalog.aclexplode(coalesce(p.proacl, pg_catalog.acldefault('f'::pg_catalog."char", p.proowner))) held
     WHERE p.oid OPERATOR(pg_catalog.=) it AND held.grantee OPERATOR(pg_catalog.<>) p.proowner"""
WITHDRAW = """
DECLARE
  it pg_catalog.{type} := {it};
  other pg_catalog.text;
BEGIN
  FOR other IN
    SELECT DISTINCT CASE WHEN held.grantee OPERATOR(pg_catalog.=) 0 THEN 'PUBLIC'
                         ELSE pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(held.grantee)) END
      FROM ({grantees}) held
  LOOP
    EXECUTE pg_catalog.concat('REVOKE ALL ON {kind} ', it, ' FROM ', other, ' CASCADE');
  END LOOP;{grants}
END
"""
NOTHING = SQL("")
AS_GRANTOR = """
DECLARE
  acting pg_catalog.text := pg_catalog.current_setting('role');
BEGIN
  PERFORM pg_catalog.set_config('role', {grantor}, true);
  {grant};
  PERFORM pg_catalog.set_config('role', acting, true);
EXCEPTION WHEN insufficient_privilege THEN
  {grant};
END
"""


def withdraw(kind: str, place: Statement) -> Statement:
    """Every right of everybody else. `kind` is TABLE, for a view as well, SEQUENCE, or FUNCTION with its arguments."""
    return withdraw_from(kind, Literal(place.as_string()))


def only_on_key(table: Table, column: str, rights: Iterable[tuple[Statement, Statement]]) -> Statement:
    """On the sequence that a column draws from, by whatever name PostgreSQL gave to it: `rights` alone, each what may
    be done, and to whom it is granted.
    """
    sequence = SQL("pg_catalog.pg_get_serial_sequence({}, {})").format(
        Literal(name(table).as_string()), Literal(column)
    )
    grants = [
        SQL("\n  EXECUTE pg_catalog.concat({}, it, {});").format(
            Literal(SQL("GRANT {} ON SEQUENCE ").format(what).as_string()),
            Literal(SQL(" TO {}").format(to).as_string()),
        )
        for what, to in rights
    ]
    return withdraw_from("SEQUENCE", sequence, SQL("").join(grants))


def withdraw_from(kind: str, found: Statement, grants: Statement = NOTHING) -> Statement:
    routine = kind == "FUNCTION"
    return block(
        SQL(WITHDRAW).format(
            type=SQL("regprocedure" if routine else "regclass"),
            it=found,
            grantees=SQL(ROUTINE if routine else RELATION),
            kind=SQL(kind),
            grants=grants,
        )
    )


def as_grantor(grant: Statement, grantor: str) -> Statement:
    """`grant` as the role that granted it before; as the owner, where this session may not act as that role."""
    return block(SQL(AS_GRANTOR).format(grantor=Literal(grantor), grant=grant))


def block(body: Statement) -> Statement:
    return SQL("DO {}").format(quoted(body.as_string()))
