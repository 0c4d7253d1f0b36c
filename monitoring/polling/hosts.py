"""Which servers are alive, and when each is asked again. Knows no network and no clock but what it is given."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass

from printers.changes import ENOUGH

LONGEST_S = 300.0
JITTER = 0.25


@dataclass
class Host:
    """One server. Until it has answered it is doubtful, and asked on a lane of its own."""

    alive: bool = False
    misses: int = 0
    due: float = 0.0


class Hosts:
    """By the beginning of their address. A server that has gone is asked as often as before until it is certain that
    nobody is there; then less and less often, and not at the same moment as the others that went with it.
    """

    def __init__(
        self,
        every_s: float,
        clock: Callable[[], float] = time.monotonic,
        spread: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self.every_s, self._clock, self._spread = every_s, clock, spread
        self._hosts: dict[str, Host] = {}

    def find(self, origin: str, answered: bool = False) -> Host:
        """Alive if it `answered` whoever asked it last, where this process has never asked it, or leaves it alone."""
        host = self._hosts.setdefault(origin, Host(answered))
        if answered and host.misses > ENOUGH:
            host.alive, host.misses, host.due = True, 0, 0.0
        return host

    def is_due(self, host: Host) -> bool:
        return self._clock() >= host.due

    def note(self, host: Host, answered: bool) -> None:
        host.alive, host.misses = answered, 0 if answered else host.misses + 1
        if host.misses > ENOUGH:
            wait = min(self.every_s * 2 ** min(host.misses - ENOUGH, 16), LONGEST_S)
            host.due = self._clock() + wait * self._spread(1 - JITTER, 1 + JITTER)
        else:
            host.due = 0.0

    def forget_others(self, origins: set[str]) -> None:
        """Those of printers that are gone."""
        self._hosts = {origin: host for origin, host in self._hosts.items() if origin in origins}
