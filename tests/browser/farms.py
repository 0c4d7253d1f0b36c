"""Farms of no, three and two hundred printers, with names that pages break on."""

from dataclasses import dataclass, field
from datetime import timedelta

from django.contrib.auth.models import Group, User
from django.utils import timezone

from accounts.models import Profile
from api.models import Token
from api.tokens import making
from core.faults.models import Fault, FaultCount
from monitoring.models import Print
from printers.fleet.models import Kind, LastSeen, Machine
from printers.models import Printer
from printers.states import State
from tests.browser import upkeep

LONG = ("The_big_one_by_the_window_" + "that_everybody_calls_by_another_name_every_week_" * 4)[:200]
RIGHT_TO_LEFT = "چاپگر شمارهٔ ۷ — کارگاه شمالی"
BIRDS = ("Heron", "Curlew", "Dunlin", "Redshank", "Whimbrel", "Sanderling", "Knot", "Turnstone", "Godwit", "Lapwing")
FILES = ("bracket_left_v3_petg.gcode", "enclosure_side_panel_with_ventilation_slots_final_final_0.3mm_PETG_5h05m.gcode")
PLACES = ("Hall A, rack 1", "Hall A, rack 2", "Hall B", "کارگاه شمالی", "Workshop")
SAYS = {
    State.ERROR: "Nozzle 31 °C under its target for 40 s. Heaters are off.",
    State.ATTENTION: "Out of filament at 71 %. It resumes once it is fed.",
    State.REFUSED: "The server is up but refuses our key.",
    State.UNREACHABLE: "Nothing answered within 5 s.",
}

WARM = {"tool0": {"actual": 214.6, "target": 215.0}, "bed": {"actual": 60.1, "target": 60.0}}

SIZES = {"none": 0, "three": 3, "many": 200}


@dataclass
class Farm:
    """Somebody who is staff and sees everything, and the printers that are there."""

    owner: User
    printers: list[Printer] = field(default_factory=list)
    waiting: int = 0
    """The key of a print that waits for somebody."""


def build(size: int) -> Farm:
    """A farm in the database. From three printers on, one has 200 characters for a name, and one runs right to left."""
    owner = User.objects.create_superuser(
        "maren", "maren@example.org", "secret", first_name="Maren", last_name="Okafor"
    )
    profile, _ = Profile.objects.update_or_create(
        user=owner, defaults={"name": "Maren Okafor", "organization": "Coast"}
    )
    printers = Printer.objects.bulk_create(
        Printer(profile=profile, ip_address=f"http://127.20.{n // 250}.{n % 250 + 1}:9", api_key=f"key{n:029}")
        for n in range(size)
    )
    Machine.objects.bulk_create(_machine(printer, n) for n, printer in enumerate(printers))
    LastSeen.objects.bulk_create(_seen(printer, n) for n, printer in enumerate(printers))
    _people(size)
    _tokens(owner)
    _faults(min(size, 40))
    upkeep.build(owner, printers, LONG)
    return Farm(owner, printers, _prints(printers, owner))


def _prints(printers: list[Printer], owner: User) -> int:
    """What waits, what runs, and some for each that have been signed off; answers with one that waits."""
    now = timezone.now()
    made = []
    for n, printer in enumerate(printers):
        state, file = _state(n), FILES[n % len(FILES)]
        if state.group == "waiting" or state.runs:
            made.append(Print(printer=printer, file=file, started_by=owner if n % 2 else None, started_at=now))
        if state.group == "waiting":
            made[-1].started_at, made[-1].ended_at = now - timedelta(hours=6), now - timedelta(minutes=7 * n + 3)
            made[-1].outcome, made[-1].seconds = state, 6 * 3600 - 420 * n
            made[-1].reason = SAYS[State.ERROR] if state == State.FAILED else ""
        for day in range(1, 4):
            good = (n + day) % 3 > 0
            made.append(
                Print(
                    printer=printer, file=file, started_by=owner, started_at=now - timedelta(days=day, hours=3),
                    ended_at=now - timedelta(days=day), outcome="finished", seconds=10_800, signed_off_by=owner,
                    signed_off_at=now, verdict="good" if good else "bad", bad_count=None if good else 3,
                    bad_reason="" if good else f"Came loose: {LONG}" if n == 0 else "Strings everywhere",
                )
            )  # fmt: skip
    Print.objects.bulk_create(made)
    return next((one.pk for one in made if one.ended_at and not one.verdict), 0)


