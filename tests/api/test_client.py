"""A client that is generated from the schema drives a printer, over a real socket and with a token."""

import importlib
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from api.views.documents import SCHEMA
from monitoring.models import Print
from printers import looking
from printers.fleet.models import Machine
from printers.models import Printer
from tests.api.conftest import text_of_token
from tests.printers.pages.conftest import KEY, Serve, octoprint, serve
from tests.url_map.people import Farm
from tests.waiting import until

if TYPE_CHECKING:
    from pytest_django.live_server_helper import LiveServer

__all__ = ["serve"]  # The fixture.

pytestmark = [pytest.mark.long, pytest.mark.django_db(transaction=True)]

CONFIG = "package_name_override: farm_client\nliteral_enums: true\npost_hooks: []\n"
Call = Callable[..., Any]


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The generated code, of which the tests know names alone. No part of the schema may make the generator wonder."""
    folder = tmp_path_factory.mktemp("client")
    (folder / "config.yml").write_text(CONFIG, encoding="utf-8")
    made = subprocess.run(
        [sys.executable, "-m", "openapi_python_client", "generate", "--fail-on-warning", "--meta", "none",
         "--path", SCHEMA, "--config", "config.yml", "--output-path", "farm_client"],
        cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert made.returncode == 0, made.stdout + made.stderr
    with pytest.MonkeyPatch.context() as patched:
        patched.syspath_prepend(folder)
        yield importlib.import_module("farm_client")
    for name in [name for name in sys.modules if name.partition(".")[0] == "farm_client"]:
        del sys.modules[name]


def call(name: str) -> Any:
    return importlib.import_module(f"farm_client.api.{name}")


def model(kind: str, /, **values: Any) -> Any:
    return getattr(importlib.import_module("farm_client.models"), kind)(**values)


def test_from_adding_a_printer_to_signing_its_print_off(
    farm: Farm, package: Any, live_server: "LiveServer", serve: Serve
) -> None:
    sample = octoprint(duration_s=3600.0)
    [address] = serve(sample)
    with package.AuthenticatedClient(base_url=live_server.url, token=text_of_token(farm.owner)) as client:
        new = model("NewPrinterRequest", address=address, key=KEY, name="Heron", place="Hall B")
        added = call("printers.printers_add").sync(client=client, body=new)
        assert (added.name, added.now.state, added.may) == ("Heron", "ready", ["view", "operate", "manage"])
        found = call("printers.printers_list").sync(client=client, place="Hall B")
        assert [one.id for one in found.results] == [added.id]

        def one(what: str, **more: Any) -> Any:
            return call(f"printers.{what}").sync(added.id, client=client, **more)

        files = one("printers_files")
        started = one("printers_start", body=model("StartRequest", file=files[0].path))
        assert started.sentence == "Heron has started its print."
        refused = one("printers_start", body=model("StartRequest", file=files[0].path))
        assert (refused.status, refused.title) == (409, "Conflict")
        assert one("printers_pause").done
        assert one("states_get").state == "paused"
        assert one("printers_resume").done

        sample.done_s = sample.duration_s  # It has taken its time.
        until(lambda: ended(one), "the print has not ended")
        [printed] = call("prints.prints_list").sync(client=client, printer=added.id).results
        assert (printed.outcome, printed.started_by, printed.found_by) == ("finished", "owner", "control")
        good = model("VerdictRequest", verdict="good")
        said = call("prints.prints_sign_off").sync(printed.id, client=client, body=good)
        assert said.done
        assert one("states_get").state == "ready"

    assert Print.objects.get(printer=added.id).signed_off_by == farm.owner
    assert Machine.objects.get(printer=added.id).name == "Heron"


def ended(one: Call) -> bool:
    """After a look, as the poller would take one."""
    looking.look(Printer.objects.whole().get(machine__name="Heron"))
    return bool(one("states_get").state == "finished")


def test_a_client_with_a_token_for_reading_is_told_so(farm: Farm, package: Any, live_server: "LiveServer") -> None:
    text = text_of_token(farm.operator, writes=False)
    with package.AuthenticatedClient(base_url=live_server.url, token=text) as client:
        assert call("printers.printers_get").sync(farm.printer.pk, client=client).may == ["view", "operate"]
        refused = call("printers.printers_pause").sync(farm.printer.pk, client=client)

    assert (refused.status, refused.detail) == (403, "This token may only read. Make one that may write.")
