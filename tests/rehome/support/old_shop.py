"""A Django project over somebody else's database, and the two applications that write to it."""

import contextlib
import dataclasses
import itertools
import json
import os
import random
import re
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

from tests.conftest import ROOT

PAGE = (ROOT / "docs" / "takeover.md").read_text(encoding="utf-8")
EXAMPLES = dict(re.findall(r"<!-- example: (\w+) -->\n```\w+\n(.*?)```", PAGE, re.DOTALL))

MANAGE = """
import json, os, sys
from django.core.management import execute_from_command_line
os.environ["DJANGO_SETTINGS_MODULE"] = "settings"
for command in json.loads(sys.argv[1]):
    execute_from_command_line(["manage.py", *command])
"""
SETTINGS = """
import json, os
SECRET_KEY = "only for this test"
INSTALLED_APPS = ["django.contrib.contenttypes", "rehome", "shop"]
DATABASES = {"default": json.loads(os.environ["DATABASE"])}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
"""


@dataclasses.dataclass(frozen=True)
class Project:
    """On disk, as its owner would have it."""

    folder: Path
    database: dict[str, Any]

    def build(self) -> None:
        self.write("manage.py", MANAGE)
        self.write("settings.py", SETTINGS)
        self.write("shop/__init__.py", "")

    def write(self, name: str, text: str) -> None:
        (self.folder / name).parent.mkdir(exist_ok=True)
        (self.folder / name).write_text(text, encoding="utf-8")

    def edit(self, diff: str) -> None:
        """Apply the hunks of a diff of models.py, each of which is there once."""
        models = self.folder / "shop" / "models.py"
        text = models.read_text(encoding="utf-8")
        for hunk in diff.split("@@\n"):
            lines = hunk.splitlines(keepends=True)
            before = "".join(line[1:] for line in lines if line[0] != "+")
            assert text.count(before) == 1, before
            text = text.replace(before, "".join(line[1:] for line in lines if line[0] != "-"))
        models.write_text(text, encoding="utf-8")

    def manage(self) -> None:
        """Every model is managed from now on."""
        models = self.folder / "shop" / "models.py"
        models.write_text(models.read_text().replace("        managed = False\n", ""), encoding="utf-8")

    def run(self, *commands: str | list[str], code: int = 0) -> str:
        """One after the other, to the first that fails, in a process of their own."""
        split = [command.split() if isinstance(command, str) else command for command in commands]
        done = subprocess.run(
            [sys.executable, "manage.py", json.dumps(split)],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    @property
    def environment(self) -> dict[str, str]:
        known = {"DATABASE": json.dumps(self.database), "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error"}
        return os.environ | known


# ----- what is written, and by whom


@dataclasses.dataclass
class Log:
    """What both applications were told is committed. Nobody else writes to the shop."""

    born: dict[int, int] = dataclasses.field(default_factory=dict)
    """Orders, and their customers."""
    added: list[tuple[int, Decimal]] = dataclasses.field(default_factory=list)
    """To the total of an order."""
    gone: set[int] = dataclasses.field(default_factory=set)
    """Customers."""
    switched: dict[int, bool] = dataclasses.field(default_factory=dict)
    """Customers of Django's, and whether they are active."""

    def read(self, printed: str) -> None:
        """What WORK has printed, among whatever else."""
        for line in printed.splitlines():
            if line.startswith('["'):
                self.note(line)

    def note(self, line: str) -> None:
        match json.loads(line):
            case ["born", order, customer]:
                self.born[order] = customer
            case ["added", order, amount]:
                self.added.append((order, Decimal(amount)))
            case ["gone", customer]:
                self.gone.add(customer)
            case ["switched", customer, active]:
                self.switched[customer] = active

    @property
    def totals(self) -> dict[int, Decimal]:
        """Of the orders that must be there; those of a customer who is gone went along."""
        totals = {order: Decimal("1.00") for order, customer in self.born.items() if customer not in self.gone}
        for order, amount in self.added:
            if order in totals:
                totals[order] += amount
        return totals


DJANGO = """
    import json, random, uuid
    from decimal import Decimal
    from django.db import IntegrityError
    from django.db.models import F
    from django.utils import timezone
    from shop.models import Customer, Order

    # The wall clock of whoever wrote it last is read as the moment that it was.
    for order in Order.objects.order_by("-pk")[:1]:
        assert abs(timezone.now() - order.created).total_seconds() < 600

    def say(*what):
        print(json.dumps(what), flush=True)

    chosen = random.Random(1)
    mine = Customer.objects.create(name="Django's", email=f"{uuid.uuid4()}@example.com", active=False)
    say("switched", mine.pk, False)
    for number in range(60):
        newest = Customer.objects.filter(active=True).order_by("-pk").values_list("pk", flat=True)
        customer = chosen.choice([mine.pk, *newest[:20]])
        try:
            order = Order.objects.create(customer_id=customer, total=1)
            say("born", order.pk, customer)
        except IntegrityError:
            pass  # The old application was faster to delete the customer.
        orders = Order.objects.order_by("-pk").values_list("pk", flat=True)
        order = chosen.choice(orders[:20])
        if Order.objects.filter(pk=order).update(total=F("total") + Decimal("0.25")):
            say("added", order, "0.25")
        mine.active = not mine.active
        mine.save(update_fields=["active"])
        say("switched", mine.pk, mine.active)
"""


WORK = ["shell", "--no-imports", "-v", "0", "-c", textwrap.dedent(DJANGO)]
"""The command that lets Django work on the shop for a while, and prints the lines of a log."""


Execute = Callable[[str, list[Any]], list[tuple[Any, ...]]]
"""Runs one statement, which is committed when this returns; the rows, or how many were changed as the only one."""


@contextlib.contextmanager
def old_application(execute: Execute, log: Log, expected: type[Exception]) -> Iterator[Callable[[], int]]:
    """Writes until the block ends, one statement a transaction. Gives a way to ask how often it has."""
    stop, written, failures = threading.Event(), itertools.count(1), []
    counted = [0]

    def work() -> None:
        chosen = random.Random(7)  # noqa: S311
        try:
            # Unhurried, so that Django's process is the one that has the processor.
            while not stop.wait(0.005):
                write_once(execute, log, chosen, expected)
                counted[0] = next(written)
        except Exception as error:  # noqa: BLE001
            failures.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield lambda: counted[0]
    finally:
        stop.set()
        thread.join()
    assert failures == []


def write_once(execute: Execute, log: Log, chosen: random.Random, expected: type[Exception]) -> None:
    """A customer with an order, something for any order, and at times a customer who goes; noted one by one."""
    email = f"old-{chosen.getrandbits(60)}@example.com"
    with contextlib.suppress(expected):  # It has given way to a lock that somebody waits for.
        ((customer,),) = execute("INSERT INTO customers (name, email) VALUES ('Old', %s) RETURNING id", [email])
        ((order,),) = execute("INSERT INTO orders (customer, total) VALUES (%s, 1) RETURNING id", [customer])
        log.note(json.dumps(["born", order, customer]))
        known = chosen.choice(list(log.born))
        if execute("UPDATE orders SET total = total + 0.50 WHERE id = %s RETURNING id", [known]):
            log.note(json.dumps(["added", known, "0.50"]))
        if chosen.random() < 0.3 and execute("DELETE FROM customers WHERE id = %s RETURNING id", [customer]):
            log.note(json.dumps(["gone", customer]))
