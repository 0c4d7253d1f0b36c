"""`check --deploy`: each check speaks where something is wrong, and is silent where nothing is."""

import ipaddress
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as current
from django.contrib.staticfiles.storage import ManifestStaticFilesStorage
from django.core.checks import run_checks
from django.core.checks.registry import registry
from django.db import connection, connections

from core.checks import database, packages
from tests.conftest import ROOT
from tests.manage import manage

LAN = [ipaddress.ip_network("10.0.0.0/8")]
MACHINE = [*LAN, ipaddress.ip_network("127.0.0.0/16")]
SMTP = {"EMAIL_BACKEND": "django.core.mail.backends.smtp.EmailBackend", "DEFAULT_FROM_EMAIL": "Farm <farm@example.com>"}
PRINTS = {"EMAIL_BACKEND": "django.core.mail.backends.console.EmailBackend"}
HTTPS = {"SECURE_SSL_REDIRECT": True, "SECURE_PROXY_SSL_HEADER": ("HTTP_X_FORWARDED_PROTO", "https")}


def url(host: str, password: str = "2f6c0b", **options: str) -> dict[str, Any]:  # noqa: S107
    database = {"USER": "farmer", "NAME": "farm", "HOST": host, "PASSWORD": password, "OPTIONS": options}
    return {"DATABASES": {"default": database}}


CASES: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("farm.W001", {"PRODUCTION": False}, {"PRODUCTION": True}),
    ("farm.W002", {"CACHE_URL": ""}, {"CACHE_URL": "redis://redis:6379/0"}),
    ("farm.W003", PRINTS, SMTP),
    ("farm.W004", SMTP | {"DEFAULT_FROM_EMAIL": "Print farm <farm@localhost>"}, SMTP),
    ("farm.W004", SMTP | {"DEFAULT_FROM_EMAIL": "farm@localhost"}, SMTP | {"DEFAULT_FROM_EMAIL": "farm@example.com"}),
    ("farm.W005", {"ADMINS": [], "SLACK_WEBHOOK_URL": ""}, {"ADMINS": [("a", "a@example.com")]}),
    ("farm.W005", {"ADMINS": [], "SLACK_WEBHOOK_URL": ""}, {"SLACK_WEBHOOK_URL": "https://hooks.example.com/x"}),
    ("farm.W006", {"PORTAL_URL": ""}, {"PORTAL_URL": "https://farm.example.com"}),
    ("farm.W006", {"PORTAL_URL": "http://farm.example.com"}, {"PORTAL_URL": "https://farm.example.com"}),
    ("farm.W007", HTTPS | {"SECURE_PROXY_SSL_HEADER": None}, HTTPS),
    ("farm.W007", HTTPS | {"SECURE_PROXY_SSL_HEADER": None}, {"SECURE_SSL_REDIRECT": False}),
    ("farm.W008", {"ALLOWED_HOSTS": ["farm.example.com", "*"]}, {"ALLOWED_HOSTS": ["farm.example.com"]}),
    ("farm.W009", {"PRINTER_NETWORKS": MACHINE}, {"PRINTER_NETWORKS": LAN}),
    ("farm.W009", {"PRINTER_NETWORKS": [ipaddress.ip_network("::/0")]}, {"PRINTER_NETWORKS": LAN}),
    ("farm.W011", url("db", "postgres"), url("db")),
    ("farm.W011", url("db", "Farmer"), url("db", "")),
    ("farm.W012", url("db.example.com"), url("db.example.com", sslmode="verify-full")),
    ("farm.W012", url("10.0.0.7", sslmode="prefer"), url("10.0.0.7", sslmode="require")),
    ("farm.W012", url("db.example.com"), url("db")),
    ("farm.W012", url("db.example.com"), url("127.0.0.1")),
    ("farm.W012", url("db.example.com"), url("/var/run/postgresql")),
    ("farm.W016", {"REHOME_REQUIRE_BACKUP": 0}, {"REHOME_REQUIRE_BACKUP": 24}),
]


def found(id_: str) -> list[Any]:
    """What this check alone says: others look at the database or at the server of this process."""
    own = [check for check in registry.deployment_checks if check.__module__.startswith("core.checks.")]
    messages = [message for check in own for message in check(app_configs=None, databases=None)]
    return [message for message in messages if message.id == id_]


