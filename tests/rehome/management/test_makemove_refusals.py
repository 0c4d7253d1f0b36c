"""What `makemove` can't do is said by name, with the cure, and nothing is written."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest_django import DjangoDbBlocker

from tests.farm.databases import WORKER, database
from tests.rehome.support.disk import Project

THING = """
class {name}(models.Model):
    name = models.CharField(max_length=20)
"""
HEAD = "from django.db import models\n"


def things(*names: str) -> str:
    return HEAD + "".join(THING.format(name=name) for name in names)


OLD = things("Thing", "Tall", "Gone", "Left", "Pinned", "Copied") + """
    tags = models.ManyToManyField("shelf.Thing", db_table="copied_tags")


class Deep(models.Model):
    left = models.ForeignKey(Left, models.CASCADE, related_name="+")


class ThingProxy(Thing):
    class Meta:
        proxy = True


class Wide(models.Model):
    width = models.IntegerField(db_index=True)

    class Meta:
        indexes = [models.Index(fields=["width"], name="wide_width")]
"""  # fmt: skip
NEW = things("Thing", "Double", "Pinned", "Left") + """

class Double(models.Model):
    other = models.IntegerField()


if True:
    class Sometimes(models.Model):
        name = models.CharField(max_length=20)


class Copied(models.Model):
    name = models.CharField(max_length=20)
    tags = models.ManyToManyField("shelf.Thing", db_table="copied_tags", related_name="+")


class Tall(models.Model):
    name = models.CharField(max_length=20)

    class Meta:
        db_table = "shelf_tall"


class Deep(models.Model):
    left = models.ForeignKey("stock.Left", models.CASCADE, related_name="+")


class ThingProxy(Thing):
    class Meta:
        proxy = True


class Wide(models.Model):
    width = models.IntegerField()

    class Meta:
        db_table = "shelf_wide"
        indexes = [models.Index(fields=["width"], name="wide_width")]
"""  # fmt: skip
SETTINGS = """
AUTH_USER_MODEL = "people.User"
MIGRATION_MODULES = {"off": None}
"""
PEOPLE = "from django.contrib.auth.models import AbstractUser\n\n\nclass User(AbstractUser):\n    pass\n"
REFUSALS = {
    "makemove shelf.Thing stock.Nothing": (1, "'stock.Nothing' is no model of the code. Put the class of 'shelf."),
    "makemove shelf.Nothing stock.Thing": (1, "'shelf.Nothing' is no model that the migrations know. Those of 'shel"),
    "makemove nowhere.Thing stock.Thing": (1, "'nowhere.Thing' is no model that the migrations know. Write it as ap"),
    "makemove shelf.Thing SHELF.thing": (1, "shelf.Thing and SHELF.thing are one model. Name the model of the other"),
    "makemove shelf.Thing stock.Thing shelf.Thing stock.Left": (1, "share a model. Name each model once."),
    "makemove shelf.Thing stock.Thing shelf.Left": (2, "shelf.Left has no target; name a target after each source."),
    "makemove shelf.Thing bare.Thing": (1, "'bare' has no package for migrations. Create it with an empty "),
    "makemove shelf.Thing off.Thing": (1, "MIGRATION_MODULES switches the migrations of 'off' off. Remove that entry"),
    "makemove shelf.Thing stock.Sometimes": (1, "stock.Sometimes is defined under a condition, in line "),
    "makemove shelf.Thing stock.Double": (1, "stock.Double is defined twice in "),
    "makemove shelf.ThingProxy stock.ThingProxy": (1, "shelf.ThingProxy is a proxy and has no rows of its own. Move s"),
    "makemove shelf.Tall stock.Tall": (1, "stock.Tall has the table of shelf.Tall, 'shelf_tall', and both tables are"),
    "makemove shelf.Copied stock.Copied": (1, "stock.Copied.tags has a table of shelf.Copied, 'copied_tags', and both"),
    "makemove shelf.Deep stock.Deep": (1, "stock.Deep.left points at stock.Left, but no migration moves shelf.Left th"),
    "makemove auth.User people.User": (1, 'AUTH_USER_MODEL names people.User already. Leave it at "auth.User" and'),
    "makemove shelf.Gone stock.Thing": (1, "shelf.Left.gone points at shelf.Gone, which is not in the code any more. "),
    "makemove shelf.Thing stock.Thing --state-only": (1, "stock.Thing would have another table than shelf.Thing. Wr"),
    "makemove shelf.Wide stock.Wide --state-only": (1, "shelf.Wide is still in the code, and two models can't ha"),
    "makemove shelf.Thing": (2, "the following arguments are required: target"),
}  # fmt: skip


@pytest.fixture
def project(tmp_path: Path, django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[Project]:
    with django_db_blocker.unblock(), database(f"test_refused_{WORKER}") as name:
        yield Project(tmp_path / "project", name, ("shelf", "stock"))


def test_each_refusal_names_the_cure(project: Project) -> None:
    project.apps = ("people", "shelf", "stock", "bare", "off")
    project.settings = SETTINGS
    project.build({"people/models.py": PEOPLE, "shelf/models.py": OLD})
    project.run("makemigrations people shelf -v0")
    gone = OLD.replace(THING.format(name="Gone"), "").replace(
        THING.format(name="Left"),
        f'{THING.format(name="Left")}    gone = models.ForeignKey("shelf.Gone", models.CASCADE)\n',
    )
    project.edit(
        {
            "shelf/models.py": gone,
            "stock/models.py": NEW,
            "bare/models.py": things("Thing"),
            "off/models.py": things("Thing"),
        }
    )
    (project.folder / "bare/migrations/__init__.py").unlink()
    (project.folder / "bare/migrations").rmdir()
    before = project.migrations()

    found = project.tell(*map(str.split, REFUSALS))

    for said, (code, message) in zip(found, REFUSALS.values(), strict=True):
        assert message in said
        assert said.code == code, said
    assert project.migrations() == before


STATE_ONLY = """
class Thing(models.Model):
    name = models.CharField(max_length=20)
    label = models.CharField(max_length=20, {options})

    class Meta:
        {meta}
        indexes = [models.Index(fields=["name"], name="{index}")]
