"""Both servers reckon at the same time, and the source's side asks the target as well."""

import threading
from typing import Any

import pytest
from django.db import DatabaseError, models
from django.db.models import IntegerField, TextField
from django.db.models.functions import Cast

from rehome import Import, Lookup
from rehome.importing.proof.known import Known
from rehome.importing.proof.rows import TargetRows
from tests.rehome.importing.proof.test_proof import prove, said
from tests.rehome.importing.workshop import Workshop

MEANWHILE_S = 0.3


def test_nothing_of_the_target_is_asked_between_a_text_that_it_refuses_and_the_way_back(
    shop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.model("new.Known", {"code": TextField()})
    shop.new("new.Known").create(code="7")
    shop.older("old.Thing", {"text": TextField()})
    shop.old("old.Thing").create(text="07")
    known = models.ForeignKey("new.Known", models.CASCADE)
    shop.model("new.Thing", {"legacy_id": IntegerField(unique=True), "known": known})
    lookup = Lookup("new.Known", by="code", normalise=lambda value: Cast(value, IntegerField()))
    things = Import(
        "old.Thing", "new.Thing", key={"legacy_id": "id"}, fields={"known": "text"}, lookups={"known": lookup}
    )
    shop.run(things)
    shop.old("old.Thing").create(text="seven")
    refused, added = threading.Event(), threading.Event()
    ask, add = Known.ask, TargetRows.sum

    def ask_and_wait(self: Known, texts: Any) -> Any:
        try:
            return ask(self, texts)
        except DatabaseError:
            refused.set()
            added.wait(MEANWHILE_S)
            raise

    def wait_and_add(self: TargetRows) -> Any:
        assert refused.wait(30)
        try:
            return add(self)
        finally:
            added.set()

    monkeypatch.setattr(Known, "ask", ask_and_wait)
    monkeypatch.setattr(TargetRows, "sum", wait_and_add)
    assert said(prove(shop, things)) == ["2: missing"]
