"""docs/user-model.md, block by block; and other sources for which settings or models say that Django makes no table."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest_django import DjangoDbBlocker

from tests.conftest import ROOT
from tests.rehome.support.site import Said, Site, site

PAGE = (ROOT / "docs" / "user-model.md").read_text(encoding="utf-8")
SHOP = """
from django.conf import settings


class Order(models.Model):
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE)
"""


@pytest.fixture
def empty_site(tmp_path: Path, django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[Site]:
    with django_db_blocker.unblock(), site(tmp_path) as made:
        yield made


@pytest.fixture
def shop(empty_site: Site) -> Site:
    """Users with groups and permissions, and orders of theirs."""
    made = empty_site
    made.others = ["django.contrib.auth", "rehome"]
    made.models("shop", SHOP)
    made.done(["makemigrations", "shop", "-v0"], ["migrate", "-v0"])
    made.sql(
        "INSERT INTO auth_user SELECT n, '', NULL, false, 'user' || n, '', '', '', false, true, now() "
        "  FROM generate_series(1, 5) n;"
        "SELECT setval('auth_user_id_seq', 5);"
        "INSERT INTO auth_group (name) VALUES ('staff');"
        "INSERT INTO auth_user_groups (user_id, group_id) SELECT id, 1 FROM auth_user;"
        "INSERT INTO auth_user_user_permissions (user_id, permission_id) SELECT id, 1 FROM auth_user;"
        "INSERT INTO shop_order (user_id) SELECT id FROM auth_user"
    )
    return made


def walk(made: Site, part: str) -> list[Said]:
    """Write the files and run the commands under one heading of the page."""
    (text,) = re.findall(rf"## {part}\n(.*?)(?=\n## |\Z)", PAGE, re.DOTALL)
    said: list[Said] = []
    for kind, block in re.findall(r"```(\w+)\n(.*?)```", text, re.DOTALL):
        if kind == "sh":
            # At the end `migrate` wants the database's name, which nobody is there to type.
            named = ["--confirm", made.name] if part == "The end" else []
            commands = (line.split()[2:] for line in block.splitlines())
            said += made.done(*([*one, *(named if one == ["migrate"] else [])] for one in commands))
            continue
        heading, _, body = block.partition("\n")
        name = heading.removeprefix("# ")
        if name == "settings.py":
            made.settings = body
        else:
            app, _, _ = name.partition("/")
            made.models(app, "")
            (made.folder / name).write_text(body)
    return said


def counts(made: Site, users: str) -> tuple[int, ...]:
    names = [users, f"{users}_groups", f"{users}_user_permissions"]
    return tuple(made.sql(f"SELECT count(*) FROM {name}")[0][0] for name in names)


def test_every_part_with_commands_is_walked_here_but_one_that_has_a_test_of_its_own() -> None:
    source = Path(__file__).read_text(encoding="utf-8")
    parts = re.findall(r"(?ms)^## ([^\n]*)\n(.*?)(?=^## |\Z)", PAGE)
    left_out = [part for part, text in parts if "```sh" in text and f'"{part}"' not in source]
    assert len(left_out) == 1
    assert left_out[0].startswith("To another app"), "see tests/rehome/management/test_makemove_user_model.py"


@pytest.mark.long
def test_the_end_of_the_page(shop: Site) -> None:
    """The source's app is a package, and so the ending is in the target's."""
    for part in (
        "The model",
        "First deploy: move the rows",
        "Second deploy: switch the setting",
        "When no server uses auth.User any more",
    ):
        walk(shop, part)
    wrote, *_ = walk(shop, "The end")
    assert "accounts/migrations/0003_end_user.py" in wrote
    assert shop.sql("SELECT to_regclass('auth_user'), to_regclass('auth_user_groups')") == [(None, None)]
    assert counts(shop, "accounts_user") == (5, 5, 5)
    with shop.fresh() as fresh:
        fresh.done(["migrate"], ["makemigrations", "--check"])
        fresh.python("from django.contrib.auth import get_user_model as g; g().objects.create_user('a', password='x')")
        assert fresh.sql("SELECT to_regclass('auth_user')") == [(None,)]


@pytest.mark.long
def test_the_page(shop: Site) -> None:
    walk(shop, "The model")
    *_, verified = walk(shop, "First deploy: move the rows")
    assert verified.text.endswith("Equal.\n")
    move = shop.migration("accounts", "0002").read_text()
    assert '("shop", "0001_initial")' in move

    *_, verified = walk(shop, "Second deploy: switch the setting")
    assert verified.text.endswith("Equal.\n")
    assert re.search(r"accounts.User +15 +15 +", verified.text), "users, their groups and their permissions"
    shop.python("""
        from django.contrib.auth import get_user_model
        user = get_user_model().objects.create_user("new", password="x")
        user.groups.add(1)
        from shop.models import Order
        Order.objects.create(user=user)
    """)
    assert counts(shop, "auth_user") == counts(shop, "accounts_user") == (6, 6, 5)

    *_, verified = walk(shop, "When no server uses auth.User any more")
    assert verified.text.endswith("Equal.\n")
    leads = "SELECT DISTINCT confrelid::regclass::text FROM pg_constraint WHERE conrelid = 'shop_order'::regclass"
    assert shop.sql(f"{leads} AND contype = 'f'") == [("accounts_user",)]
    kinds = dict(shop.sql("SELECT relname, relkind FROM pg_class WHERE relkind IN ('r', 'v')"))
    assert [kinds[f"auth_user{rest}"] for rest in ("", "_groups", "_user_permissions")] == ["v", "v", "v"]

    with shop.fresh() as fresh:
        _, shown, verified = fresh.run(["migrate"], ["showmoves"], ["verifymoves"])
        assert "ended" in shown
        assert len(shown.text.splitlines()) == 2, "no note"
        assert verified.text.endswith("Nothing is left to compare: every move has ended on this database.\n")
        assert fresh.sql("SELECT to_regclass('auth_user')") == [(None,)]
        fresh.done(["migrate", "accounts", "0001"], ["migrate"])
        fresh.python("from django.contrib.auth import get_user_model as g; g().objects.create_user('a', password='x')")
        refused = fresh.manage("migrate", "accounts", "0001")
        assert "auth.User -> accounts.User has ended on database 'default'" in refused

    shop.done(["retiremoves", "--undo"], ["verifymoves"])
    walk(shop, "The way back")
    assert counts(shop, "auth_user") == (6, 6, 5)
    assert counts(shop, "accounts_user") == (0, 0, 0)
    with shop.fresh() as fresh:
        _, verified = fresh.run(["migrate"], ["verifymoves"])
        assert "every table is empty" in verified


@pytest.mark.long
def test_the_way_back_while_the_setting_is_switched(shop: Site) -> None:
    walk(shop, "The model")
    walk(shop, "First deploy: move the rows")
    walk(shop, "Second deploy: switch the setting")

    shop.done(["migrate", "accounts", "0001"])

    assert counts(shop, "auth_user") == (5, 5, 5)
    assert counts(shop, "accounts_user") == (0, 0, 0)


def test_a_new_database_without_the_table_of_an_unmanaged_source(empty_site: Site) -> None:
    made = empty_site
    body = "class Book(models.Model):\n    title = models.CharField(max_length=50)\n"
    made.models("old", f"{body}\n    class Meta:\n        managed = False\n        db_table = 'books'\n")
    made.models("new", body)
    made.done(["makemigrations", "-v0"], ["makemove", "old.Book", "new.Book", "-v0"])

    with made.fresh() as fresh:
        said, shown, verified = fresh.run(["migrate"], ["showmoves"], ["verifymoves"])
        assert said.code == 0
        assert "ended" in shown
        assert verified.text.endswith("Nothing is left to compare: every move has ended on this database.\n")
        fresh.done(["migrate", "new", "zero"], ["migrate"])

    made.sql("CREATE TABLE books (id bigserial PRIMARY KEY, title varchar(50) NOT NULL)")
    made.sql("INSERT INTO books (title) VALUES ('a')")
    _, verified = made.done(["migrate"], ["verifymoves"])
    assert verified.text.endswith("Equal.\n")