"""


def state_only(*, options: str = "null=True", meta: str = 'db_table = "shelf_thing"', index: str = "by_name") -> str:
    return HEAD + STATE_ONLY.format(options=options, meta=meta, index=index)


def test_a_table_that_stays_is_what_it_was(project: Project) -> None:
    command = "makemove shelf.Thing stock.Thing --state-only"
    project.build({"shelf/models.py": state_only(meta="")})
    project.run("makemigrations shelf -v0")
    project.edit({"shelf/models.py": HEAD, "stock/models.py": state_only(meta="")})

    assert 'Write `db_table = "shelf_thing"` into its Meta.' in project.refused(command)
    for text, message in (
        (state_only(options="null=False"), "stock.Thing.label is not the same as shelf.Thing.label: null differs."),
        (state_only(index="by_thing_name"), "indexes of stock.Thing is not the same as that of shelf.Thing."),
        (state_only() + "        ordering = []\n    new = models.TextField()\n", "stock.Thing has new, and its table"),
        (state_only().replace("    label = ", "    tag = "), "stock.Thing lacks label."),
    ):
        project.edit({"stock/models.py": text})
        assert message in project.refused(command)
    project.edit({"stock/models.py": state_only()})
    project.run(command, "makemigrations --check --dry-run")


def test_models_that_have_left_for_an_app_that_the_command_does_not_name(project: Project) -> None:
    """`makemigrations` would drop their rows; of one that has another name by now, nobody but a person knows."""
    project.apps = ("shelf", "stock", "cellar")
    project.build({"shelf/models.py": things("Thing", "Other", "Third")})
    project.run("makemigrations shelf -v0")
    project.edit(
        {"shelf/models.py": "", "stock/models.py": things("Thing"), "cellar/models.py": things("Other", "New")}
    )

    command = "makemove shelf.Thing stock.Thing"
    said = project.refused(command)
    assert f"Move them in the same call: `manage.py {command} shelf.Other cellar.Other`." in said
    said = project.refused(f"{command} --state-only -n early")
    assert "`manage.py makemove --state-only --name early shelf.Thing stock.Thing shelf.Other cellar.Other`." in said
    command += " shelf.Other cellar.Other"
    said = project.refused(command)
    assert "shelf: Delete model Third. If a model of these has moved under another name, add both to this co" in said
    project.run(f"{command} shelf.Third cellar.New", "makemigrations --check --dry-run")


def test_the_old_class_goes_after_what_was_led_away_before(project: Project) -> None:
    """By `makemigrations`, while both classes were there, in an app that a new database has last."""
    note = "\n\nclass Note(models.Model):\n    thing = models.ForeignKey('{app}.Thing', models.CASCADE)\n"
    project.apps = ("shelf", "stock", "zoo")
    project.build({"shelf/models.py": things("Thing"), "zoo/models.py": HEAD + note.format(app="shelf")})
    project.run("makemigrations -v0")
    project.edit({"stock/models.py": things("Thing")})
    command = "makemove shelf.Thing stock.Thing"
    project.run(command)
    project.edit({"zoo/models.py": HEAD + note.format(app="stock")})
    project.run("makemigrations zoo -v0")
    project.edit({"shelf/models.py": HEAD})
    project.run(command, "check", "migrate -v0", "makemigrations --check --dry-run")


def test_other_changes_and_several_last_migrations(project: Project) -> None:
    project.build({"shelf/models.py": things("Thing", "Other")})
    project.run("makemigrations shelf -v0")
    changed = things("Other") + "    size = models.IntegerField(default=0)\n"
    project.edit({"shelf/models.py": changed, "stock/models.py": things("Thing")})

    assert "do not belong to the move: shelf: Add field size to other. Undo them, run `manage.py makemove" in (
        project.refused("makemove shelf.Thing stock.Thing")
    )
    project.run("makemigrations -v0")
    said = project.refused("makemove shelf.Thing stock.Thing")
    assert (
        "would drop every row of the model that moves, and does something else besides: shelf: Add field size" in said
    )

    project.edit({"shelf/models.py": things("Other")})
    for name in ("0002_one", "0002_two"):
        project.write(
            f"shelf/migrations/{name}.py",
            "from django.db import migrations\n\n\nclass Migration(migrations.Migration):\n"
            '    dependencies = [("shelf", "0001_initial")]\n',
        )
    said = project.refused("makemove shelf.Thing stock.Thing")
    assert "0002_one, 0002_two in shelf. Run `manage.py makemigrations --merge` first." in said


COPY = """from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("stock", "0001_initial"), ("shelf", "0001_initial")]
    operations = [migrations.RunSQL("INSERT INTO stock_thing (name) SELECT name FROM shelf_thing")]
