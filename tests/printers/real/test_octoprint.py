"""OctoPrint 1.11 and 2.0 with the virtual printer that they carry."""

import re
from collections.abc import Iterator

import httpx
import pytest

from printers.clients import asking
from printers.clients.appkeys import Answer
from printers.clients.base import Credentials, Endpoint, NotOperational, Refused
from printers.samples import real
from printers.states import State
from tests.printers.real.conftest import seen
from tests.waiting import LIMIT_S, until

pytestmark = pytest.mark.printers

SHORT = "M104 S60\nM140 S40\nM109 S60\nM190 S40\n" + "G4 P100\n" * 5
LONG = "M104 S40\nM109 S40\n" + "G4 P100\n" * 2000
NAME = "ein Test #1 ü.gcode"


class Backstage:
    """What the portal never does: uploads, connections and G-code."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.session = httpx.Client(
            base_url=endpoint.address, headers={"X-Api-Key": endpoint.credentials.key}, timeout=LIMIT_S
        )

    def upload(self, name: str, content: str, folder: str = "") -> None:
        files = {"file": (name, content.encode())}
        self.session.post("/api/files/local", files=files, data={"path": folder}).raise_for_status()

    def command(self, line: str) -> None:
        self.session.post("/api/printer/command", json={"command": line}).raise_for_status()

    def connection(self, command: str) -> None:
        self.session.post("/api/connection", json={"command": command}).raise_for_status()


@pytest.fixture
def backstage(octoprint: Endpoint) -> Iterator[Backstage]:
    """The printer is ready before each test, whatever the one before has left."""
    stage = Backstage(octoprint)
    with stage.session:
        if asking.look(octoprint).state not in (State.READY, State.FINISHED):
            stage.connection("disconnect")
            seen(octoprint, State.DISCONNECTED, State.ERROR)
            stage.connection("connect")
        seen(octoprint, State.READY, State.FINISHED)
        yield stage


def start(octoprint: Endpoint, name: str) -> None:
    [path] = [file.path for file in asking.files(octoprint) if file.path.endswith(name)]
    asking.start(octoprint, path)


def test_a_print_from_start_to_end(octoprint: Endpoint, backstage: Backstage) -> None:
    backstage.upload("short.gcode", SHORT, folder="a folder")
    start(octoprint, "short.gcode")

    running = seen(octoprint, State.HEATING, State.PRINTING)
    assert running.file == "short.gcode"
    ended = seen(octoprint, State.FINISHED)
    assert (ended.file, ended.progress) == ("short.gcode", 100.0)
    assert ended.temperatures["tool0"]["actual"] is not None


def test_heating_pause_resume_and_cancel(octoprint: Endpoint, backstage: Backstage) -> None:
    backstage.upload("long.gcode", LONG)
    start(octoprint, "long.gcode")
    seen(octoprint, State.PRINTING)

    asking.act(octoprint, "pause")
    assert seen(octoprint, State.PAUSED).ends_at is None
    asking.act(octoprint, "resume")
    seen(octoprint, State.PRINTING)
    with pytest.raises(Refused, match="^OctoPrint refused: "):
        start(octoprint, "long.gcode")
    asking.act(octoprint, "cancel")
    assert seen(octoprint, State.READY).file == ""


def test_a_name_with_everything_in_it_is_started(octoprint: Endpoint, backstage: Backstage) -> None:
    backstage.upload(NAME, SHORT)
    [path] = [file.path for file in asking.files(octoprint) if "Test" in file.path]
    asking.start(octoprint, path)

    seen(octoprint, State.FINISHED)


@pytest.mark.parametrize("act", ["pause", "resume", "cancel"])
def test_what_the_state_forbids_is_refused(octoprint: Endpoint, backstage: Backstage, act: asking.Action) -> None:
    with pytest.raises(Refused, match="neither printing nor paused"):
        asking.act(octoprint, act)


def test_a_file_that_is_not_there_is_refused(octoprint: Endpoint, backstage: Backstage) -> None:
    with pytest.raises(Refused, match=r"^There is no such file on the machine\.$"):
        asking.start(octoprint, "local/none.gcode")


def test_the_machine_pauses_by_itself(octoprint: Endpoint, backstage: Backstage) -> None:
    backstage.upload("long.gcode", LONG)
    start(octoprint, "long.gcode")
    seen(octoprint, State.PRINTING)
    backstage.command("!!DEBUG:action_pause")

    seen(octoprint, State.PAUSED)


def test_a_fault_of_the_firmware_is_an_error(octoprint: Endpoint, backstage: Backstage) -> None:
    backstage.upload("long.gcode", LONG)
    start(octoprint, "long.gcode")
    seen(octoprint, State.PRINTING)
    backstage.command("!!DEBUG:trigger_fatal_error_marlin")

    assert seen(octoprint, State.ERROR).message


def test_a_printer_that_is_switched_off_is_disconnected(octoprint: Endpoint, backstage: Backstage) -> None:
    backstage.connection("disconnect")
    assert seen(octoprint, State.DISCONNECTED).answered

    with pytest.raises(NotOperational):
        asking.act(octoprint, "pause")
    found = asking.find_kind(octoprint.address, octoprint.credentials)
    assert found.sentence.endswith(" and takes the key, but its printer is disconnected.")
    backstage.connection("connect")
    seen(octoprint, State.READY)


def test_what_answers_is_found_out(octoprint: Endpoint, backstage: Backstage) -> None:
    found = asking.find_kind(octoprint.address, octoprint.credentials)
    where = octoprint.address.removeprefix("http://")

    assert re.fullmatch(rf"OctoPrint [12]\.\S+ answers at {where} and takes the key\. .*", found.sentence)
    assert found.gives_keys
    wrong = asking.find_kind(octoprint.address, Credentials("wrong"))
    assert (wrong.sentence, wrong.state) == (f"OctoPrint answers at {where}, but refuses the key.", State.REFUSED)
    assert asking.look(Endpoint(octoprint.address)).state == State.REFUSED


@pytest.mark.parametrize("yes", [True, False])
def test_a_person_gives_the_portal_a_key(octoprint: Endpoint, yes: bool) -> None:
    request = asking.ask_for_key(octoprint.address)
    assert asking.key_of(octoprint.address, request.token).answer is Answer.WAITING

    with httpx.Client(base_url=octoprint.address, timeout=LIMIT_S) as person:
        person.get("/login/")

        def token() -> dict[str, str]:
            return {"X-CSRF-Token": next(value for name, value in person.cookies.items() if name.startswith("csrf"))}

        login = {"user": real.PERSON, "pass": real.PERSON}
        person.post("/api/login", json=login, headers=token()).raise_for_status()
        for pending in person.get("/api/plugin/appkeys").json()["pending"]:
            answer = person.post(f"/plugin/appkeys/decision/{pending}", json={"decision": yes}, headers=token())
            answer.raise_for_status()

    decision = asking.key_of(octoprint.address, request.token)
    assert decision.answer is (Answer.YES if yes else Answer.NO)
    state = asking.look(Endpoint(octoprint.address, "octoprint", Credentials(decision.key))).state
    assert (state == State.REFUSED) is not yes


def test_looks_in_a_row_do_no_harm(octoprint: Endpoint, backstage: Backstage) -> None:
    """OctoPrint resets connections under quick requests; none of that is seen."""
    states = asking.look_many([octoprint] * 30, deadline_s=120)

    assert {found.answered for found in states} == {True}
    until(lambda: asking.look(octoprint).answered, "It no longer answers.")
