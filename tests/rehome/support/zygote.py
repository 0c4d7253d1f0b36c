"""Runs commands of a project in a fork of a process that has imported Django: importing takes most of their time.

Reads one request a line: the project's folder, its environment, commands, and whether the first failure or a warning
ends them; answers with a line of JSON.
"""

import contextlib
import importlib
import io
import json
import os
import pkgutil
import sys
import traceback
import warnings
from typing import Any

from django.core.exceptions import AppRegistryNotReady, ImproperlyConfigured

import rehome

PRELOADED = (
    "django.contrib.auth.apps",
    "django.contrib.contenttypes.apps",
    "django.core.management.commands.makemigrations",
    "django.core.management.commands.migrate",
    "django.core.management.commands.squashmigrations",
    "django.core.checks.registry",
    "django.db.migrations.executor",
    "django.template.defaultfilters",
    "django.test.utils",
    "django.contrib.postgres.apps",
    "django.contrib.postgres.constraints",
    "django.db.backends.postgresql.base",
    "psycopg",
)


def main() -> None:
    for module in PRELOADED:
        importlib.import_module(module)
    for found in pkgutil.walk_packages(rehome.__path__, "rehome."):
        # It has models, needs settings, or a driver that is not installed.
        with contextlib.suppress(AppRegistryNotReady, ImproperlyConfigured, ImportError):
            importlib.import_module(found.name)
    for line in sys.stdin:
        reading, writing = os.pipe()
        if os.fork() == 0:
            os.close(reading)
            with os.fdopen(writing, "w") as answer:
                json.dump(answer_to(json.loads(line)), answer)
            os._exit(0)
        os.close(writing)
        with os.fdopen(reading) as answer:
            sys.stdout.write(f"{answer.read()}\n")
            sys.stdout.flush()
        os.wait()


def answer_to(request: dict[str, Any]) -> list[tuple[int, str]]:
    os.chdir(request["folder"])
    os.environ.update(request["environment"])
    sys.path.insert(0, request["folder"])
    import django

    strict = request["strict"]
    if strict:
        warnings.simplefilter("error")
    django.setup()
    said: list[tuple[int, str]] = []
    for arguments in request["commands"]:
        if not (strict and said and said[-1][0]):
            said.append(run(arguments))
    return said


def run(arguments: list[str]) -> tuple[int, str]:
    from django.core.management import ManagementUtility

    # Models are read once; migrations by each command, for one may have written them.
    for module in [
        name for name in sys.modules if ".migrations." in name and not name.startswith(("django", "rehome"))
    ]:
        del sys.modules[module]
    importlib.invalidate_caches()
    out, code = io.StringIO(), 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        try:
            ManagementUtility(["manage.py", *arguments]).execute()
        except SystemExit as error:
            code = int(error.code or 0)
        except BaseException:  # noqa: BLE001  A person would see it, too.
            code = 99
            traceback.print_exc()
    return code, out.getvalue()


if __name__ == "__main__":
    main()