"""


@pytest.mark.parametrize("way", ["rows that may go", "rows that code copies"])
def test_rows_of_a_class_that_was_cut_are_not_dropped(project: Project, way: str) -> None:
    project.build({"shelf/models.py": things("Thing", "Other")})
    project.run("makemigrations -v0", "migrate -v0")
    project.sql("INSERT INTO shelf_thing (name) VALUES ('a'), ('b'); INSERT INTO shelf_other (name) VALUES ('c')")
    project.edit({"shelf/models.py": HEAD, "stock/models.py": things("Thing")})
    project.run("makemigrations -v0")
    for command in ("migrate", "migrate shelf"):
        said = project.refused(command)
        assert "drops shelf.Thing with 2 rows, and stock.Thing, which has the same fields, has none" in said
        assert "Run `manage.py makemove shelf.Thing stock.Thing`, which writes others instead." in said
    assert project.sql("SELECT to_regclass('stock_thing')") == [(None,)]
    if way == "rows that may go":
        project.sql("DELETE FROM shelf_thing")
    else:
        project.write("stock/migrations/0002_copy.py", COPY)
        (deletes,) = [name for name, text in project.migrations().items() if "DeleteModel" in text]
        project.replace(deletes, "('shelf', '0001_initial')", "('shelf', '0001_initial'), ('stock', '0002_copy')")
    project.run("migrate -v0")
    assert project.sql("SELECT count(*) FROM stock_thing") == [(0 if way == "rows that may go" else 2,)]
    assert project.sql("SELECT to_regclass('shelf_other')") == [(None,)]


@pytest.mark.long
def test_a_release_that_forgets_the_way_back_or_rehome_says_so(project: Project) -> None:
    project.build({"shelf/models.py": things("Thing")})
    project.run("makemigrations -v0", "migrate -v0")
    project.sql("INSERT INTO shelf_thing (name) VALUES ('a')")
    project.edit({"shelf/models.py": HEAD, "stock/models.py": things("Thing")})
    project.run("makemove shelf.Thing stock.Thing", "migrate -v0")
    project.replace("stock/migrations/0002_migrate_thing_data.py", "thing.forwards, thing.backwards", "thing.forwards")
    said = project.refused("migrate stock 0001")
    assert (
        "stock.0002_migrate_thing_data moves shelf.Thing -> stock.Thing forwards alone. Write `migrations.Run" in said
    )
    project.replace("stock/migrations/0002_migrate_thing_data.py", "thing.forwards", "thing.forwards, thing.backwards")
    apps = json.dumps([app for app in json.loads(project.environment["APPS"]) if app != "rehome"])
    said = project.run("migrate stock 0001", code=1, APPS=apps)
    assert "'rehome' is not in INSTALLED_APPS. Add it until its moves have ended" in said
    assert "Unapplying" not in said
    declared = "migrations.RunPython(thing.forwards, thing.backwards)"
    project.replace("stock/migrations/0002_migrate_thing_data.py", declared, "")
    said = project.refused("migrate stock zero")
    assert "its phase is 'live' on this database, and no migration declares it any more." in said
    project.replace("stock/migrations/0002_migrate_thing_data.py", "operations = []", f"operations = [{declared}]")
    project.run("migrate --fake stock zero -v0")
    said = project.run("showmoves")
    assert "record it with `manage.py migrate --fake stock 0002_migrate_thing_data`; then" in said
    project.run("migrate --fake stock 0002_migrate_thing_data -v0", "migrate -v0", "verifymoves")
    project.run("migrate stock 0001 -v0", "migrate --fake stock 0002 -v0")
    project.run("migrate --fake stock 0001 -v0", "migrate -v0", "verifymoves", "migrate stock 0001 -v0")
    assert project.sql("SELECT name FROM shelf_thing") == [("a",)]


def test_what_is_applied_already_has_a_way_out(project: Project) -> None:
    project.build({"shelf/models.py": things("Thing")})
    project.run("makemigrations -v0", "migrate -v0")
    project.edit({"shelf/models.py": HEAD, "stock/models.py": things("Thing")})
    project.run("makemigrations -v0", "migrate -v0")

    said = project.refused("makemove shelf.Thing stock.Thing")
    assert "has applied what makemigrations wrote of the class that was cut: shelf.0002_delete_thing." in said
    assert "run `manage.py migrate shelf 0001_initial`. Then run this command again." in said
    assert "can't be asked" in project.run("makemove shelf.Thing stock.Thing", DATABASE=project.unreachable)


KILLED = """
import os
from django.core.management import call_command
from rehome.graph.drafting import writing
put, done = writing.put, []
def put_or_die(file):
    if len(done) == {after}:
        os._exit(9)
    put(file)
    done.append(file)
