"""Images that are broken, enormous, slow, or of an unusual kind."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from melaudit.images.imagefile import read_image
from tests.hostile.case import Case
from tests.images.encoded import JPEG, PNG, encoded, photo
from tests.images.test_imagefile import UNUSABLE, USABLE, png

ANY = ("used", "flagged", "skipped")


def read(name: str, content: bytes, folder: Path) -> str:
    """Decode an image of this name and content."""
    path = folder / name
    path.write_bytes(content)
    found = read_image(path)
    told = {"ok": "used", "flagged": "flagged: ", "skipped": "skipped: "}[found.status]
    return told + ", ".join(found.reasons)


def cases() -> Iterator[Case]:
    """Yield every case about images."""
    for what, name, content, reasons in USABLE:
        outcome = f"flagged: {', '.join(reasons)}" if reasons else "used"
        yield _case(what, name, content, outcome)
    for what, name, content, reason in UNUSABLE:
        yield _case(what, name, content, f"skipped: {reason}")
    for kind, whole in _WHOLE:
        name = f"{kind} cut after each 64th of its {len(whole):,} bytes"
        yield Case("image", name, partial(_cut, kind.lower(), whole), ("skipped",))
    for what, content in _DAMAGED:
        yield _case(what, "a.png", content, *ANY)


def _cut(suffix: str, whole: bytes, folder: Path) -> str:
    """Return the first outcome, of all beginnings of an image, that is no skip."""
    ends = range(64, len(whole) - 64, 64)
    outcomes = [read(f"a.{suffix}", whole[:end], folder) for end in ends]
    return next((o for o in outcomes if not o.startswith("skipped")), f"skipped, all {len(ends)}")


def _case(what: str, name: str, content: bytes, *expected: str) -> Case:
    return Case("image", what, partial(read, name, content), expected)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


_WHOLE = (
    ("JPEG", JPEG),
    ("PNG", PNG),
    *((kind, encoded(photo(), kind)) for kind in ("GIF", "BMP", "TIFF", "WEBP")),
)
_DAMAGED = [
    ("PNG of no width", png(0, 48, 8, 2, b"")),
    ("PNG of 2**31 - 1 pixels a side", png(2**31 - 1, 2**31 - 1, 8, 2, b"")),
    ("PNG with a palette index out of range", png(64, 48, 8, 3, bytes([0, *[255] * 64]) * 48)),
    ("PNG with an unknown filter", png(64, 48, 8, 2, bytes([9, *[0] * 192]) * 48)),
    ("PNG with a bit depth of 3", png(64, 48, 3, 2, b"")),
    ("PNG that unpacks to 200 MB", png(64, 48, 8, 2, bytes(2 * 10**8))),
    ("PNG with 100,000 empty chunks", PNG[:33] + _chunk(b"teSt", b"") * 100_000 + PNG[33:]),
    ("PNG with a chunk of 2**31 bytes", PNG[:33] + b"\x7f\xff\xff\xfftEXt" + PNG[33:]),
    ("PNG with a broken colour profile", PNG[:33] + _chunk(b"iCCP", b"x\0\0bad") + PNG[33:]),
    (
        "PNG with EXIF that refers to itself",
        PNG[:33] + _chunk(b"eXIf", b"MM\0*\0\0\0\x08" * 9) + PNG[33:],
    ),
    (
        "BMP of a negative size",
        b"BM"
        + struct.pack("<IHHIIiiHHIIiiII", 99, 0, 0, 54, 40, -5, -5, 1, 24, *[0] * 6)
        + bytes(75),
    ),
    (
        "GIF of 65,535 x 65,535",
        b"GIF89a\xff\xff\xff\xff\x80\0\0" + bytes(6) + b",\0\0\0\0\xff\xff\xff\xff\0\2\0;",
    ),
    (
        "TIFF whose directory refers to itself",
        b"II*\0\x08\0\0\0" + struct.pack("<H", 0) + struct.pack("<I", 8),
    ),
    ("TIFF with 65,535 entries", b"II*\0\x08\0\0\0\xff\xff" + bytes(12) * 65_535),
    (
        "WebP of 16,383 x 16,383 in 40 bytes",
        b"RIFF\x20\0\0\0WEBPVP8 \x14\0\0\0\x30\x01\0\x9d\x01*\xff\x3f\xff\x3f" + bytes(20),
    ),
]
