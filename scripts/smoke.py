"""Tries the main parts of a portal that runs, one line each: exit code 0 when all work, else 1.

    scripts/smoke.py https://farm.example.com

Start it where manage.py runs, with the same settings. It makes a user of its own, with a token, who sees no printer,
and deletes both at the end. Of an import it looks at the preview, and saves nothing.
"""

import contextlib
import datetime
import io
import json
import os
import secrets
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "core.settings")

import django  # noqa: E402

django.setup()

from django.apps import apps  # noqa: E402
from django.conf import settings  # noqa: E402
from django.contrib.auth import get_user_model  # noqa: E402
from django.core.cache import cache  # noqa: E402
from django.core.management import CommandError, call_command  # noqa: E402
from django.db import DatabaseError  # noqa: E402

from core.sides import sending  # noqa: E402
from core.sides.models import Side  # noqa: E402
from scripts.visiting import Visitor, Wrong  # noqa: E402

NAME, EMAIL = "smoke-test", "smoke-test@example.invalid"
FILE = "name,address\r\nSmoke test,http://192.0.2.1\r\n"
"""An address that belongs to nobody, and is in no network that the portal calls."""
NOT_TRIED = "not tried: "


class Person:
    """Somebody who sees no printer, as a browser and as a program."""

    def __init__(self, url: str) -> None:
        self.visitor = Visitor(url)
        self.password = secrets.token_urlsafe(24)
        self.user = get_user_model().objects.create_user(NAME, EMAIL, self.password)
        addresses = apps.get_model("account", "EmailAddress").objects
        addresses.create(user=self.user, email=self.user.email, verified=True, primary=True)
        lasts = datetime.timedelta(minutes=30)
        _, self.token = apps.get_model("api", "Token").objects.create(self.user, expiry=lasts, name=NAME)
        sending.send_user(self.user, Side.NEW, by="scripts/smoke.py", reason="tries whether all works")


def main(arguments: list[str]) -> int:
    if len(arguments) != 1 or arguments[0].startswith("-"):
        print(__doc__)
        return 0 if arguments in (["-h"], ["--help"]) else 2
    try:
        with somebody(arguments[0]) as person:
            # All of them, for what is wrong with one says nothing of the others.
            works = [tried(what, step, person) for what, step in STEPS.items()]
    except (Wrong, DatabaseError) as error:
        print(f"FAILED  {' '.join(str(error).split())}")
        return 1
    return 0 if all(works) else 1


@contextlib.contextmanager
def somebody(url: str) -> Iterator[Person]:
    """Gone afterwards, and with the next one if this process is killed."""
    forget()
    try:
        yield Person(url)
    finally:
        forget()


def forget() -> None:
    """By its address too: a person of this name is somebody else."""
    get_user_model().objects.filter(username=NAME, email=EMAIL).delete()


def tried(what: str, step: Callable[[Person], str], person: Person) -> bool:
    try:
        found = step(person)
    except Wrong as error:
        print(f"FAILED  {what}: {error}", flush=True)
        return False
    print(f"{'--' if found.startswith(NOT_TRIED) else 'ok'}      {what}: {found}", flush=True)
    return True


def health(person: Person) -> str:
    answer = person.visitor.get("/readyz")
    if answer.status != 200:
        raise Wrong(f"/readyz answered {answer.status}: {answer.text[:300]}")
    return "database, migrations and cache are there"


def cache_hit(person: Person) -> str:
    """What the web server has put there is found from here: it is one cache, and not each process's own."""
    if not settings.CACHE_URL:
        return f"{NOT_TRIED}CACHE_URL names no cache"
    try:
        cache.delete("readyz")
        person.visitor.get("/readyz")
        hit = cache.get("readyz")
    except Exception as error:  # noqa: BLE001  Each client of a cache has its own errors; the line names it.
        raise Wrong(f"the cache of CACHE_URL does not answer here: {type(error).__name__}.") from None
    if hit is None:
        raise Wrong("what the web server wrote is not found here: CACHE_URL is another one there.")
    return "what the web server wrote was found"