writing.put = put_or_die
if os.fork() == 0:
    call_command(*{command!r}.split(), verbosity=0)
    os._exit(0)
assert os.waitstatus_to_exitcode(os.wait()[1]) == 9
"""


@pytest.mark.parametrize("after", [1, *(pytest.param(after, marks=pytest.mark.long) for after in (0, 2, 3))])
def test_what_a_kill_between_two_files_leaves_the_same_command_completes(project: Project, after: int) -> None:
    command = "makemove shelf.Thing stock.Thing"
    pointing = THING.format(name="Part") + '    thing = models.ForeignKey("{}.Thing", models.CASCADE)\n'
    project.build({"shelf/models.py": things("Thing") + pointing.format("shelf")})
    project.run("makemigrations -v0")
    project.edit({"shelf/models.py": HEAD + pointing.format("stock"), "stock/models.py": things("Thing")})
    project.run("makemigrations -v0")
    whole = project.copy(project.folder.with_name("whole"), project.database)
    whole.run(command)

    project.python(KILLED.format(after=after, command=command))

    assert len(project.migrations()) == 1 + after
    project.run(command)
    assert project.migrations() == whole.migrations()
    project.run("makemigrations --check --dry-run", "migrate -v0", "migrate shelf zero -v0")
    assert not list(project.folder.glob("*/migrations/.*"))


CHILD = """