@pytest.mark.parametrize(("id_", "wrong", "right"), CASES)
def test_a_check_speaks_and_is_silent(
    id_: str, wrong: dict[str, Any], right: dict[str, Any], settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_all(settings, monkeypatch, wrong)
    (message,) = found(id_)
    assert message.msg.endswith(".")
    assert message.hint
    set_all(settings, monkeypatch, right)
    assert found(id_) == []


def set_all(settings: Any, monkeypatch: pytest.MonkeyPatch, values: dict[str, Any]) -> None:
    for name, value in values.items():
        if name == "DATABASES":
            # Django warns of whoever sets it: the connection that is there stays the same, as it should here.
            monkeypatch.setitem(current.DATABASES, "default", value["default"])
        else:
            setattr(settings, name, value)
    if (backend := values.get("EMAIL_BACKEND")) and hasattr(current, "MAILERS"):
        settings.MAILERS = {"default": {"BACKEND": backend, "OPTIONS": {}}}


def test_no_password_is_repeated(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    set_all(settings, monkeypatch, url("db.example.com", "postgres"))
    assert "'postgres'" not in str([found(f"farm.W0{number}") for number in range(1, 15)])


@pytest.mark.parametrize(("manifest", "said"), [("", 1), ('{"version": "1.1", "paths": {"a.css": "a.1.css"}}', 0)])
def test_static_files_that_are_not_collected_are_an_error(
    manifest: str, said: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if manifest:
        (tmp_path / "staticfiles.json").write_text(manifest)
    storage = ManifestStaticFilesStorage(location=tmp_path)
    monkeypatch.setattr("core.checks.settings.staticfiles_storage", storage)
    assert len(found("farm.E010")) == said


@pytest.mark.django_db
def test_a_superuser_is_named_and_another_role_is_not() -> None:
    (message,) = database.superuser(databases=["default"])
    assert (message.id, message.msg.split(",")[0]) == ("farm.W013", f"The portal works as {role()}")
    with connection.cursor() as cursor:
        cursor.execute("CREATE ROLE ordinary; SET LOCAL ROLE ordinary")
    assert database.superuser(databases=["default"]) == []


def role() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_user")
        return str(cursor.fetchone()[0])


@pytest.mark.django_db
@pytest.mark.parametrize(("number", "said"), [(17_0004, 1), (17_0006, 0), (15_0013, 1), (15_0014, 0), (18_0000, 0)])
def test_a_release_that_has_a_known_hole_is_named(number: int, said: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(vars(connections["default"]), "pg_version", number)
    messages = database.old_release(databases=["default"])
    assert [message.id for message in messages] == ["farm.W014"] * said
    assert all(f"PostgreSQL {number // 10_000}.{number % 10_000}:" in message.msg for message in messages)


def test_the_database_is_left_alone_unless_it_is_named() -> None:
    """No database in this test: a query would fail it."""
    assert [database.superuser(databases=None), database.old_release(databases=[])] == [[], []]


def test_packages_that_differ_are_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base = tmp_path / "requirements" / "base.txt"
    base.parent.mkdir()
    monkeypatch.setattr(current, "BASE_DIR", tmp_path)
    here = packages.installed_version("celery")

    base.write_text(f"# What it runs on.\ncelery[redis]=={here}\n")
    assert packages.packages() == []
    (base.parent / "mysql.txt").write_text("not-there-either==1.0\n")
    assert packages.packages() == []
    (base.parent / "dev.txt").write_text("-r base.txt\nredis==0.0.1\n")
    (message,) = packages.packages()
    assert "and 0.0.1 is required" in message.msg
    base.write_text("celery==0.0.1  # old\nnot-there-at-all==1.0\n")
    (message,) = packages.packages()
    assert message.id == "farm.E015"
    assert f"celery is {here}, and 0.0.1 is required; not-there-at-all is not installed" in message.msg


def test_every_line_of_the_requirements_is_compared() -> None:
    base = ROOT / "requirements" / "base.txt"
    pinned = [line for line in base.read_text().splitlines() if line and not line.startswith("#")]
    assert len(packages.read(base)) == len(pinned)


def test_nothing_of_it_is_said_without_deploy() -> None:
    assert [message for message in run_checks() if str(message.id).startswith("farm.")] == []


def test_the_page_lists_every_check() -> None:
    page = (ROOT / "docs" / "running.md").read_text(encoding="utf-8")
    sources = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "core" / "checks").glob("*.py"))
    ids = {part.partition('"')[0] for part in sources.split('id="')[1:]}
    assert len(ids) == 16
    assert [id_ for id_ in sorted(ids) if f"`{id_}`" not in page] == []


def test_a_hurried_operator_hears_of_all_at_once() -> None:
    """Who sets only what production does not start without."""
    done = manage(
        "check", "--deploy", DJANGO_ENV="production", SECRET_KEY="k" * 10, ALLOWED_HOSTS="*", DEBUG="false",
        DATABASE_URL="postgres://farm:farm@db.example.com/farm", CACHE_URL="", EMAIL_URL="", ADMINS="", PORTAL_URL="",
        SLACK_WEBHOOK_URL="", BEHIND_TLS_PROXY="false",
    )  # fmt: skip
    ids = ["W002", "W003", "W005", "W006", "W007", "W008", "W011", "W012"]
    assert [id_ for id_ in ids if f"(farm.{id_})" not in done.stderr] == []
    assert "(security.W009)" in done.stderr
