"""What is kept of an exception: where it was raised, on which side, for whom; and nothing that was sent or answered."""

import contextlib
import dataclasses
import hashlib
import json
import re
import traceback
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from django.conf import settings
from django.contrib.auth import SESSION_KEY
from django.db import DatabaseError, connection
from django.http import HttpRequest
from django.utils import timezone

from core.logs import route_of, user_id_of
from core.scrubbing import scrub

FRAMES = 40
CAUSES = 5
MESSAGE = 1000
BODY = 65_536
"""Secrets are looked for in so much of what was sent."""
_QUOTED = re.compile(r'"((?:[^"\\\n]|\\.)*)"')


@dataclasses.dataclass(frozen=True)
class Seen:
    """One exception, once."""

    fingerprint: str
    kind: str
    message: str
    place: str
    trace: list[str]
    route: str
    side: str
    user_id: int
    """0 for nobody."""
    request_id: str
    at: datetime


def see(error: BaseException, request: HttpRequest | None) -> Seen:
    """Opens no connection, and reads nothing of the request's body that was not read before."""
    frames = list(frames_of(error))
    own = [frame for frame in frames if is_own(frame)] or frames
    return Seen(
        fingerprint=fingerprint_of(error),
        kind=type(error).__qualname__[:200],
        message=scrub(str(error), known_secrets(request)).replace("\0", "")[:MESSAGE],
        place=describe(own[-1])[:300] if own else "",
        trace=[describe(frame) for frame in frames],
        route=route_of(request)[:300] if request else "",
        side=getattr(request, "side", None) or "",
        user_id=(who_asked(request) if request else None) or 0,
        request_id=getattr(request, "id", ""),
        at=timezone.now(),
    )


def who_asked(request: HttpRequest) -> int | None:
    """Also where the page has failed before it looked the user up, if this thread is connected by then."""
    known = user_id_of(request)
    if known is not None or connection.connection is None or not hasattr(request, "session"):
        return known
    with contextlib.suppress(DatabaseError, ValueError, TypeError):
        return int(request.session.get(SESSION_KEY))
    return None


def fingerprint_of(error: BaseException) -> str:
    """The same for exceptions of one type that the same lines of this project raise, wherever they have moved to.

    Numbers of lines and messages are left out: both change while the fault stays.
    """
    digest = hashlib.sha256()
    for one in chain(error):
        frames = list(traceback.extract_tb(one.__traceback__, limit=-FRAMES))
        for frame in [frame for frame in frames if is_own(frame)] or frames:
            digest.update(f"{relative(frame)}\n{frame.name}\n{frame.line}\n".encode())
        digest.update(f"{type(one).__module__}.{type(one).__qualname__}\n".encode())
    return digest.hexdigest()[:32]


def number_of(fingerprint: str) -> str:
    """As the error page tells it to people: short enough to read out."""
    return f"{fingerprint[:4]}-{fingerprint[4:8]}"


def chain(error: BaseException) -> Iterator[BaseException]:
    """The exception, and what it was raised from."""
    seen: set[int] = set()
    found: BaseException | None = error
    while found is not None and id(found) not in seen and len(seen) < CAUSES:
        yield found
        seen.add(id(found))
        found = found.__cause__ or (None if found.__suppress_context__ else found.__context__)


def frames_of(error: BaseException) -> Iterator[traceback.FrameSummary]:
    yield from traceback.extract_tb(error.__traceback__, limit=-FRAMES)


def is_own(frame: traceback.FrameSummary) -> bool:
    return frame.filename.startswith(str(settings.BASE_DIR)) and "site-packages" not in frame.filename


def relative(frame: traceback.FrameSummary) -> str:
    """From the checkout, or from the folder of packages, so that releases in other folders agree."""
    return frame.filename.removeprefix(f"{settings.BASE_DIR}/").partition("site-packages/")[2] or (
        frame.filename.removeprefix(f"{settings.BASE_DIR}/")
    )


def describe(frame: traceback.FrameSummary) -> str:
    return f"{relative(frame)}:{frame.lineno} {frame.name}"


def known_secrets(request: HttpRequest | None) -> set[str]:
    """Every value that the request has brought: what of it is harmless is not needed to find the fault."""
    if request is None:
        return set()
    brought = {value for name, value in request.META.items() if name.startswith("HTTP_") and isinstance(value, str)}
    brought |= set(request.COOKIES.values())
    for sent in (request.GET, getattr(request, "_post", None)):
        brought |= {value for values in (sent.lists() if sent else ()) for value in values[1]}
    body = getattr(request, "_body", b"")[:BODY].decode(errors="replace")
    return brought | texts_of_json(body)


def texts_of_json(body: str) -> set[str]:
    """As they are written, and as they are meant: some programs write each slash as `\\/`."""
    written, meant = set(_QUOTED.findall(body)), set()
    for text in written:
        with contextlib.suppress(ValueError):
            meant.add(json.loads(f'"{text}"'))
    return written | meant


def as_lines(seen: Seen) -> list[tuple[str, Any]]:
    """What is told of it, besides its type and message."""
    return [
        ("Where", seen.place),
        ("Address", seen.route or "–"),
        ("Side", seen.side or "–"),
        ("User", seen.user_id or "nobody"),
        ("Request", seen.request_id or "–"),
    ]