class Child({base}):
    size = models.IntegerField(default=1)
"""


@pytest.mark.long
def test_a_child_of_a_model_that_is_renamed_as_it_moves_keeps_its_column(project: Project) -> None:
    """Its link is called after the parent, and old code goes on using the column."""
    command = "makemove shelf.Thing stock.Article"
    project.build({"shelf/models.py": things("Thing") + CHILD.format(base="Thing")})
    project.run("makemigrations -v0", "migrate -v0")
    project.sql("INSERT INTO shelf_thing (name) VALUES ('a'); INSERT INTO shelf_child SELECT id, 2 FROM shelf_thing")
    child = f"{HEAD}from stock.models import Article\n{CHILD.format(base='Article')}"
    project.edit({"shelf/models.py": child, "stock/models.py": things("Article")})

    said = project.refused(command)

    assert (
        "shelf.Child inherits from stock.Article, and its link to the parent is not called thing_ptr any more" in said
    )
    line = said.partition("Write the line `")[2].partition("`")[0]
    project.edit({"shelf/models.py": f"{child}    {line}\n"})
    project.run(command, "makemigrations --check --dry-run", "migrate -v0", "verifymoves")
    assert "stock.0002_migrate_article_data moves shelf.Thing to stock.Article already. Nothing is left to write." in (
        project.refused(command)
    )
    project.python("from shelf.models import Child; Child.objects.create(name='b', size=3)")
    assert project.sql("SELECT name, size FROM shelf_child JOIN shelf_thing ON id = thing_ptr_id ORDER BY 1") == [
        ("a", 2),
        ("b", 3),
    ]
    project.run("migrate stock zero -v0", "migrate -v0", "verifymoves")


def test_a_move_that_was_faked_says_how_it_leaves_the_record(project: Project) -> None:
    project.build({"shelf/models.py": things("Thing")})
    project.run("makemigrations -v0", "migrate -v0")
    project.edit({"shelf/models.py": HEAD, "stock/models.py": things("Thing")})
    project.run("makemove shelf.Thing stock.Thing", "migrate --fake -v0")

    said = project.refused("migrate stock zero")

    assert "stock.0002_migrate_thing_data is recorded as applied, but rehome did not run it on this database" in said
    assert "`manage.py migrate --fake stock 0001_initial`, and whatever else was faked" in said
    project.run("migrate --fake stock zero -v0", "migrate -v0", "migrate stock zero -v0")


def test_changes_of_an_installed_package_are_left_alone(project: Project) -> None:
    """Such as the key of another DEFAULT_AUTO_FIELD: nobody but its author can write or undo them."""
    project.build({"shelf/models.py": things("Thing")})
    project.install("parcel", things("Box"))
    project.run("makemigrations shelf parcel -v0")
    project.write("site-packages/parcel/models.py", things("Box") + "    size = models.IntegerField(default=0)\n")
    project.edit({"shelf/models.py": "", "stock/models.py": things("Thing")})

    said = project.run("makemove shelf.Thing stock.Thing", "makemigrations shelf stock --check")
    assert "stock/migrations/0001_initial.py" in said
    assert "parcel" not in said


PERSON = "from django.contrib.auth.models import AbstractUser\nfrom django.db import models\n\n\n" + (
    "class User(AbstractUser):\n    {more}\n\n    class Meta(AbstractUser.Meta):\n        pass\n"
)


@pytest.mark.long
def test_what_an_installed_package_has_written_is_written_anew_in_the_new_class(project: Project) -> None:
    project.build({"shelf/models.py": HEAD, "stock/models.py": PERSON.format(more="pass")})
    said = project.refused("makemove auth.User stock.User")
    assert "contrib/auth/models.py" not in said
    lines = re.findall(r"  - stock.User: (.*)", said)
    assert [line.partition(" = ")[0] for line in lines] == ["groups", "user_permissions"]

    project.edit({"stock/models.py": PERSON.format(more="\n    ".join(lines))})

    assert "+ Move auth.User to stock.User" in project.run("makemove auth.User stock.User")
