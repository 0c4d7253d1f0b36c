"""The sample farm: twelve printers of three kinds, of which somebody should see each state that there is."""

from dataclasses import dataclass, field
from typing import Any

from printers.samples.simulation import FILES, Sample

KEY = "sample-key-for-development-only"
ANOTHER_KEY = "its-server-knows-another-key"
PASSWORD = "sample-password"  # noqa: S105
NOBODY = "http://127.0.0.1:9"
"""Where nothing listens."""
HOUR = 3600.0


@dataclass(frozen=True)
class Place:
    """One printer of the farm: what it does, and what people know of it."""

    sample: Sample = field(repr=False)
    place: str
    model: str
    tags: tuple[str, ...] = ()
    served: bool = True

    def told(self, address: str) -> dict[str, Any]:
        """What is written into the database; its key is the one that the portal has, right or wrong."""
        uses_password = self.sample.kind == "prusalink"
        return {
            "name": self.sample.name,
            "kind": self.sample.kind,
            "address": address if self.served else NOBODY,
            "key": "" if uses_password else KEY,
            "user": self.sample.user if uses_password else "",
            "password": PASSWORD if uses_password else "",
            "camera": f"{address}/webcam/?action=snapshot" if self.sample.kind == "octoprint" and self.served else "",
            "place": self.place,
            "model": self.model,
            "tags": list(self.tags),
        }


def _sample(name: str, kind: str, state: str, file: str = "", *, hours: float = 3, done: float = 0.0) -> Sample:
    duration = hours * HOUR
    return Sample(name, kind, state, key=KEY, password=PASSWORD, file=file, duration_s=duration, done_s=duration * done)


def farm() -> list[Place]:
    """From now on, by the clock."""
    hall, shelf, office = "Hall A, rack 1", "Hall A, rack 2", "Office"
    bracket, gear, vase, lid = FILES
    heron = _sample("Heron", "octoprint", "printing", bracket, hours=5, done=0.62)
    curlew = _sample("Curlew", "moonraker", "printing", lid, hours=2.5, done=0.94)
    dunlin = _sample("Dunlin", "prusalink", "heating", gear, hours=1)
    wren = _sample("Wren", "octoprint", "paused", vase, hours=4, done=0.31)
    siskin = _sample("Siskin", "prusalink", "finished", bracket, hours=5)
    crane = _sample("Crane", "octoprint", "error")
    crane.message = "Thermal Runaway, system stopped! Heater_ID: bed"
    plover = _sample("Plover", "prusalink", "attention", gear, hours=1, done=0.4)
    plover.message = "Filament has run out"
    lapwing = _sample("Lapwing", "octoprint", "ready")
    lapwing.key = ANOTHER_KEY
    return [
        Place(heron, hall, "Prusa MK3S+", ("PLA",)),
        Place(curlew, hall, "Voron 2.4", ("ABS", "enclosed")),
        Place(dunlin, hall, "Prusa MK4S", ("PETG",)),
        Place(wren, hall, "Ender 3 V2", ("PLA",)),
        Place(_sample("Robin", "moonraker", "ready"), shelf, "Voron Trident", ("ABS", "enclosed")),
        Place(_sample("Nuthatch", "prusalink", "ready"), shelf, "Prusa MINI+", ("PLA",)),
        Place(siskin, shelf, "Prusa MK4S", ("PETG",)),
        Place(crane, shelf, "CR-10", ("PLA", "large")),
        Place(plover, office, "Prusa XL", ("PLA", "large")),
        Place(lapwing, office, "Prusa MK3S+"),
        Place(_sample("Avocet", "moonraker", "disconnected"), office, "Ender 5", ("spare",)),
        Place(_sample("Stork", "octoprint", "ready"), office, "Anycubic i3", ("spare",), served=False),
    ]
