from collections.abc import Callable, Iterator

import pytest
from django.db.backends.base.base import BaseDatabaseWrapper

from rehome import Move
from rehome.errors import Refused, RehomeError
from rehome.moves import way
from rehome.verify import probe
from tests.database import dump
from tests.rehome.support import stopping
from tests.rehome.support.clients import Client
from tests.rehome.support.lab import Lab
from tests.rehome.support.trio import MOVE, Trio
from tests.waiting import LIMIT_S


@pytest.fixture(autouse=True)
def _time_to_try_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a move has no time for while others wait is left to `verifymoves --probe`, and a busy machine has less."""
    monkeypatch.setattr(way, "TRYING_S", LIMIT_S)
    monkeypatch.setattr(probe, "quick_ms", lambda: 1000 * LIMIT_S)


@pytest.fixture
def lab(transactional_db: None) -> Iterator[Lab]:
    laboratory = Lab()
    yield laboratory
    laboratory.clean()


@pytest.fixture
def things(lab: Lab) -> Lab:
    """Rows that point at rows, for a move online."""
    return stopping.make_things(lab)


@pytest.fixture
def unchanged(lab: Lab) -> Callable[[], None]:
    """Call it before and after: everything in the database is byte for byte what it was at the first call."""
    before: list[str] = []

    def check() -> None:
        now = dump(lab.alias)
        if before:
            assert now == before[0]
        before.append(now)

    return check


@pytest.fixture
def refused(lab: Lab, unchanged: Callable[[], None]) -> Callable[..., str]:
    """Run a move that must not happen: it raises, nothing in the database changes, and its message is returned."""

    def run(move: Move, *, error: type[RehomeError] = Refused, back: bool = False) -> str:
        unchanged()
        with pytest.raises(error) as raised:
            (lab.back if back else lab.forward)(move)
        unchanged()
        assert type(raised.value) is error
        return str(raised.value)

    return run


@pytest.fixture
def another(lab: Lab) -> Iterator[Callable[[str], BaseDatabaseWrapper]]:
    """Open a second connection, in whose transaction the statement has run and which stays open."""
    opened: list[BaseDatabaseWrapper] = []

    def run(statement: str) -> BaseDatabaseWrapper:
        opened.append(lab.connection.copy())
        opened[-1].set_autocommit(False)
        with opened[-1].cursor() as cursor:
            cursor.execute("SET application_name = 'nightly report'")
            cursor.execute(statement)
        return opened[-1]

    yield run
    for connection in opened:
        connection.close()


@pytest.fixture
def trio(lab: Lab) -> Trio:
    """`old.Thing` has moved to `new.Thing`; `one.Thing` has the same rows."""
    trio = Trio(lab)
    lab.forward(MOVE)
    return trio


@pytest.fixture
def open_client(lab: Lab) -> Iterator[Callable[..., Client]]:
    """Open a session of another program; each option is a setting of the server."""
    opened: list[Client] = []

    def run(**options: str) -> Client:
        opened.append(Client(lab, **options))
        return opened[-1]

    yield run
    for client in opened:
        client.close()


@pytest.fixture
def make_role(lab: Lab) -> Iterator[Callable[[str], str]]:
    """Create a role, which all databases of the server share; in the end it is gone with all its rights."""
    made: list[str] = []

    def run(name: str) -> str:
        made.append(f"{name}_{lab.connection.settings_dict['NAME']}")
        # A run that was killed leaves its roles behind.
        lab.sql(f'DROP ROLE IF EXISTS "{made[-1]}"')
        lab.sql(f'CREATE ROLE "{made[-1]}"')
        return made[-1]

    yield run
    lab.sql("RESET ROLE")
    for role in made:
        lab.sql(f'REASSIGN OWNED BY "{role}" TO CURRENT_USER')
        lab.sql(f'DROP OWNED BY "{role}" CASCADE')
        lab.sql(f'DROP ROLE "{role}"')
