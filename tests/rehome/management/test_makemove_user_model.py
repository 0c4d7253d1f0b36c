"""`makemove --state-only` of the model that AUTH_USER_MODEL names: it goes to another app and keeps its table."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest_django import DjangoDbBlocker

from tests.conftest import ROOT
from tests.rehome.support.releases import Releases, releases

# Many processes one after the other: on a busy machine they take minutes.
pytestmark = pytest.mark.timeout(900)

PACKAGES = ["django.contrib.auth", "django.contrib.messages", "django.contrib.sessions", "django.contrib.admin"]
SETTINGS = """
SILENCED_SYSTEM_CHECKS = ["admin.E403", "admin.E408", "admin.E409", "admin.E410"]
AUTH_USER_MODEL = "{app}.User"
"""
HEAD = """
from django.conf import settings
from django.contrib.auth.models import AbstractUser
from django.db import models
"""
USER = """

class User(AbstractUser):
    boss = models.ForeignKey("self", models.SET_NULL, null=True)

    class Meta(AbstractUser.Meta):
        db_table = "lending_user"
        permissions = [("lend_user", "Can lend")]
"""
PROXY = """

class Clerk(User):
    class Meta:
        proxy = True
"""
PROFILE = """

class Profile(models.Model):
    user = models.OneToOneField(settings.AUTH_USER_MODEL, models.CASCADE)
"""
PAGE = (ROOT / "docs/user-model.md").read_text(encoding="utf-8")
COMMAND = "makemove lending.User press.User --state-only"
WRITE = """
from django.contrib.admin.models import LogEntry
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.contrib.contenttypes.models import ContentType
from lending.models import Profile

User = get_user_model()
user = User.objects.create_user("{name}", boss=User.objects.first())
user.user_permissions.add(Permission.objects.get(codename="lend_user", content_type__app_label="{app}"))
Profile.objects.create(user=user)
LogEntry.objects.create(
    user=user, content_type=ContentType.objects.get_for_model(User), object_id=user.pk, action_flag=1
)
print(all(User.objects.get(username=name).has_perm("{app}.lend_user") for name in {names!r}))
print(sorted(LogEntry.objects.filter(content_type__app_label="{app}").values_list("user__username", flat=True)))
"""
CONSTRAINTS = "SELECT oid, conname, conrelid, confrelid FROM pg_constraint WHERE contype <> 'n' ORDER BY oid"
COLUMNS = "SELECT table_name, column_name, data_type FROM information_schema.columns WHERE table_schema = 'public'"


@pytest.fixture
def lending(tmp_path: Path, django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[Releases]:
    files = {"lending/models.py": HEAD + USER + PROXY + PROFILE}
    settings = SETTINGS.format(app="lending")
    with django_db_blocker.unblock(), releases(tmp_path, PACKAGES, settings, files) as made:
        assert write(made, "lending", "ann", "ann") == ["ann"]
        yield made


def write(lending: Releases, app: str, name: str, *names: str) -> list[str]:
    """Users whose log that release sees when it has added one; each of `names` has the permission there."""
    said = lending.release(app).python(WRITE.format(app=app, name=name, names=names)).splitlines()
    assert said[0] == "True"
    return re.findall(r"'(\w+)'", said[1])


def upgrade(lending: Releases, press: str = "") -> None:
    """The class is cut, and the setting names it."""
    lending.new.settings = SETTINGS.format(app="press")
    lending.upgrade({"press/models.py": HEAD + USER + PROXY + press, "lending/models.py": HEAD + PROFILE})


@pytest.mark.long
def test_a_user_model_goes_to_another_app_with_its_table(lending: Releases) -> None:
    constraints = lending.new.sql(CONSTRAINTS)
    upgrade(lending)

    *_, block = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
    command, *others = block.replace("accounts", "lending").replace("people", "press").splitlines()
    assert command == f"python manage.py {COMMAND}"
    assert others == ["python manage.py migrate", "python manage.py makemigrations --check"]
    (said,) = lending.done(COMMAND)

    assert "Edited, for the table is another model's: lending/migrations/0001_initial.py" in said
    assert 'Deploy AUTH_USER_MODEL = "press.User" with these migrations. `migrate` records press.0001_initial' in said
    assert "press.0001_initial is not recorded" in lending.new.manage("migrate", "--plan")
    (migrated, *_) = lending.done("migrate", "makemigrations --check", "check", "migrate --check")
    assert "Recorded press.0001_initial, whose table is there." in migrated
    assert lending.new.sql(CONSTRAINTS) == constraints
    assert write(lending, "press", "ben", "ann") == ["ann", "ben"]
    assert write(lending, "lending", "cleo", "ann") == ["cleo"], "the previous release's servers work on"

    assert "Brought over what was written under the label of lending.User since." in lending.done("migrate")[0]
    assert "Brought over" not in lending.done("migrate")[0]
    assert write(lending, "press", "fay", "ann") == ["ann", "ben", "cleo", "fay"]

    refused = lending.new.manage("migrate", "press", "zero")
    assert "Refused: lending_user has rows, and unapplying" in refused
    lending.done("migrate press 0001 -v0")
    assert lending.new.sql(CONSTRAINTS) == constraints
    assert write(lending, "lending", "dan", "ann", "ben") == ["ann", "ben", "cleo", "dan", "fay"]
    lending.done("migrate -v0", "makemigrations --check")
    assert write(lending, "press", "eve", "ann", "dan") == ["ann", "ben", "cleo", "dan", "eve", "fay"]


REVOKE = """
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission

