"""From each server's JSON to a state: honest, and without a network."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from printers.clients import moonraker, octoprint, prusalink, reading
from printers.states import State

NOW = datetime(2026, 3, 14, 16, 3, tzinfo=UTC)
WARM = {"tool0": {"actual": 214.9, "target": 215.0}, "bed": {"actual": 59.8, "target": 60.0}}
COLD = {"tool0": {"actual": 142.0, "target": 215.0}, "bed": {"actual": 59.8, "target": 60.0}}
COLD_BED = {"tool0": {"actual": 170.0, "target": 170.0}, "bed": {"actual": 31.0, "target": 60.0}}
OFF: dict[str, Any] = {"tool0": {"actual": 24.0, "target": 0.0}, "bed": {"actual": 23.0, "target": 0.0}}
FLAGS = {"operational": True, "ready": False, "printing": False, "paused": False, "error": False}


def by_octoprint(words: str, temperature: Any = OFF, completion: Any = None, **flags: bool) -> Any:
    file = {"name": "a.gcode", "display": "a b.gcode", "path": "sub/a.gcode"}
    job = {"job": {"file": file}, "progress": {"completion": completion, "printTimeLeft": 540}, "state": words}
    return octoprint.seen({"temperature": temperature, "state": {"text": words, "flags": FLAGS | flags}}, job, NOW)


@pytest.mark.parametrize(
    ("state", "words", "flags", "temperature", "completion"),
    [
        (State.READY, "Operational", {"ready": True}, OFF, None),
        (State.READY, "Operational", {"ready": True}, OFF, 62.0),
        (State.FINISHED, "Operational", {"ready": True}, OFF, 100.0),
        (State.PRINTING, "Printing", {"printing": True}, WARM, 62.0),
        (State.HEATING, "Printing", {"printing": True}, COLD, 0.0),
        (State.HEATING, "Printing", {"printing": True}, COLD, 3.0),
        (State.HEATING, "Starting", {"printing": True}, COLD_BED, 0.1),
        (State.PRINTING, "Printing", {"printing": True}, COLD_BED, 20.0),
        (State.PRINTING, "Printing from SD", {"printing": True}, OFF, None),
        (State.PAUSED, "Paused", {"paused": True}, WARM, 62.0),
        (State.PAUSED, "Paused", {"paused": True, "printing": True}, WARM, 62.0),
        (State.PRINTING, "Pausing", {"pausing": True}, WARM, 62.0),
        (State.PRINTING, "Resuming", {"resuming": True}, WARM, 62.0),
        (State.PRINTING, "Cancelling", {"cancelling": True}, WARM, 62.0),
        (State.PRINTING, "Finishing", {"finishing": True}, WARM, 100.0),
        (State.ERROR, "Error", {"error": True, "operational": False}, OFF, None),
        (State.DISCONNECTED, "Offline", {"operational": False}, {}, None),
    ],
)
def test_octoprint(state: State, words: str, flags: Any, temperature: Any, completion: Any) -> None:
    assert by_octoprint(words, temperature, completion, **flags).state == state


@pytest.mark.parametrize(
    ("state", "words", "message"),
    [
        (State.DISCONNECTED, "Offline", "Offline"),
        (State.DISCONNECTED, "Opening serial connection", "Opening serial connection"),
        (State.DISCONNECTED, "Operational", ""),  # It has come back between the two questions.
        (State.ERROR, "Offline after error", "Thermal runaway"),
        (State.ERROR, "Error", "Thermal runaway"),
    ],
)
def test_octoprint_whose_printer_is_not_operational(state: State, words: str, message: str) -> None:
    job = {"state": words} | ({"error": "Thermal runaway"} if state == State.ERROR else {})
    seen = octoprint.seen(None, job, NOW)

    assert (seen.state, seen.message, seen.progress, seen.ends_at) == (state, message, None, None)


def test_octoprints_file_progress_and_end() -> None:
    seen = by_octoprint("Printing", WARM, 62.04, printing=True)

    assert (seen.file, seen.progress, seen.ends_at) == ("a b.gcode", 62.0, NOW + timedelta(minutes=9))
    assert seen.temperatures == WARM
    assert by_octoprint("Paused", WARM, 62.0, paused=True).ends_at is None
    assert by_octoprint("Operational", ready=True).file == ""


def by_moonraker(stats: Any, klippy: str = "ready", message: str = "Printer is ready", **objects: Any) -> Any:
    webhooks = {"state": klippy, "state_message": message}
    return moonraker.seen({"webhooks": webhooks, "print_stats": stats} | objects, NOW)


WARM_KLIPPER = {"extruder": {"temperature": 214.9, "target": 215.0}, "heater_bed": {"temperature": 60, "target": 60.0}}
COLD_KLIPPER = {"extruder": {"temperature": 142, "target": 215.0}, "heater_bed": {"temperature": 60, "target": 60.0}}


@pytest.mark.parametrize(
    ("state", "words", "objects"),
    [
        (State.READY, "standby", {}),
        (State.PRINTING, "printing", WARM_KLIPPER),
        (State.HEATING, "printing", COLD_KLIPPER),
        (State.PAUSED, "paused", WARM_KLIPPER),
        (State.FINISHED, "complete", {}),
        (State.CANCELLED, "cancelled", {}),
        (State.FAILED, "error", {}),
    ],
)
def test_moonraker(state: State, words: str, objects: Any) -> None:
    assert by_moonraker({"state": words}, **objects).state == state


@pytest.mark.parametrize(
    ("state", "klippy", "message"),
    [
        (State.ERROR, "shutdown", "Lost communication with MCU 'mcu'"),
        (State.ERROR, "error", "Option 'pin' in section 'fan' must be specified"),
        (State.DISCONNECTED, "error", "mcu 'mcu': Unable to connect"),
        (State.DISCONNECTED, "startup", "Printer is not ready"),
        (State.DISCONNECTED, "disconnected", ""),
    ],
)
def test_klipper_that_is_not_ready(state: State, klippy: str, message: str) -> None:
    seen = by_moonraker({"state": "standby"}, klippy, message)
    without = moonraker.seen_without_klipper({"klippy_state": klippy, "warnings": []}, message)

    assert (seen.state, seen.message) == (without.state, without.message) == (state, message)


def test_moonrakers_end_follows_from_the_time_it_took() -> None:
    stats = {"state": "printing", "filename": "a.gcode", "print_duration": 3600.0}
    seen = by_moonraker(stats, virtual_sdcard={"progress": 0.5}, **WARM_KLIPPER)

    assert (seen.file, seen.progress, seen.ends_at) == ("a.gcode", 50.0, NOW + timedelta(hours=1))
    assert by_moonraker(stats, virtual_sdcard={"progress": 0.001}, **WARM_KLIPPER).ends_at is None


def by_prusalink(words: str, job: Any = None, **printer: Any) -> Any:
    status = {"printer": {"state": words} | printer} | ({"job": job} if job else {})
    return prusalink.seen(
        status, {"file": {"name": "SPICE~1.GCO", "display_name": "Spice.gcode"}} if job else None, NOW
    )


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (State.READY, "IDLE"), (State.READY, "READY"), (State.READY, "BUSY"), (State.PRINTING, "PRINTING"),
        (State.PAUSED, "PAUSED"), (State.FINISHED, "FINISHED"), (State.CANCELLED, "STOPPED"), (State.ERROR, "ERROR"),
        (State.ATTENTION, "ATTENTION"), (State.ATTENTION, "SOMETHING_NEW"),
    ],
)  # fmt: skip
def test_prusalink(state: State, words: str) -> None:
    assert by_prusalink(words).state == state


def test_prusalinks_job() -> None:
    job = {"id": 7, "progress": 42.0, "time_remaining": 60}
    warm = {"temp_nozzle": 215.0, "target_nozzle": 215.0, "temp_bed": 60.0, "target_bed": 60.0}
    seen = by_prusalink("PRINTING", job, **warm)

    assert (seen.file, seen.progress, seen.ends_at) == ("Spice.gcode", 42.0, NOW + timedelta(minutes=1))
    assert by_prusalink("BUSY", job, **warm).state == State.PRINTING
    assert by_prusalink("PRINTING", job, **warm | {"temp_nozzle": 25.0}).state == State.HEATING
    assert by_prusalink("ERROR", status_printer={"ok": False, "message": "Heatbreak fan"}).message == "Heatbreak fan"


@pytest.mark.parametrize("value", [None, [], {}, True, "x", float("nan"), float("inf"), -float("inf"), 10**400])
def test_no_number_is_none(value: Any) -> None:
    assert reading.number(value) is None
    assert reading.percent(value) is None
    assert reading.moment(value) is None
    assert reading.ends_at(NOW, value) is None


@pytest.mark.parametrize("seconds", [1e18, -1, 1e300, -1e300, 2.5e11])
def test_no_time_is_too_far(seconds: float) -> None:
    """In the year 9948, a moment is none any more in Tokyo, or soon."""
    assert reading.ends_at(NOW, seconds) is None
    assert reading.moment(seconds) is None
    assert reading.seconds(seconds) is None


@pytest.mark.parametrize("most", [1e300, -1e300, 2.5e11])
def test_numbers_that_no_machine_can_mean_are_not_known(most: float) -> None:
    """What is kept is shown: a length of time of a million years, or an end that some zones don't have, is no page."""
    stats = {"state": "printing", "filename": "a", "print_duration": most, "filament_used": 1e300}
    klipper = by_moonraker(stats, virtual_sdcard={"progress": 0.5}, extruder={"temperature": most, "target": 1e300})
    progress = {"completion": 100.0, "printTimeLeft": most, "printTime": most}
    job = {"job": {"file": {"path": "a"}, "filament": {"tool0": {"length": 1e300}}}, "progress": progress}
    octo = octoprint.seen({"state": {"flags": FLAGS | {"operational": True}}}, job, NOW)
    prusa = by_prusalink("PRINTING", {"id": 7, "progress": 42.0, "time_remaining": most, "time_printing": most})

    for seen in (klipper, octo, prusa):
        assert (seen.ends_at, seen.took_s, seen.filament_mm) == (None, None, None)
    assert klipper.temperatures["tool0"] == {"actual": None, "target": None}

    row = {"type": "PRINT_FILE", "name": "a", "size": 1e300, "m_timestamp": most}
    files = [
        *octoprint.files_in([{"path": "a", "size": 1e300, "date": most}]),
        *moonraker.files_in([{"path": "a", "size": 1e300, "modified": most}]),
        *prusalink.files_in("local", [row]),
    ]
    assert [(file.size, file.changed_at) for file in files] == [(None, None)] * 3


