"""Requests that schemathesis makes up from the schema, sent to a real server: it finds nothing to complain of.

As long as `make long` takes; SCHEMATHESIS=200 makes up more for each operation, and a finding says how to repeat it.
"""

import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from api.views.documents import SCHEMA
from tests.api.conftest import text_of_token
from tests.url_map.people import Farm

if TYPE_CHECKING:
    from pytest_django.live_server_helper import LiveServer

pytestmark = [pytest.mark.long, pytest.mark.django_db(transaction=True), pytest.mark.timeout(1800)]

# No text has the character NUL, which no schema can say of all of them; test_problems.py sends it.
WITHOUT_NUL = ["--generation-allow-x00", "false"]
# It is not there for others, also where schemathesis would have it say that a method is not.
FOR_STAFF = ["--exclude-path-regex", "^/api/v1/cutover/"]
EXAMPLES = os.environ.get("SCHEMATHESIS", "8")


@pytest.mark.parametrize("who", ["owner", "staff"])
def test_it_finds_nothing(who: str, farm: Farm, live_server: "LiveServer", settings: Any, tmp_path: Any) -> None:
    settings.API_PER_MINUTE = settings.API_REPORTS_PER_MINUTE = 10**9
    token = text_of_token(getattr(farm, who))
    command = ["schemathesis.cli", "run", str(SCHEMA), "--url", live_server.url, "--max-examples", EXAMPLES]
    given = ["--header", f"Authorization: Bearer {token}", "--no-color", "--warnings", "off", *WITHOUT_NUL]
    given += [] if who == "staff" else FOR_STAFF
    found = subprocess.run(
        [sys.executable, "-m", *command, *given], cwd=tmp_path, capture_output=True, text=True, check=False
    )

    assert found.returncode == 0, found.stdout[-20_000:] + found.stderr[-2000:]
    assert "No issues found" in found.stdout