def login_page(person: Person) -> str:
    page = person.visitor.get("/accounts/login/")
    if page.status != 200:
        raise Wrong(f"/accounts/login/ answered {page.status}.")
    fields = {"login": NAME, "password": person.password, "csrfmiddlewaretoken": form_token(page)}
    after = person.visitor.post("/accounts/login/", fields)
    if after.status != 200 or after.path.startswith("/accounts/"):
        raise Wrong(f"signing in ended at {after.path} with {after.status}.")
    return "somebody signed in"


def static_file(person: Person) -> str:
    path = person.visitor.get("/accounts/login/").find(r'href="(/static/[^"]+\.css)"', "style sheet")
    answer = person.visitor.get(path)
    if answer.status != 200 or "text/css" not in answer.headers.get("Content-Type", ""):
        raise Wrong(f"{path} answered {answer.status}: run `manage.py collectstatic`.")
    return path


def api(person: Person) -> str:
    without = Visitor(person.visitor.base).get("/api/v1/printers/")
    if without.status != 401:
        raise Wrong(f"/api/v1/printers/ answered {without.status} without a token.")
    answer = person.visitor.get("/api/v1/printers/", Authorization=f"Bearer {person.token}")
    if answer.status != 200:
        raise Wrong(f"/api/v1/printers/ answered {answer.status} with a token: {answer.text[:300]}")
    return "401 without a token, 200 with one"


def importing(person: Person) -> str:
    form = person.visitor.get("/printers/import/")
    if form.path != "/printers/import/":
        return f"{NOT_TRIED}everybody is on the old side, which imports nothing"
    preview = person.visitor.upload(form.path, {"csrfmiddlewaretoken": form_token(form)}, "smoke.csv", FILE)
    heading = " ".join(preview.find(r"(?s)<h1>(.*?)</h1>", "heading").split())
    if preview.status != 200 or not heading.startswith("1 row:"):
        raise Wrong(f"the file of one row ended at {preview.path} with {preview.status}: {heading}")
    return f"{heading}; nothing was saved"


def exporting(person: Person) -> str:
    answer = person.visitor.get("/printers/export/?format=csv")
    if answer.path != "/printers/export/":
        return f"{NOT_TRIED}everybody is on the old side"
    if answer.status != 200 or "address" not in answer.text.partition("\n")[0]:
        raise Wrong(f"/printers/export/ answered {answer.status}.")
    return "a file with columns and no printer of anybody else's"


def moves(person: Person) -> str:
    """As verifymoves compares them. Without a live move, or a row of one, there is nothing to compare."""
    said = io.StringIO()
    try:
        call_command("verifymoves", format="json", verbosity=0, stdout=said)
        failure = ""
    except CommandError as error:
        failure = str(error)
    compared = [move for move in read(said.getvalue()) if move["seconds"] is not None]
    if wrong := [move["move"] for move in compared if not move["ok"]]:
        raise Wrong(f"{', '.join(wrong)}: both tables differ, or a part is missing; run `manage.py verifymoves`.")
    if not compared:
        return f"{NOT_TRIED}no move is live"
    if not any(move["source_rows"] or move["target_rows"] for move in compared):
        return f"{NOT_TRIED}every table of the moves is empty"
    if failure:
        raise Wrong(failure)
    return f"{len(compared)} compared, row by row, and equal"


def read(said: str) -> list[dict[str, Any]]:
    """What verifymoves said of each move; nothing where it compared none."""
    return json.loads(said)["moves"] if said.strip() else []


def form_token(page: Any) -> str:
    return str(page.find(r'name="csrfmiddlewaretoken" value="([^"]+)"', "form"))


STEPS: dict[str, Callable[[Person], str]] = {
    "health": health,
    "cache": cache_hit,
    "login page": login_page,
    "static file": static_file,
    "API": api,
    "import": importing,
    "export": exporting,
    "moves": moves,
}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