def test_texts_are_what_postgresql_takes() -> None:
    assert reading.text("a\0b\n c\ud800 ") == "a b c?"
    assert reading.text("x" * 2000) == "x" * 1000
    assert reading.text(["x"]) == ""


@pytest.mark.parametrize("junk", [None, [], 3, "x", {"a": []}, [{"path": 3}, None]])
def test_junk_has_no_temperatures_and_no_files(junk: Any) -> None:
    assert octoprint.temperatures_of(junk) == moonraker.temperatures_of(junk) == prusalink.temperatures_of(junk) == {}
    assert octoprint.files_in(junk) == moonraker.files_in(junk) == prusalink.files_in("usb", junk) == []
    for seen in (octoprint.seen(junk, junk, NOW), moonraker.seen(junk, NOW), prusalink.seen(junk, junk, NOW)):
        assert seen.state in State


def test_octoprints_folders_and_card() -> None:
    deep = {"type": "folder", "children": [{"type": "machinecode", "path": "a/b.gcode", "origin": "local", "date": 1}]}
    card = {"type": "machinecode", "path": "C.GCO", "origin": "sdcard", "size": 3}
    model = {"type": "model", "path": "c.stl", "origin": "local"}

    assert [(file.path, file.size) for file in octoprint.files_in([deep, card, model])] == [
        ("local/a/b.gcode", None),
        ("sdcard/C.GCO", 3),
    ]


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
ANSWERS = {
    "printer": {"temperature": WARM, "state": {"text": "Printing", "flags": FLAGS | {"printing": True}}},
    "job": {
        "job": {"file": {"name": "a", "display": "a", "path": "a"}},
        "progress": {"completion": 62.0, "printTimeLeft": 540},
        "state": "Printing",
        "error": "",
    },
    "klipper": {
        "webhooks": {"state": "ready", "state_message": ""},
        "print_stats": {"state": "printing", "filename": "a", "print_duration": 9.0, "message": ""},
        "virtual_sdcard": {"progress": 0.5},
        "display_status": {"message": ""},
        **WARM_KLIPPER,
    },
    "status": {
        "printer": {"state": "PRINTING", "temp_nozzle": 1.0, "target_nozzle": 1.0, "status_printer": {"ok": False}},
        "job": {"id": 7, "progress": 42.0, "time_remaining": 60},
    },
    "info": {"klippy_state": "error", "warnings": ["x"]},
}


def places(data: Any, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    inner = (
        [place for key, value in data.items() for place in places(value, (*path, key))]
        if isinstance(data, dict)
        else []
    )
    return [path, *inner] if path else inner


def spoilt(data: Any, path: tuple[str, ...], junk: Any) -> Any:
    """A copy with something else at one place."""
    if not path:
        return junk
    return data | {path[0]: spoilt(data[path[0]], path[1:], junk)}


@given(st.sampled_from(places(ANSWERS)), JUNK)
def test_one_wrong_value_is_never_a_fault(path: tuple[str, ...], junk: Any) -> None:
    """And whatever is seen can be kept: PostgreSQL takes its texts, and JSON its numbers."""
    answers = spoilt(ANSWERS, path, junk)
    looks = [
        octoprint.seen(answers["printer"], answers["job"], NOW),
        moonraker.seen(answers["klipper"], NOW),
        moonraker.seen_without_klipper(answers["info"], ""),
        prusalink.seen(answers["status"], answers["job"], NOW),
    ]
    for seen in looks:
        kept = json.dumps([seen.file, seen.message, seen.progress, seen.temperatures], allow_nan=False)
        assert "\\u0000" not in kept
        assert (seen.file + seen.message).encode().decode() == seen.file + seen.message
