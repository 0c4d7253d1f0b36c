"""A snapshot is encoded anew, at most ten seconds old, and shown to whoever may see the printer."""

import contextlib
import io
import struct
import zlib
from collections.abc import Iterator
from unittest import mock

import pytest
from django.contrib.auth.models import User
from django.core.cache import cache
from django.test import Client
from django.utils import timezone
from django.utils.http import parse_http_date
from PIL import Image

from printers import camera
from printers.clients.base import Picture, Refused, Unreachable
from printers.samples.picture import snapshot
from tests.printers.pages.conftest import Make

ASK = "printers.clients.asking.camera"


@pytest.fixture(autouse=True)
def _empty() -> Iterator[None]:
    cache.clear()
    yield
    cache.clear()


def picture(size: tuple[int, int] = (640, 480), kind: str = "JPEG", **options: object) -> bytes:
    written = io.BytesIO()
    Image.new("RGB", size, "teal").save(written, kind, **options)
    return written.getvalue()


def opened(content: bytes) -> Image.Image:
    found = Image.open(io.BytesIO(content))
    found.load()
    return found


def huge_png(side: int) -> bytes:
    """A few kilobytes that unpack to side × side pixels."""
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    packer = zlib.compressobj()
    line = b"\0" * (1 + side // 8)
    data = b"".join(packer.compress(line) for _ in range(side)) + packer.flush()
    chunks = [(b"IHDR", header), (b"IDAT", data), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body)) for name, body in chunks
    )


@pytest.mark.parametrize("content", [picture(), picture(kind="PNG"), picture(kind="WEBP"), snapshot(0.5)])
def test_every_kind_becomes_a_jpeg(content: bytes) -> None:
    assert opened(camera.encoded(content)).format == "JPEG"


def test_nothing_but_the_picture_is_passed_on() -> None:
    exif = Image.Exif()
    exif[0x010E] = "GPS of the workshop"
    given = picture(exif=exif, comment=b"<script>alert(1)</script>") + b"PK\x03\x04 a program at its end"
    assert b"GPS of" in given

    encoded = camera.encoded(given)

    assert not any(word in encoded for word in (b"GPS of", b"script", b"program"))
    assert dict(opened(encoded).getexif()) == {}


def test_a_picture_is_upright_and_no_larger_than_a_page_needs() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # Turned by a quarter.

    assert opened(camera.encoded(picture((400, 300), exif=exif))).size == (300, 400)
    assert opened(camera.encoded(picture((4000, 3000)))).size == (1280, 960)


@pytest.mark.parametrize("side", [4096, 10_000, 20_000])
def test_a_small_file_that_unpacks_to_a_huge_picture_is_not_unpacked(side: int) -> None:
    with (
        mock.patch.object(Image.Image, "convert", side_effect=AssertionError),
        pytest.raises(Refused, match="more than 16 megapixels"),
    ):
        camera.encoded(huge_png(side))


@pytest.mark.parametrize(
    "content",
    [
        b"", b"GIF89a", b"\xff\xd8\xff", picture()[:500], picture(kind="PNG")[:60], b"<svg onload=alert(1)>",
        picture(kind="GIF"), picture(kind="BMP"), picture(kind="TIFF"), picture(kind="PNG").replace(b"IHDR", b"IHDX"),
        b"RIFF\0\0\0\0WEBPVP8 " + b"\xff" * 30,
    ],
    ids=range(11),
)  # fmt: skip
def test_what_is_no_picture_of_a_known_kind_is_refused(content: bytes) -> None:
    with pytest.raises(Refused, match="cannot be read"):
        camera.encoded(content)


def test_whatever_is_changed_in_a_file_it_is_a_picture_or_refused() -> None:
    whole = picture((40, 30), "PNG") + picture((40, 30))
    for start in (0, len(picture((40, 30), "PNG"))):
        for place in range(start, min(start + 400, len(whole)), 3):
            spoilt = bytearray(whole[start:])
            spoilt[place - start] ^= 0xFF
            with contextlib.suppress(Refused):
                assert opened(camera.encoded(bytes(spoilt))).format == "JPEG"


