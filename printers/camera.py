"""A picture of a printer's camera as the portal shows it: at most ten seconds old, and encoded by the portal itself.

What a camera sends is never passed on: it may be a program with the head of a picture, or say where it was taken.
"""

import hashlib
import io
import logging
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.core.cache import cache
from django.utils import timezone
from PIL import Image, ImageOps

from printers import looking
from printers.clients import asking
from printers.clients.base import PrinterError, Refused
from printers.models import Printer

logger = logging.getLogger(__name__)

FRESH_S = 10
FORMATS = ("JPEG", "PNG", "WEBP")
PIXELS = 16_000_000
"""As many as a camera of a printer has; a small file may unpack to more than a machine's memory."""
LARGEST = (1280, 960)
QUALITY = 80


@dataclass(frozen=True)
class Kept:
    """What came of the last time: a JPEG, or the sentence that says why there is none."""

    picture: bytes = b""
    taken_at: datetime = field(default_factory=timezone.now)
    sentence: str = ""
    hint: str = ""


def snapshot(printer: Printer) -> Kept:
    """A JPEG and when it was taken. Raises PrinterError; a camera that fails is left alone for ten seconds, too."""
    key = _key(printer)
    kept = _read(key)
    if kept is None:
        kept = _look(printer)
        _write(key, kept)
    if kept.sentence:
        raise Refused(kept.sentence, kept.hint)
    return kept


def _look(printer: Printer) -> Kept:
    try:
        return Kept(encoded(asking.camera(looking.endpoint_of(printer)).content))
    except PrinterError as error:
        return Kept(sentence=error.sentence, hint=error.hint)


def encoded(content: bytes) -> bytes:
    """The same picture, no larger than LARGEST, without what else a file can carry. Raises Refused."""
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as picture:
            # Known from the head of the file, before anything is unpacked.
            if picture.width * picture.height > PIXELS:
                raise _too_large()
            picture.draft("RGB", LARGEST)
            upright = ImageOps.exif_transpose(picture).convert("RGB")
            upright.info.clear()  # Pillow writes comments along.
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise _too_large() from None
    except Refused:
        raise
    except Exception:  # noqa: BLE001  A broken file makes Pillow raise anything.
        raise Refused("The camera sends a picture that cannot be read.", "Look at its address in a browser.") from None
    upright.thumbnail(LARGEST)
    written = io.BytesIO()
    upright.save(written, "JPEG", quality=QUALITY)
    return written.getvalue()


def _too_large() -> Refused:
    return Refused(f"The camera sends a picture of more than {PIXELS // 10**6} megapixels.", "Set a smaller one there.")


def _key(printer: Printer) -> str:
    """Another address has another picture; the key says neither, for a cache may be read by others."""
    endpoint = looking.endpoint_of(printer)
    asked = "\n".join([endpoint.kind, endpoint.address, endpoint.camera])
    return f"camera:{printer.pk}:{hashlib.sha256(asked.encode()).hexdigest()}"


def _read(key: str) -> Kept | None:
    found: Any = None
    try:
        found = cache.get(key)
    except Exception as error:  # noqa: BLE001  Each client of a cache has its own errors, and a camera works without.
        logger.warning("The cache does not answer: %s", type(error).__name__)
    return found if isinstance(found, Kept) else None


def _write(key: str, kept: Kept) -> None:
    try:
        cache.set(key, kept, FRESH_S)
    except Exception as error:  # noqa: BLE001
        logger.warning("The cache does not answer: %s", type(error).__name__)
