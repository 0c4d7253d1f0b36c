"""A server and its databases, from outside of each: what a database is, and making, dropping, renaming one."""

import contextlib
import dataclasses
import datetime
import os
import re
import time
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import psycopg
from django.db.backends.base.base import BaseDatabaseWrapper
from psycopg import pq, sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from rehome.errors import Refused
from rehome.postgres import pooling
from rehome.postgres.session import TIMEOUTS
from rehome.postgres.settings import FORMATS

KEYWORDS = {option.keyword.decode(): (option.envvar or b"").decode() for option in pq.Conninfo.get_defaults()}
"""Of a connection string, and the environment variable of each."""
LEFT_OUT = {"client_encoding"}
"""What a database has, a program dumps as it is."""
SECRET = re.compile(r"password|secret|^scram_.*_key$")
"""Keywords whose value nobody else may see: one without a variable would be among a program's arguments."""
OUTSIDE = ("postgres", "template1")
"""Databases to connect to while another is made, renamed or dropped; where there is neither, the own one."""
LONGEST_NAME = 63
WITH_SWITCH = 17
"""The first major that has event triggers on login, and a setting that turns all of them off."""
QUIET = "-c event_triggers=off"
"""Before the first statement: a trigger on login fires as the session begins."""
Session = psycopg.Connection[tuple[Any, ...]]


@dataclasses.dataclass(frozen=True)
class Server:
    """How one server is reached, and with which database."""

    parameters: Mapping[str, str]
    """As a connection string has them, without the database's name."""
    database: str
    role: str = ""
    """The role to act as, where it is not the one that logs in."""
    quiet: bool = False
    """Whether its sessions, and those of programs, set off no event trigger."""

    @classmethod
    def of(cls, connection: BaseDatabaseWrapper) -> "Server":
        """The one that a connection of Django's leads to, whether its database is there or not."""
        given = {name: str(value) for name, value in connection.get_connection_params().items() if value is not None}
        known = {name: value for name, value in given.items() if name in KEYWORDS and name not in LEFT_OUT}
        name = known.pop("dbname", "")
        if not name:  # A service may say it.
            connection.ensure_connection()
            name = connection.connection.info.dbname
        return cls(known, name, connection.settings_dict["OPTIONS"].get("assume_role") or "")

    @classmethod
    def at(cls, url: str) -> "Server":
        """The one of a URL such as postgres://user@host/name."""
        try:
            given = {name: str(value) for name, value in conninfo_to_dict(url).items() if value is not None}
        except psycopg.ProgrammingError as error:
            raise Refused(
                "That is no URL of a PostgreSQL database.", "Give one such as postgres://user@host:5432/name."
            ) from error
        name = given.pop("dbname", "")
        return cls(given, name)

    def on(self, database: str) -> "Server":
        """The same server, with another of its databases."""
        return dataclasses.replace(self, database=database)

    def quieted(self, session: Session) -> "Server":
        """The same, where nothing sets off an event trigger. `session`, one of its own, tells the options that it has
        by now, whether by settings, by a service or by the environment.
        """
        options = next(option.val or b"" for option in session.pgconn.info if option.keyword == b"options").decode()
        return dataclasses.replace(
            self, parameters={**self.parameters, "options": f"{options} {QUIET}".strip()}, quiet=True
        )

    @contextlib.contextmanager
    def session(self) -> Iterator[Session]:
        """A session of its own in the database, outside of any transaction, in which names are PostgreSQL's own. Raises
        Refused where a pooler hands it on.
        """
        # Names of a database without an encoding come as bytes, unless one is asked for.
        conninfo = make_conninfo("", **{**self.parameters, "dbname": self.database, "client_encoding": "UTF8"})
        with psycopg.connect(conninfo, autocommit=True) as session:
            pooling.refuse_handed_on(session)
            if self.role:
                session.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(self.role)))
            # A session waits while a program runs beside it.
            own = {**FORMATS, **dict.fromkeys(TIMEOUTS, "0"), "search_path": "pg_catalog, pg_temp"}
            for name, value in own.items():
                session.execute(
                    # Some are listed in capitals, such as DateStyle.
                    "SELECT pg_catalog.set_config(name, %s, false) FROM pg_catalog.pg_settings "
                    "WHERE pg_catalog.lower(name) = %s",
                    [value, name],
                )
            yield session

    @contextlib.contextmanager
    def outside(self) -> Iterator[Session]:
        """A session on the same server, in a database that is none of the project's where it may connect to one."""
        with contextlib.ExitStack() as opened:
            for name in (*(one for one in OUTSIDE if one != self.database), self.database):
                try:
                    session = opened.enter_context(self.on(name).session())
                except psycopg.OperationalError as error:
                    refusal = error
                    continue
                yield session
                return
            raise refusal

    def environment(self) -> dict[str, str]:
        """For a program that connects to the database; no password is among what others see of it."""
        given = {KEYWORDS[name]: value for name, value in self.parameters.items() if KEYWORDS[name]}
        return {**os.environ, **given, "PGDATABASE": self.database}

    def arguments(self) -> list[str]:
        """What has no environment variable, or one that a service would overrule, and the role."""
        overruled = "service" in self.parameters or "PGSERVICE" in os.environ
        rest = {
            name: value
            for name, value in self.parameters.items()
            if not KEYWORDS[name] or (overruled and name != "service" and not SECRET.search(name))
        }
        for name in filter(SECRET.search, rest):
            raise Refused(
                f"OPTIONS of the database has {name}, which every user of this machine could read while a program of "
                "PostgreSQL runs.",
                "Let a password be in PASSWORD or ~/.pgpass; take the passphrase off a key, and let its file's rights "
                "protect it.",
            )
        conninfo = make_conninfo("", **rest, dbname=self.database)
        return [f"--dbname={conninfo}", "--no-password", *([f"--role={self.role}"] if self.role else [])]


