import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from unittest import mock

import environ
import fakeredis
import pytest
from django.db import OperationalError, connection
from django.db.migrations.recorder import MigrationRecorder
from django.test import Client, override_settings
from django.utils import timezone
from pytest_django import Settings

from core.outside import cache_config
from rehome.plan.ledger import Ledger


@pytest.mark.django_db
def test_health_is_ok_when_the_database_answers(client: Client) -> None:
    response = client.get("/health/")

    assert response.status_code == 200
    assert response.json() == {"status": "ok", "database": "ok"}
    assert "no-store" in response["Cache-Control"]


@pytest.mark.django_db
def test_health_is_503_when_the_database_does_not(client: Client) -> None:
    with mock.patch.object(connection, "cursor", side_effect=OperationalError("connection refused")):
        response = client.get("/health/")

    assert response.status_code == 503
    assert response.json() == {"status": "error", "database": "unreachable"}


@pytest.mark.django_db
def test_health_answers_without_tls_where_everything_else_is_redirected(client: Client) -> None:
    with override_settings(SECURE_SSL_REDIRECT=True):
        assert [client.get(path).status_code for path in ("/health/", "/healthz", "/readyz")] == [200, 200, 200]
        assert client.get("/admin/").status_code == 301


def test_health_is_read_only(client: Client) -> None:
    assert client.post("/health/").status_code == 405


@pytest.mark.django_db
def test_the_start_page_is_the_farm_or_leads_to_the_printers_of_the_old_side(
    browser: Client, settings: Settings
) -> None:
    settings.CUTOVER_PERCENT = 100
    assert browser.get("/").status_code == 200
    settings.CUTOVER_PERCENT = 0
    assert browser.get("/")["Location"] == "/portal/printers/"


def test_the_process_is_healthy_whatever_the_database_does(client: Client) -> None:
    response = client.get("/healthz")  # The test has no database at all.

    assert (response.status_code, response.json()) == (200, {"status": "ok"})
    assert "no-store" in response["Cache-Control"]


@pytest.mark.django_db
def test_ready_when_the_database_answers_and_every_migration_is_applied(client: Client) -> None:
    response = client.get("/readyz")

    assert response.status_code == 200
    assert response.json() == {
        "status": "ok", "database": "ok", "migrations": "ok", "cache": "local memory", "overdue_verifications": [],
    }  # fmt: skip


@pytest.mark.django_db
def test_not_ready_without_a_database(client: Client) -> None:
    with mock.patch.object(connection, "cursor", side_effect=OperationalError("connection refused")):
        response = client.get("/readyz")

    assert (response.status_code, response.json()["database"]) == (503, "unreachable")


@pytest.mark.django_db
def test_not_ready_with_an_unapplied_migration_which_it_names(client: Client) -> None:
    MigrationRecorder(connection).record_unapplied("core", "0001_province")

    response = client.get("/readyz")

    assert response.status_code == 503
    assert response.json()["migrations"] == ["core.0001_province"]


@pytest.mark.django_db
def test_not_ready_without_its_cache(client: Client, free_port: int) -> None:
    with cached_at(f"redis://127.0.0.1:{free_port}"):
        response = client.get("/readyz")

    assert (response.status_code, response.json()["cache"]) == (503, "unreachable")


@pytest.mark.django_db
def test_ready_with_a_redis_that_answers(client: Client) -> None:
    server = fakeredis.TcpFakeServer(("127.0.0.1", 0))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        with cached_at(f"redis://127.0.0.1:{server.server_address[1]}"):
            response = client.get("/readyz")
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

    assert (response.status_code, response.json()["cache"]) == (200, "ok")


@pytest.mark.django_db
def test_an_overdue_verification_is_told_and_stops_nobody(client: Client) -> None:
    Ledger("default").runs.update(changed_at=timezone.now() - timedelta(hours=25))

    response = client.get("/readyz")

    assert response.status_code == 200
    assert sorted(response.json()["overdue_verifications"]) == [
        "portal.Printer -> printers.Printer",
        "portal.Profile -> accounts.Profile",
    ]


@pytest.fixture
def free_port() -> int:
    """One on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


@contextmanager
def cached_at(url: str) -> Iterator[None]:
    env = environ.Env()
    env.ENVIRON = {"CACHE_URL": url}
    with override_settings(CACHE_URL=url, CACHES={"default": cache_config(env)}):
        yield