user = get_user_model().objects.get(username="ann")
user.user_permissions.remove(Permission.objects.get(codename="lend_user", content_type__app_label="press"))
"""
HAS = """
from django.contrib.auth import get_user_model

print(get_user_model().objects.get(username="ann").has_perm("press.lend_user"))
"""


@pytest.mark.long
def test_what_was_revoked_under_the_new_label_does_not_come_back(lending: Releases) -> None:
    upgrade(lending)
    lending.done(COMMAND, "migrate -v0")
    lending.new.python(REVOKE)
    assert write(lending, "lending", "ben", "ben") == ["ben"], "old code writes under its label"

    assert "Brought over what was written under the label of lending.User since." in lending.done("migrate")[0]

    assert lending.new.python(HAS).strip() == "False"
    assert lending.done("migrate press 0001 -v0", "migrate -v0")
    assert lending.new.python(HAS).strip() == "False"


@pytest.mark.long
def test_a_new_database_has_the_same_table_without_the_old_model(lending: Releases) -> None:
    upgrade(lending)
    lending.done(COMMAND, "migrate -v0")
    with lending.new.fresh() as fresh:
        fresh.done(["migrate", "-v0"], ["makemigrations", "--check"], ["migrate", "--check"])
        assert sorted(fresh.sql(COLUMNS)) == sorted(lending.new.sql(COLUMNS))
        made = Releases(lending.old, fresh)
        assert write(made, "press", "ann", "ann") == ["ann"]
        fresh.sql(
            "DELETE FROM django_admin_log; DELETE FROM lending_profile; DELETE FROM lending_user_user_permissions"
        )
        fresh.sql("DELETE FROM lending_user")
        fresh.done(["migrate", "press", "zero", "-v0"], ["migrate", "-v0"])
        assert write(made, "press", "ann", "ann") == ["ann"]


@pytest.mark.long
def test_an_app_that_has_migrations_gets_one_before_its_first(lending: Releases) -> None:
    lending.old.models("press", "class Desk(models.Model):\n    pass\n")
    lending.old.done(["makemigrations", "press", "-v0"], ["migrate", "-v0"])
    lending.new.apps = ["lending", "press"]
    upgrade(lending, "\n\nclass Desk(models.Model):\n    pass\n")
    lending.done(COMMAND, "migrate -v0", "makemigrations --check", "check")
    assert lending.new.migration("press", "0000_user").exists()
    assert write(lending, "press", "ben", "ann") == ["ann", "ben"]
    with lending.new.fresh() as fresh:
        fresh.done(["migrate", "-v0"], ["makemigrations", "--check"])
        assert write(Releases(lending.old, fresh), "press", "ann", "ann") == ["ann"]


@pytest.mark.long
def test_what_can_not_go_so_is_refused_before_a_file_is_written(lending: Releases) -> None:
    upgrade(lending)
    files = sorted(lending.new.folder.glob("*/migrations/*.py"))
    said = lending.new.manage("makemove", "lending.User", "press.User")
    assert "AUTH_USER_MODEL names press.User already." in said
    assert "or keep the table with `manage.py makemove lending.User press.User --state-only`" in said
    lending.upgrade({"press/models.py": HEAD + USER + PROXY + PROFILE})
    said = lending.new.manage(*COMMAND.replace(" --", " lending.Profile press.Profile --").split())
    assert "AUTH_USER_MODEL names press.User, which moves alone." in said
    first = 'AbstractUser):\n    first = models.ForeignKey("lending.Profile", models.CASCADE)'
    pointing = USER.replace("AbstractUser):", first, 1)
    lending.upgrade({"press/models.py": HEAD + pointing + PROXY, "lending/models.py": HEAD + PROFILE})
    assert "press.User has first, and its table has not." in lending.new.manage(*COMMAND.split())
    assert sorted(lending.new.folder.glob("*/migrations/*.py")) == files
