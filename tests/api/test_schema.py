"""The schema that is checked in is the code's, and what programs need to know stands in it."""

from typing import Any

import pytest
import yaml
from django.core.management import call_command
from django.test import Client

from api.views.documents import SCHEMA
from tests.url_map.people import SECRET, Farm

HOW = "It has changed: run manage.py spectacular --file api/openapi.yaml --validate --fail-on-warn, and look at it."
SECRETS = ("key", "password", "camera")


@pytest.fixture(scope="module")
def checked_in() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(SCHEMA.read_text(encoding="utf-8"))
    return found


def test_the_schema_is_the_codes(tmp_path: Any) -> None:
    call_command("spectacular", "--file", str(tmp_path / "made.yaml"), "--validate", "--fail-on-warn")

    assert (tmp_path / "made.yaml").read_text(encoding="utf-8") == SCHEMA.read_text(encoding="utf-8"), HOW


def test_it_is_served_to_everybody(db: None) -> None:
    response = Client().get("/api/v1/schema/")

    assert b"".join(response.streaming_content) == SCHEMA.read_bytes()
    assert response["Content-Type"] == "application/yaml; charset=utf-8"


def test_keys_and_passwords_are_written_only(checked_in: dict[str, Any]) -> None:
    schemas = checked_in["components"]["schemas"]
    shown = {name: schema for name, schema in schemas.items() if not name.endswith("Request")}
    assert [name for name, one in shown.items() if set(SECRETS) & set(one.get("properties", {}))] == []
    assert all(schemas["NewPrinterRequest"]["properties"][name]["writeOnly"] for name in SECRETS)
    assert "address" not in schemas["Channel"]["properties"]
    assert schemas["NewChannelRequest"]["properties"]["address"]["writeOnly"]
    assert schemas["PatchedChannelChangeRequest"]["properties"]["address"]["writeOnly"]
    assert not any(secret in SCHEMA.read_text() for secret in SECRET)


def test_every_operation_needs_somebody_and_says_what_its_errors_are(checked_in: dict[str, Any]) -> None:
    for path, operations in checked_in["paths"].items():
        for method, operation in operations.items():
            where = f"{method} {path}"
            assert operation["security"] == [{"token": []}, {"session": []}], where
            assert operation["description"], where
            assert {"400", "401", "403", "404", "406", "429"} <= set(operation["responses"]), where
            for status, response in operation["responses"].items():
                if int(status) >= 400:
                    assert list(response["content"]) == ["application/problem+json"], where


def test_the_page_of_the_api_takes_its_files_from_here(farm: Farm) -> None:
    client = Client()
    client.force_login(farm.viewer)
    page = client.get("/api/v1/docs/").content.decode()

    assert "http://" not in page.replace("http://www.w3.org", "")
    assert "<script>" not in page
    assert 'data-schema="/api/v1/schema/"' in page
