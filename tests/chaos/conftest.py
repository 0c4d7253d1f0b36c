import random
import secrets
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import models

from tests.chaos import stage
from tests.chaos.journal import Write
from tests.chaos.operations import TOUCH
from tests.farm import farm
from tests.rehome.support.lab import Lab


@pytest.fixture
def lab(transactional_db: None) -> Iterator[Lab]:
    laboratory = Lab()
    yield laboratory
    laboratory.clean()


@pytest.fixture
def things(lab: Lab) -> Lab:
    """Old and new things, without rows, with a cascade and another trigger."""
    for app in ("old", "new"):
        lab.model(
            f"{app}.Thing",
            {
                "name": models.CharField(max_length=20, db_index=True),
                "filler": models.TextField(null=True),
                "parent": models.ForeignKey(f"{app}.Thing", models.DO_NOTHING, null=True, db_constraint=False),
            },
        )
        lab.sql(f"ALTER TABLE {app}_thing ADD FOREIGN KEY (parent_id) REFERENCES {app}_thing ON DELETE CASCADE")
    lab.sql(TOUCH)
    return lab


@pytest.fixture
def births(planned: str, settings: Any) -> list[Write]:
    settings.REHOME_LOCK_TIMEOUT_MS = 50
    births = stage.prepare()
    farm.migrate("accounts", "0002")
    return births


@pytest.fixture
def choose(request: pytest.FixtureRequest) -> random.Random:
    """What is random follows from the seed, which a failing test shows."""
    seed = request.config.getoption("chaos_seed") or secrets.randbelow(2**32)
    print(f"--chaos-seed={seed}")  # noqa: T201
    return random.Random(seed)  # noqa: S311