@dataclasses.dataclass(frozen=True)
class Where:
    """Which database it is: what a person is shown before it is changed, and what files of it are named by."""

    host: str
    port: str
    database: str
    size: int
    version: int
    """As server_version_num has it."""
    oid: int
    """Of the database: one that is made anew under its name has another."""
    system_identifier: str
    in_recovery: bool
    last_write: datetime.datetime | None
    """The latest moment that a row tells, as far as it could be looked for quickly."""
    last_written: str
    """The column that tells it."""

    def __str__(self) -> str:
        return f"database {self.database!r} on {self.host}:{self.port}"

    def described(self) -> str:
        """A line for each fact."""
        since = "not known"
        if self.last_write:
            ago = datetime.datetime.now(datetime.UTC) - self.last_write
            since = f"{self.last_write:%Y-%m-%d %H:%M:%S} UTC, {elapsed(ago)} ago ({self.last_written})"
        return "\n".join(
            [
                f"  host        {self.host}:{self.port}, PostgreSQL {self.release}",
                f"  database    {self.database}",
                f"  size        {sized(self.size)}",
                f"  last write  {since}",
            ]
        )

    @property
    def major(self) -> int:
        return self.version // 10_000

    @property
    def release(self) -> str:
        return f"{self.major}.{self.version % 10_000}"


WHERE = """
SELECT pg_database_size(current_database()), current_setting('server_version_num')::int,
       (SELECT oid FROM pg_database WHERE datname = current_database())::bigint,
       (pg_control_system()).system_identifier::text, pg_is_in_recovery()
"""
OTHER = """
SELECT pg_database_size(oid), current_setting('server_version_num')::int, oid::bigint,
       (pg_control_system()).system_identifier::text, pg_is_in_recovery() FROM pg_database WHERE datname = %s
"""
# A column that begins an index, or one of a small table: its latest value is found at once.
MOMENTS = """
SELECT n.nspname, c.relname, a.attname
  FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind = 'r' AND c.relpersistence = 'p' AND a.attnum > 0 AND NOT a.attisdropped
   AND a.atttypid IN ('timestamptz'::regtype, 'timestamp'::regtype)
   AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND has_column_privilege(c.oid, a.attnum, 'SELECT')
   AND (c.relpages < 1000 OR EXISTS (SELECT FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid
                                       JOIN pg_am m ON m.oid = i.relam
                                      WHERE x.indrelid = c.oid AND x.indkey[0] = a.attnum AND x.indisvalid
                                        AND x.indpred IS NULL AND m.amname = 'btree'))
"""
QUICK_MS = 3000


def look(session: Session) -> Where:
    """Where a session is."""
    size, version, oid, identifier, in_recovery = session.execute(WHERE).fetchone() or ()
    info, last = session.info, last_write(session)
    return Where(info.host, str(info.port), info.dbname, size, version, oid, identifier, in_recovery, *last)


def look_from_outside(session: Session, name: str) -> Where:
    """At another database of the server, which tells no last write."""
    size, version, oid, identifier, in_recovery = session.execute(OTHER, [name]).fetchone() or ()
    info = session.info
    return Where(info.host, str(info.port), name, size, version, oid, identifier, in_recovery, None, "")


