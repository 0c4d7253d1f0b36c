"""A picture as a camera would send it, without a library to draw it."""

import struct
import zlib

WIDTH, HEIGHT = 320, 240
AIR, PLASTIC = b"\xd8\xdc\xe0", b"\x3b\x6e\xa8"


def snapshot(progress: float) -> bytes:
    """A PNG of a block that grows from the plate up."""
    margin, top = WIDTH // 4, HEIGHT - int(HEIGHT * min(max(progress, 0.0), 1.0) * 0.8)
    empty = AIR * WIDTH
    filled = AIR * margin + PLASTIC * (WIDTH - 2 * margin) + AIR * margin
    lines = b"".join(b"\0" + (filled if line >= top else empty) for line in range(HEIGHT))
    header = struct.pack(">IIBBBBB", WIDTH, HEIGHT, 8, 2, 0, 0, 0)
    parts = [(b"IHDR", header), (b"IDAT", zlib.compress(lines)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(name, data) for name, data in parts)


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
