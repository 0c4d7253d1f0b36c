"""Users come with their passwords and groups; the commands run imports, record them and verify them."""

import json
from collections.abc import Iterator
from io import StringIO
from typing import Any

import pytest
from django.contrib.auth import authenticate
from django.contrib.auth.models import Group, Permission, User
from django.contrib.contenttypes.models import ContentType
from django.core.management import CommandError, call_command
from django.db import connections

from rehome import Import, Lookup
from rehome.management.importing import ImportCommand
from rehome.models import ImportRun
from tests.rehome.importing.workshop import OLDER, Workshop

GROUPS = Import("auth.Group", "auth.Group", key={"name": "name"}, shared=True)
USERS = Import("auth.User", "auth.User", key={"username": "username"}, shared=True, changed="last_login")
MEMBERS = Import(
    "auth.User_groups",
    "auth.User_groups",
    key={"user": "user__username", "group": "group__name"},
    lookups={"user": Lookup("auth.User", by="username"), "group": Lookup("auth.Group", by="name")},
    shared=True,
)


class Command(ImportCommand):
    imports = [GROUPS, USERS, MEMBERS]


@pytest.fixture
def people(shop: Workshop, monkeypatch: pytest.MonkeyPatch, settings: Any) -> Iterator[Workshop]:
    """Users of an older database, two of whom have names that are here as well; what comes from them goes again."""
    with connections[OLDER].schema_editor() as editor:
        for model in (ContentType, Permission, Group, User):
            editor.create_model(model)
    monkeypatch.setattr("rehome.management.commands.verifymoves.find_imports", lambda: Command.imports)
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # The others take their time.
    here = set(User.objects.values_list("pk", flat=True))
    User.objects.create_user("both", password="mine")
    User.objects.create_user("here")
    old = [User(pk=500_000 + n, username=name) for n, name in enumerate(["ali", "both", "زهرا"])]
    for user in old:
        user.set_password(f"secret of {user.username}")
        user.save(using=OLDER)
    group = Group.objects.using(OLDER).create(pk=70, name="printers")
    old[0].groups.add(group)
    yield shop
    User.objects.exclude(pk__in=here).delete()
    Group.objects.filter(name="printers").delete()


def run(**options: Any) -> str:
    out = StringIO()
    call_command(Command(), source=OLDER, stdout=out, stderr=StringIO(), **options)
    return out.getvalue()


def verify(*arguments: str, **options: Any) -> tuple[int, str]:
    out, code = StringIO(), 0
    try:
        call_command("verifymoves", *arguments, stdout=out, stderr=StringIO(), **options)
    except CommandError as error:
        code = error.returncode
        out.write(str(error))
    return code, out.getvalue()


def imports(**options: Any) -> Any:
    code, out = verify(format="json", **options)
    # In JSON the reason follows the object where it fails.
    found, _ = json.JSONDecoder().raw_decode(out)
    assert found["ok"] is (code == 0)
    return found["imports"]


def test_users_log_in_with_their_old_passwords(people: Workshop) -> None:
    shown = run()
    assert authenticate(username="ali", password="secret of ali").groups.get().name == "printers"
    assert authenticate(username="زهرا", password="secret of زهرا")
    assert authenticate(username="both", password="secret of both")
    assert User.objects.filter(username="here").exists()
    assert User.objects.get(username="ali").pk != 500_000
    assert User.objects.create_user("next").pk > User.objects.get(username="ali").pk
    assert shown.split("\n")[2].split()[:-1] == ["auth.User", "->", "auth.User", "3", "2", "1", "0", "-", "0", "0"]
    assert [line.split()[3:6] for line in run().split("\n")[1:4]] == [["1", "0", "0"], ["3", "0", "0"], ["1", "0", "0"]]


def test_users_that_keep_their_keys_leave_the_sequence_after_them(people: Workshop) -> None:
    User.objects.filter(username="both").delete()
    people.run(Import("auth.User", "auth.User", key={"id": "id"}, shared=True))
    assert User.objects.get(pk=500_000).username == "ali"
    assert User.objects.create_user("next").pk == 500_003


def test_delete_is_refused_where_other_rows_have_such_keys(people: Workshop) -> None:
    with pytest.raises(CommandError, match=r"auth.Group -> auth.Group shares its keys with other rows"):
        run(delete=True)


def test_verification_reads_the_source_again(people: Workshop) -> None:
    assert imports() == []
    run()
    groups, users, members = imports()
    assert (groups["import"], users["import"]) == ("auth.Group -> auth.Group", "auth.User -> auth.User")
    compared = users.pop("compared")
    assert users | {"seconds": 0} == {
        "import": "auth.User -> auth.User", "ok": True, "source_rows": 3, "target_rows": 3, "missing": 0, "extra": 0,
        "different": 0, "seconds": 0, "problem": "", "differences": [], "figures": [],
    }  # fmt: skip
    assert compared["password"] == "by both servers, as texts"
    assert compared["date_joined"] == "by both servers, as moments"
    assert members["source_rows"] == 1
    assert ImportRun.objects.get(pk=str(USERS)).verification["ok"] is True

    User.objects.filter(username="ali").update(first_name="Changed here")
    User.objects.filter(username="زهرا").delete()
    User.objects.using(OLDER).create(username="late")
    (_, users, _) = imports()
    assert (users["ok"], users["missing"], users["different"], users["extra"]) == (False, 2, 1, 0)
    assert users["differences"][0] == {
        "table": "public.auth_user", "kind": "different", "key": ["ali"], "columns": ["first_name"]
    }  # fmt: skip
    code, out = verify("auth.user")
    assert code == 1
    assert "public.auth_user late: missing" in out
    assert out.endswith("Not in order: auth.User -> auth.User.")
    run()
    assert [one["ok"] for one in imports()] == [True, True, True]


def test_what_can_not_be_read_is_not_checked(people: Workshop) -> None:
    run()
    people.query("ALTER TABLE auth_group RENAME TO gone")
    (groups, users, _) = imports()
    assert (groups["ok"], groups["source_rows"], users["ok"]) == (False, None, True)
    assert 'relation "auth_group" does not exist' in groups["problem"]
    code, out = verify("auth.Group")
    assert code == 1
    assert "auth.Group -> auth.Group: not checked. The database 'older' lacks" in out
    ImportRun.objects.filter(pk=str(USERS)).update(source="elsewhere")
    (_, users, _) = imports()
    assert users["problem"] == "It was read from database 'elsewhere', which the settings no longer name."


def test_a_session_that_is_read_only_can_verify_and_stays_so(people: Workshop) -> None:
    run()
    people.sql("SET default_transaction_read_only = on")
    try:
        assert [one["ok"] for one in imports()] == [True, True, True]
        assert people.sql("SHOW default_transaction_read_only") == [("on",)]
    finally:
        people.sql("SET default_transaction_read_only = off")
    assert ImportRun.objects.filter(verified_at=None).count() == 3


def test_empty_tables_prove_nothing(people: Workshop) -> None:
    people.query("TRUNCATE auth_user CASCADE")
    people.run(USERS)
    code, out = verify("auth.User")
    assert (code, out.splitlines()[-1]) == (1, "Nothing was compared: every table is empty.")


def test_a_dry_run_is_not_recorded(people: Workshop) -> None:
    assert run(dry_run=True).endswith("A dry run: nothing is committed.\n")
    assert people.sql("SELECT to_regclass('rehome_importrun')") == [(None,)]