def _people(size: int) -> None:
    names = {0: LONG[:150], 1: "یاسمن کریمی"}
    groups = Group.objects.bulk_create(Group(name=name) for name in ("Hall A operators", LONG[:140], "کارگاه شمالی"))
    users = User.objects.bulk_create(
        User(username=f"person{n}", first_name=names.get(n, f"Sindre {n}"), email=f"person{n}@example.org")
        for n in range(size)
    )
    for n, user in enumerate(users):
        user.groups.set(groups[: n % 4])


def _tokens(owner: User) -> None:
    """One that nobody has used, one that ends soon, and one that has ended; no name is too long for a row."""
    now = timezone.now()
    for name, days, used in (("label printer", 90, None), (LONG[:80], 1, now), (RIGHT_TO_LEFT, 7, now)):
        token, _ = making.make(owner, name, writes=used is not None, lasts=timedelta(days=days))
        expiry = now - timedelta(days=3) if name == RIGHT_TO_LEFT else token.expiry
        Token.objects.filter(pk=token.pk).update(last_used_at=used, expiry=expiry)


def _faults(size: int) -> None:
    now = timezone.now()
    hour = now.replace(minute=0, second=0, microsecond=0)
    for n in range(size):
        fault = Fault.objects.create(
            fingerprint=f"{n:032x}",
            kind="TimeoutError" if n else "printers.clients.base.Unreachable",
            message=LONG if n == 0 else "",
            place=f"printers/views/{LONG[:60]}.py:{n}",
            route="printers/<int:pk>/",
            trace=[f"printers/views.py, line {line}, in {LONG[:80]}" for line in range(3)],
            first_at=now - timedelta(days=2),
            last_at=now - timedelta(minutes=n * 40),
        )
        FaultCount.objects.create(fault=fault, hour=hour, side="new" if n % 3 else "old", count=n + 1)


def _machine(printer: Printer, n: int) -> Machine:
    state = _state(n)
    return Machine(
        printer=printer,
        name={0: LONG, 1: RIGHT_TO_LEFT}.get(n, f"{BIRDS[n % len(BIRDS)]} {n}"),
        kind=list(Kind)[n % len(Kind)],
        place=PLACES[n % len(PLACES)],
        tags=["PETG", "0.4 nozzle"][: n % 3],
        model="Prusa MK4S",
        notes="Left fan is loud below 30 %. Not a fault." if n % 4 == 0 else "",
        out_of_order_since=timezone.now() - timedelta(days=3) if state == State.OUTOFORDER else None,
        out_of_order_why="Extruder motor; part ordered" if state == State.OUTOFORDER else "",
    )


def _seen(printer: Printer, n: int) -> LastSeen:
    state, now = _state(n), timezone.now()
    runs = state.runs
    return LastSeen(
        printer=printer,
        state=state,
        since=now - timedelta(minutes=7 * n + 3),
        seen_at=None if state == State.UNREACHABLE else now - timedelta(seconds=n % 50),
        asked_at=now - timedelta(seconds=n % 50),
        file=FILES[n % len(FILES)] if runs or state.group == "waiting" else "",
        progress=(n * 17) % 100 if runs else None,
        ends_at=now + timedelta(minutes=9 + n * 13) if state == State.PRINTING else None,
        temperatures={"tool0": {"actual": 214.6, "target": 215.0}, "bed": {"actual": 60.1, "target": 60.0}}
        if runs
        else {},
        message=SAYS.get(state, ""),
        waits=state if state.group == "waiting" else "",
    )


def _state(n: int) -> State:
    """All thirteen in turn; the first three printers print, wait for somebody, and are ready."""
    first = (State.PRINTING, State.FINISHED, State.READY)
    return first[n] if n < len(first) else list(State)[n % len(State)]
