from collections.abc import Callable, Iterator

import pytest

from tests.database import dump
from tests.rehome.lab import Lab


@pytest.fixture
def lab(transactional_db: None) -> Iterator[Lab]:
    laboratory = Lab()
    yield laboratory
    laboratory.clean()


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
