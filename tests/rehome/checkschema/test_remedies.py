"""Every remedy of every drift: none fails, none loses a row, and the comparison is clean after one pass."""

import pytest
from django.db import connection

from tests.rehome.checkschema.menagerie import OF_18, POSTGRESQL, Menagerie
from tests.rehome.support.lab import Lab

FIRST_VIRTUAL = 180000

pytestmark = pytest.mark.server


@pytest.mark.timeout(900)
@pytest.mark.django_db(transaction=True)
@pytest.mark.long
def test_every_remedy_on_postgresql() -> None:
    lab = Lab()
    newest = OF_18 if connection.pg_version >= FIRST_VIRTUAL else {}
    try:
        Menagerie(lab, POSTGRESQL | newest).check()
    finally:
        for kind, name in sorted(lab.find_objects() - lab.before, reverse=True):
            lab.sql(f"DROP {kind} IF EXISTS {name} CASCADE")
