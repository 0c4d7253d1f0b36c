"""The life of a move on disk: two releases of one project on one database, and what is looked at after each step."""

import contextlib
import dataclasses
import difflib
import json
from collections.abc import Iterator
from typing import Any

import psycopg

from tests.database import dump
from tests.farm.databases import WORKER, connected_to, database
from tests.rehome.support import printers
from tests.rehome.support.disk import Project

CHECKS = ("makemigrations --check --dry-run -v0", "check")
WRITE = """
from django.apps import apps
from django.db import transaction
owners, printers, labellings = (apps.get_model({app!r}, name).objects for name in ("Owner", "Printer", "Labelling"))
tags = apps.get_model("portal", "Tag").objects
with transaction.atomic():
    owner = owners.create(name={who!r})
    made = [printers.create(owner=owner, serial=f"{who} {{what}}") for what in ("stays", "changes", "goes")]
    printers.bulk_create([printers.model(owner=owner, serial="{who} in bulk", parent=made[0])])
    for one in made:
        one.tags.set(tags.all())
        labellings.create(printer=one, tag=tags.first())
    owner.favourite = made[0]
    owner.save()
    made[0].tags.remove(tags.first())
    printers.filter(serial="{before} changes").update(serial="{before} changed")
    for gone in printers.filter(serial="{before} goes"):
        gone.delete()
    if {pointing}:
        ids = dict.fromkeys(("printer_id", "via_id", "fast_id"), made[1].pk)
        apps.get_model("billing", "Invoice").objects.create(**ids)
        apps.get_model("jobs", "Job").objects.create(printer_id=made[1].pk).printers.set([made[0].pk])
        coloured = apps.get_model("jobs", "ColourPrinter").objects.create(owner_id=owner.pk, serial="{who} in colour")
        apps.get_model("jobs", "Cartridge").objects.create(printer=coloured)
"""
"""By the ORM, as code of one release does, to every kind of table, and to what the writer before has left."""
OURS = """
SELECT relname::text FROM pg_class WHERE relname ~ '^rehome_' AND relname !~ '^rehome_moverun'
 UNION ALL SELECT proname::text FROM pg_proc WHERE proname ~ '^rehome_' AND proname !~ '^rehome_fence_'
"""
"""The function of a fence stays when Django drops its table."""
UNPROVEN = "SELECT conrelid::regclass::text, conname::text FROM pg_constraint WHERE NOT convalidated"
TYPES = "SELECT id, model FROM django_content_type WHERE app_label = 'portal' ORDER BY id"
TABLES = ("portal_*", "billing_*", "jobs_*", "auth_*", "django_*")


@dataclasses.dataclass(frozen=True)
class Picture:
    """What a database has to be again that has gone back, but for the rows."""

    tables: str
    ours: tuple[Any, ...]
    types: tuple[Any, ...]
    granted: tuple[Any, ...]

    @classmethod
    def of(cls, project: Project) -> "Picture":
        with connected_to(project.database):
            tables = dump(tables=TABLES, schema_only=True)
        return cls(tables, *(tuple(project.sql(query)) for query in (OURS, TYPES, printers.GRANTED)))

    def differences(self, begun: "Picture") -> str:
        lines = [str(picture).replace("\\n", "\n").splitlines() for picture in (begun, self)]
        return "\n".join(difflib.unified_diff(*lines, "begun", "now", lineterm="", n=2))


@dataclasses.dataclass
class Life:
    """`old` is the previous release, whose code stays; `new` is what the developer edits. Both use one database."""

    old: Project
    new: Project
    begun: Picture
    empty: str
    """A database that has Django's own tables alone."""
    environment: dict[str, str]
    serials: set[str]
    """Of every printer that there has to be."""
    writers: int = 0
    built: dict[str, str] = dataclasses.field(default_factory=dict)
    """The files of which a new database was built last."""

    def run(self, *commands: str, code: int = 0) -> str:
        return self.new.run(*commands, code=code, **self.environment)

    @contextlib.contextmanager
    def elsewhere(self, name: str, template: str = "template1") -> Iterator["Life"]:
        """The same on another database; what is written there is not known here."""
        with database(f"{name}_{WORKER}", template=template) as made:
            old, new = (dataclasses.replace(release, database=made) for release in (self.old, self.new))
            yield dataclasses.replace(self, old=old, new=new, serials=set(self.serials))

    # ----- writes

    def write(self, *labels: str) -> None:
        """Code of each release writes to its own app, one after the other; then both names have the same rows."""
        for label in labels:
            before, who = (f"writer {number}" for number in (self.writers, self.writers + 1))
            self.writers += 1
            release = self.old if label == "portal" else self.new
            pointing = "billing" in release.apps
            release.python(WRITE.format(app=label, who=who, before=before, pointing=pointing))
            kinds = ("stays", "changes", "goes", "in bulk", *(["in colour"] if pointing else []))
            if f"{before} goes" in self.serials:
                self.serials ^= {f"{before} {what}" for what in ("goes", "changes", "changed")}
            self.serials |= {f"{who} {kind}" for kind in kinds}
        for label in labels:
            assert {serial for (serial,) in self.new.sql(f"SELECT serial FROM {label}_printer")} == self.serials
        assert self.new.sql(UNPROVEN) == []

    # ----- what is looked at after each step

    def look(self, phase: str) -> None:
        self.see(phase)
        self.build_anew("portal", "printers")
        self.go_back(again=phase != "planned")

    def see(self, phase: str) -> None:
        """Both releases write, the checks are clean, the tables are equal, and the phase is known."""
        moved = phase != "planned"
        self.write("portal", *(["printers"] if moved else []))
        commands = [*CHECKS, *(["verifymoves -v0"] if moved else []), "showmoves --format json"]
        said = self.new.tell(*map(str.split, commands), strict=True, **self.environment)
        assert said[-1].code == 0, said[-1].text
        assert {one["phase"] for one in json.loads(said[-1].text)} == {phase}, said[-1].text

    def build_anew(self, *writers: str) -> None:
        """A new database, where the files have changed since the last one, and writes to it."""
        files = self.new.migrations()
        if files == self.built:
            return
        self.built = files
        with self.elsewhere("test_new", self.empty) as there:
            there.serials = set()
            assert " -> " not in there.run("migrate", "migrate --check")
            there.new.sql("INSERT INTO portal_tag (name) VALUES ('red'), ('blue')")
            there.write(*writers)

    def go_back(self, *, again: bool) -> None:
        """A copy of the database goes back to where the new tables are empty, then to where they are not; and there
        again.
        """
        with self.elsewhere("test_back", self.new.database) as there:
            there.run("migrate printers 0001 -v0")
            there.write("portal")
            there.run("migrate printers zero -v0")
            assert not (changed := Picture.of(there.new).differences(self.begun)), changed
            if again:
                there.run("migrate -v0", "verifymoves -v0")
                there.write("printers")

    @contextlib.contextmanager
    def read(self, table: str) -> Iterator[None]:
        """A transaction that has read the table stays open until the block ends."""
        with psycopg.connect(**self.new.address) as reader:
            reader.execute(f"SELECT FROM {table} LIMIT 1")
            yield