def test_many_readers_ask_a_camera_once(page: Client, make: Make) -> None:
    printer = make(camera="http://192.0.2.9/snap")
    with mock.patch(ASK, return_value=Picture("image/png", picture(kind="PNG"))) as ask:
        answers = [page.get(f"/printers/{printer.pk}/camera/") for _ in range(5)]

    assert ask.call_count == 1
    assert {answer["Content-Type"] for answer in answers} == {"image/jpeg"}
    assert {answer.content for answer in answers} == {camera.encoded(picture(kind="PNG"))}
    assert "no-store" in answers[0]["Cache-Control"]


def test_a_camera_that_fails_is_left_alone_for_as_long(page: Client, make: Make) -> None:
    printer = make(camera="http://192.0.2.9/snap")
    with mock.patch(ASK, side_effect=Unreachable("Nothing answers at 192.0.2.9.", "Is it on?")) as ask:
        answers = [page.get(f"/printers/{printer.pk}/camera/") for _ in range(2)]

    assert ask.call_count == 1
    said = (502, b"Nothing answers at 192.0.2.9. Is it on?")
    assert [(answer.status_code, answer.content) for answer in answers] == [said] * 2


def test_a_picture_says_when_it_was_taken(page: Client, make: Make) -> None:
    printer = make(camera="http://127.0.0.1:9/shot")
    before = int(timezone.now().timestamp())
    with mock.patch(ASK, return_value=Picture("image/jpeg", picture())) as asked:
        first = page.get(f"/printers/{printer.pk}/camera/")["Last-Modified"]
        again = page.head(f"/printers/{printer.pk}/camera/")["Last-Modified"]

    assert asked.call_count == 1
    assert first == again
    assert before <= parse_http_date(first) <= timezone.now().timestamp()


def test_a_picture_is_of_its_address_and_for_ten_seconds(page: Client, make: Make) -> None:
    printer = make(camera="http://192.0.2.9/snap")
    with (
        mock.patch(ASK, return_value=Picture("image/jpeg", picture())) as ask,
        mock.patch.object(cache, "set", wraps=cache.set) as kept,
    ):
        page.get(f"/printers/{printer.pk}/camera/")
        type(printer.machine).objects.update(camera="http://192.0.2.10/snap")
        page.get(f"/printers/{printer.pk}/camera/")

    assert ask.call_count == 2
    assert [call.args[2] for call in kept.call_args_list] == [10, 10]
    assert not any("192.0.2" in call.args[0] for call in kept.call_args_list)


def test_a_picture_that_is_kept_is_shown_to_nobody_else(page: Client, make: Make) -> None:
    printer = make(camera="http://192.0.2.9/snap")
    stranger = Client()
    stranger.force_login(User.objects.create_user("stranger"))
    with mock.patch(ASK, return_value=Picture("image/jpeg", picture())):
        assert page.get(f"/printers/{printer.pk}/camera/").status_code == 200
        assert stranger.get(f"/printers/{printer.pk}/camera/").status_code == 404
        assert Client().get(f"/printers/{printer.pk}/camera/").status_code == 302


def test_a_camera_works_without_the_cache(page: Client, make: Make, caplog: pytest.LogCaptureFixture) -> None:
    printer = make(camera="http://192.0.2.9/snap")
    with (
        mock.patch(ASK, return_value=Picture("image/jpeg", picture())),
        mock.patch.object(cache, "get", side_effect=ConnectionError("redis://:secret@cache")),
        mock.patch.object(cache, "set", side_effect=ConnectionError("redis://:secret@cache")),
    ):
        assert page.get(f"/printers/{printer.pk}/camera/").status_code == 200

    assert "The cache does not answer: ConnectionError" in caplog.text
    assert "secret" not in caplog.text
