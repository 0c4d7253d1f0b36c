from types import SimpleNamespace
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import ImproperlyConfigured
from django.db import OperationalError

from core import rights

ADA = SimpleNamespace(pk=1, is_authenticated=True, is_active=True)
LEFT = SimpleNamespace(pk=2, is_authenticated=True, is_active=False)


@pytest.fixture(autouse=True)
def _nothing_registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rights, "_registered", None)


def decide(user: Any, action: str) -> list[int]:
    return [7] if action == "view" else []


def test_nobody_may_do_anything_before_a_decision_is_registered() -> None:
    assert list(rights.printer_keys(ADA, "view")) == []


def test_the_registered_decision_answers() -> None:
    rights.register(decide)

    assert (rights.printer_keys(ADA, "view"), rights.printer_keys(ADA, "manage")) == ([7], [])


@pytest.mark.parametrize("nobody", [AnonymousUser(), LEFT])
def test_it_is_not_asked_about_somebody_who_is_not_in(nobody: Any) -> None:
    rights.register(lambda user, action: pytest.fail("asked"))

    assert list(rights.printer_keys(nobody, "view")) == []


def test_a_decision_that_raises_denies_and_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    def fail(user: Any, action: str) -> list[int]:
        raise OperationalError("the connection is lost")

    rights.register(fail)

    assert list(rights.printer_keys(ADA, "manage")) == []
    assert "user 1 may do nothing" in caplog.text
    assert "the connection is lost" in caplog.text


def test_an_unknown_action_is_refused() -> None:
    with pytest.raises(ValueError, match="'edit' is not an action; use one of view, operate, manage"):
        rights.printer_keys(ADA, "edit")  # type: ignore[arg-type]


def test_a_second_decision_is_refused() -> None:
    rights.register(decide)
    rights.register(decide)

    with pytest.raises(ImproperlyConfigured, match="register one of them"):
        rights.register(lambda user, action: [])
