"""What a database has beside its contents, and no archive brings along under another name: encoding and locale, owner,
limit, settings and grants; and what its contents need of a server, roles and extensions.
"""

import dataclasses
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import psycopg
from psycopg import sql

from rehome.errors import Refused
from rehome.ops import servers
from rehome.ops.servers import Session

OF_DATABASE = """
SELECT pg_encoding_to_char(d.encoding), to_jsonb(d) ->> 'datlocprovider', d.datcollate, d.datctype,
       coalesce(to_jsonb(d) ->> 'datlocale', to_jsonb(d) ->> 'daticulocale', ''),
       coalesce(to_jsonb(d) ->> 'daticurules', ''), pg_get_userbyid(d.datdba), d.datconnlimit,
       (SELECT spcname FROM pg_tablespace t WHERE t.oid = d.dattablespace)
  FROM pg_database d WHERE d.datname = current_database()
"""
SETTINGS = """
SELECT coalesce(r.rolname, ''), setting
  FROM pg_db_role_setting s LEFT JOIN pg_roles r ON r.oid = s.setrole, unnest(s.setconfig) AS setting
 WHERE s.setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database())
 ORDER BY 1, 2
"""
GRANTS = """
SELECT coalesce(r.rolname, ''), a.privilege_type, a.is_grantable
  FROM pg_database d, aclexplode(d.datacl) a LEFT JOIN pg_roles r ON r.oid = a.grantee
 WHERE d.datname = current_database() AND a.grantee <> d.datdba
 ORDER BY 1, 2
"""
HAS_GRANTS = "SELECT datacl IS NOT NULL FROM pg_database WHERE datname = current_database()"
# The first role of a server is recorded as no dependency.
ROLES = """
SELECT r.rolname FROM pg_roles r
 WHERE r.oid IN (SELECT refobjid FROM pg_shdepend WHERE refclassid = 'pg_authid'::regclass
                    AND dbid = (SELECT oid FROM pg_database WHERE datname = current_database()))
    OR r.oid IN (SELECT relowner FROM pg_class WHERE oid >= 16384
                 UNION SELECT proowner FROM pg_proc WHERE oid >= 16384
                 UNION SELECT nspowner FROM pg_namespace WHERE oid >= 16384)
"""
EXTENSIONS = "SELECT extname FROM pg_extension WHERE extname <> 'plpgsql' ORDER BY extname"
TABLESPACES = """
SELECT spcname FROM pg_tablespace WHERE oid IN (SELECT reltablespace FROM pg_class WHERE oid >= 16384) ORDER BY spcname
"""
DEFAULT_PLACE = "pg_default"
PROVIDERS = {"c": "libc", "i": "icu", "b": "builtin"}
WITH_PROVIDERS = 15
"""The first major that knows another than libc."""
LISTS = {"search_path", "temp_tablespaces", "session_preload_libraries", "local_preload_libraries"}
"""Settings whose value is a list of names."""


@dataclasses.dataclass(frozen=True)
class Properties:
    """Of one database."""

    encoding: str
    provider: str
    collate: str
    ctype: str
    locale: str
    rules: str
    owner: str
    connection_limit: int
    settings: tuple[tuple[str, str], ...]
    """(role or nothing, "name=value") of each that was set for this database."""
    grants: tuple[tuple[str, str, bool], ...] | None
    """(role or nothing for PUBLIC, right, whether it may be granted on); None where nothing was ever granted."""
    roles: tuple[str, ...]
    """Those that own something in it, or may do something with it."""
    extensions: tuple[str, ...]
    tablespace: str = DEFAULT_PLACE
    """Of the database itself."""
    tablespaces: tuple[str, ...] = ()
    """Of tables and indexes that lie elsewhere."""

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Properties":
        lists = {name: tuple(map(tuple, data[name])) for name in ("settings", "grants") if data[name] is not None}
        names = {name: tuple(data[name]) for name in ("roles", "extensions", "tablespaces") if name in data}
        return cls(**{**data, **lists, **names})

    def creation(self, major: int) -> sql.Composed:
        """The options of CREATE DATABASE that can't be changed later, on a server of this major."""
        given = {"ENCODING": self.encoding, "LC_COLLATE": self.collate, "LC_CTYPE": self.ctype}
        if major >= WITH_PROVIDERS:
            given["LOCALE_PROVIDER"] = PROVIDERS[self.provider]
        if self.locale:
            given["ICU_LOCALE" if self.provider == "i" else "BUILTIN_LOCALE"] = self.locale
        if self.rules:
            given["ICU_RULES"] = self.rules
        if self.tablespace != DEFAULT_PLACE:
            given["TABLESPACE"] = self.tablespace
        parts = [sql.SQL("{} = {}").format(sql.SQL(name), sql.Literal(value)) for name, value in given.items()]
        return sql.SQL(" ").join(parts)


