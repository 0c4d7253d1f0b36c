"""A whole database as text, so that two moments of it can be compared."""

import os
import re
import subprocess
from collections.abc import Iterable
from urllib.parse import quote, urlencode

from django.db import DEFAULT_DB_ALIAS, connections

from core.embedded import programs


def dump(
    alias: str = "default", *, without_data: Iterable[str] = (), tables: Iterable[str] = (), schema_only: bool = False
) -> str:
    """Everything that pg_dump knows: tables, rows, sequences, constraints, triggers, functions, grants.

    Rows are in the order of their text, for an update moves a row within its table. `without_data` names
    tables and sequences, as patterns of pg_dump, of which only the definition counts; `tables` those that count
    alone.
    """
    done = subprocess.run(
        [
            programs.installation() / "bin" / "pg_dump",
            "--restrict-key=same",
            *(f"--exclude-table-data={pattern}" for pattern in without_data),
            *(f"--table={pattern}" for pattern in tables),
            *(["--schema-only"] if schema_only else []),
        ],
        env=environment(alias),
        check=True,
        capture_output=True,
        text=True,
    )
    # pg_dump sets the timeout of PostgreSQL 17 for every server.
    text = re.sub(r"(?m)^(-- (Dumped|Started|Completed).*|SET transaction_timeout = 0;)\n", "", done.stdout)
    return re.sub(r"(?ms)^(COPY [^\n]+ FROM stdin;\n)(.*?)^(?=\\\.$)", sorted_rows, text)


def sorted_rows(block: re.Match[str]) -> str:
    return block[1] + "".join(f"{row}\n" for row in sorted(block[2].split("\n")[:-1]))


def psql(script: str, alias: str = "default") -> None:
    """Run a script as a person would, to its first error."""
    program = programs.installation() / "bin" / "psql"
    done = subprocess.run(
        [program, "--no-psqlrc", "--quiet", "--output=/dev/null", "--set=ON_ERROR_STOP=1"],
        env=environment(alias),
        input=script,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stderr


def url(alias: str = "default") -> str:
    """The same database as the value of DATABASE_URL."""
    parameters = connections[alias].get_connection_params()
    place = urlencode({name: parameters[name] for name in ("host", "port") if parameters.get(name)})
    user, password = (quote(str(parameters.get(name, "")), safe="") for name in ("user", "password"))
    return f"postgres://{user}:{password}@/{parameters['dbname']}?{place}"


def environment(alias: str) -> dict[str, str]:
    """Of a program that connects to the same database."""
    parameters = connections[alias].get_connection_params()
    values = {
        "PGHOST": str(parameters.get("host", "")),
        "PGPORT": str(parameters.get("port", "")),
        "PGUSER": str(parameters.get("user", "")),
        "PGPASSWORD": str(parameters.get("password", "")),
        "PGDATABASE": str(parameters["dbname"]),
    }
    return os.environ | {name: value for name, value in values.items() if value}


def url_of(name: str) -> str:
    """A database of this test run's server, as DATABASE_URL names it."""
    settings = connections[DEFAULT_DB_ALIAS].settings_dict
    user, password, host = settings["USER"], quote(settings["PASSWORD"], safe=""), settings["HOST"]
    if host.startswith("/"):
        return f"postgres://{user}@/{host}/{name}"
    return f"postgres://{user}:{password}@{host}:{settings['PORT']}/{name}"