def last_write(session: Session) -> tuple[datetime.datetime | None, str]:
    """The latest moment that is not in the future, and its column; none where that takes long or is not allowed. A
    hint: a table that can't be asked now, because somebody holds it or a policy guards it, tells nothing.
    """
    found: list[tuple[datetime.datetime | None, str]] = [(None, "")]
    ends = time.monotonic() + QUICK_MS / 1000
    for schema, table, column in session.execute(MOMENTS).fetchall():
        left = int((ends - time.monotonic()) * 1000)
        if left <= 0:
            break
        # Before the first of these years, Python has no dates.
        query = sql.SQL("SELECT max({0})::timestamptz FROM ONLY {1} WHERE {0} BETWEEN '1970-01-01' AND now()").format(
            sql.Identifier(column), sql.Identifier(schema, table)
        )
        with contextlib.suppress(psycopg.DatabaseError), session.transaction():
            for name in ("statement_timeout", "lock_timeout"):
                session.execute("SELECT set_config(%s, %s, true)", [name, str(left)])
            (moment,) = session.execute(query).fetchone() or (None,)
            if moment:
                found.append((moment.astimezone(datetime.UTC), f"{table}.{column}"))
    return max(found, key=lambda one: (one[0] is not None, one[0]))


def sized(size: int) -> str:
    """As PostgreSQL writes it."""
    number, units = float(size), ["bytes", "kB", "MB", "GB", "TB"]
    while number >= 10_240 and len(units) > 1:
        number /= 1024
        units = units[1:]
    return f"{number:,.0f} {units[0]}"


def elapsed(ago: datetime.timedelta) -> str:
    """In the largest unit that says enough."""
    seconds = max(ago.total_seconds(), 0)
    for unit, length in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} seconds"


def names(session: Session) -> list[str]:
    return [name for (name,) in session.execute("SELECT datname FROM pg_database ORDER BY datname")]


def create(session: Session, name: str, *, template: str, options: sql.Composable) -> None:
    """Raises psycopg.errors.DuplicateDatabase where the name is taken."""
    session.execute(
        sql.SQL("CREATE DATABASE {} TEMPLATE {} {}").format(sql.Identifier(name), sql.Identifier(template), options)
    )


def close_to_public(session: Session, name: str) -> None:
    """Nobody but its owner connects to it, and the role that logs in, where that acts as the owner."""
    session.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(sql.Identifier(name)))
    if acts_as_another(session):
        session.execute(sql.SQL("GRANT CONNECT ON DATABASE {} TO SESSION_USER").format(sql.Identifier(name)))


def acts_as_another(session: Session) -> bool:
    """Whether the role is not the one that has logged in."""
    ((acts,),) = session.execute("SELECT session_user <> current_user").fetchall()
    return bool(acts)


def may_be_quiet(session: Session) -> bool:
    """Whether the role that logs in may turn event triggers off."""
    if session.info.server_version < WITH_SWITCH * 10_000:
        return False
    ((may,),) = session.execute("SELECT has_parameter_privilege(session_user, 'event_triggers', 'SET')").fetchall()
    return bool(may)


def drop(session: Session, name: str) -> None:
    """Whoever is connected to it; nothing where there is none of the name."""
    statement = sql.SQL("DROP DATABASE IF EXISTS {}").format(sql.Identifier(name))
    try:
        session.execute(sql.SQL("{} WITH (FORCE)").format(statement))
    except psycopg.errors.InsufficientPrivilege:  # Who logged in may be none that the role acting may disconnect.
        session.execute(statement)


def comment(session: Session, name: str, text: str | None) -> None:
    session.execute(sql.SQL("COMMENT ON DATABASE {} IS {}").format(sql.Identifier(name), sql.Literal(text)))


def dated(name: str, what: str, moment: datetime.datetime, taken: Collection[str] = ()) -> str:
    """A name that tells what the database is and since when, no longer than PostgreSQL's; a second later each where it
    is taken.
    """
    while (found := dated_once(name, what, moment)) in taken:
        moment += datetime.timedelta(seconds=1)
    return found


def dated_once(name: str, what: str, moment: datetime.datetime) -> str:
    suffix = f"_{what}_{moment:%Y%m%d_%H%M%S}"
    return name.encode()[: LONGEST_NAME - len(suffix)].decode(errors="ignore") + suffix