def read(session: Session) -> Properties:
    """Of the database that a session is in."""
    (has_grants,) = session.execute(HAS_GRANTS).fetchone() or (False,)
    row: tuple[Any, ...] = session.execute(OF_DATABASE).fetchone() or ()
    encoding, provider, collate, ctype, locale, rules, owner, limit, place = row
    return Properties(
        encoding=encoding,
        provider=provider or "c",
        collate=collate,
        ctype=ctype,
        locale=locale,
        rules=rules,
        owner=owner,
        connection_limit=limit,
        settings=tuple(session.execute(SETTINGS).fetchall()),
        grants=tuple(session.execute(GRANTS).fetchall()) if has_grants else None,
        roles=tuple(sorted(name for (name,) in session.execute(ROLES))),
        extensions=tuple(name for (name,) in session.execute(EXTENSIONS)),
        tablespace=place,
        tablespaces=tuple(name for (name,) in session.execute(TABLESPACES)),
    )


def refuse_missing(needed: Properties, session: Session) -> None:
    """Raises Refused with the roles and extensions that a server does not have, before anything is restored there."""
    roles = {name for (name,) in session.execute("SELECT rolname FROM pg_roles")}
    named = {role for role, _ in needed.settings} | {role for role, _, _ in needed.grants or ()}
    if missing := sorted({*needed.roles, *named, needed.owner} - roles - {""}):
        created = " ".join(f"CREATE ROLE {sql.Identifier(name).as_string(session)};" for name in missing)
        raise Refused(f"The backup needs roles that this server does not have: {', '.join(missing)}.", created)
    known = {name for (name,) in session.execute("SELECT name FROM pg_available_extensions")}
    if missing := sorted({*needed.extensions} - known):
        listed = ", ".join(missing)
        raise Refused(f"The backup needs extensions that this server does not have: {listed}.", "Install them first.")
    places = {name for (name,) in session.execute("SELECT spcname FROM pg_tablespace")}
    if missing := sorted({*needed.tablespaces, needed.tablespace} - places):
        listed = ", ".join(missing)
        raise Refused(
            f"The backup needs tablespaces that this server does not have: {listed}.",
            f"CREATE TABLESPACE {sql.Identifier(missing[0]).as_string(session)} LOCATION '…'.",
        )


def apply(properties: Properties, name: str, session: Session, later: str = "") -> list[str]:
    """To another database, for the options that can be changed; returns what this role may not, of the name that the
    database has `later`.
    """
    refused = []
    if servers.acts_as_another(session):  # What `close_to_public` has granted.
        session.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM SESSION_USER").format(sql.Identifier(name)))
    names = (sql.Identifier(name), sql.Identifier(later or name))
    for statement, told in zip(*(statements(properties, one) for one in names), strict=True):
        try:
            session.execute(statement)
        except psycopg.errors.InsufficientPrivilege:
            refused.append(told.as_string(session))
    return refused


def statements(properties: Properties, name: sql.Composable) -> Iterator[sql.Composed]:
    yield sql.SQL("ALTER DATABASE {} CONNECTION LIMIT {}").format(name, sql.Literal(properties.connection_limit))
    for role, setting in properties.settings:
        parameter, _, value = setting.partition("=")
        of = (
            sql.SQL("ALTER ROLE {} IN DATABASE {}").format(sql.Identifier(role), name)
            if role
            else sql.SQL("ALTER DATABASE {}").format(name)
        )
        yield sql.SQL("{} SET {} TO {}").format(of, sql.Identifier(*parameter.split(".")), written(parameter, value))
    yield sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(name)
    if properties.grants is None:
        yield sql.SQL("GRANT CONNECT, TEMPORARY ON DATABASE {} TO PUBLIC").format(name)
    else:
        for role, right, grantable in properties.grants:
            yield sql.SQL("GRANT {} ON DATABASE {} TO {}{}").format(
                sql.SQL(right),
                name,
                sql.Identifier(role) if role else sql.SQL("PUBLIC"),
                sql.SQL(" WITH GRANT OPTION" if grantable else ""),
            )
    yield sql.SQL("ALTER DATABASE {} OWNER TO {}").format(name, sql.Identifier(properties.owner))


def written(parameter: str, value: str) -> sql.Composable:
    """A setting's value in a statement."""
    if parameter not in LISTS:
        return sql.Literal(value)
    parts: Iterable[tuple[str, str]] = re.findall(r'"((?:[^"]|"")*)"|([^,\s"]+)', value)
    return sql.SQL(", ").join(sql.Literal(quoted.replace('""', '"') or plain) for quoted, plain in parts)
