"""An import through a pooler: what is staged belongs to a session."""

from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest
from django.db import models

from rehome import Import
from rehome.errors import Refused
from tests.rehome.importing.workshop import Workshop

LOCKS = """
SELECT FROM pg_locks JOIN pg_database d ON d.oid = database
 WHERE locktype = 'advisory' AND datname = current_database()
"""
THINGS = Import("old.Thing", "new.Thing", key={"code": "code"}, shared=True)


@pytest.mark.parametrize("mode", ["transaction", "session"])
def test_an_import_wants_its_session(
    shop: Workshop, pooled: Callable[..., AbstractContextManager[None]], mode: str
) -> None:
    shop.older("old.Thing", {"code": models.TextField()})
    shop.model("new.Thing", {"code": models.TextField(unique=True)})
    shop.old("old.Thing").create(code="a")
    with pooled(mode):
        if mode == "session":
            shop.run(THINGS)
        else:
            with pytest.raises(Refused, match="The pooler at .* hands sessions on"):
                shop.run(THINGS)
        assert shop.new("new.Thing").count() == (mode == "session")
        assert shop.sql(LOCKS) == []
