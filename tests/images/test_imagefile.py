"""Every kind of odd image file ends as pixels, as flagged pixels or as a counted skip."""

import os
import socket
import struct
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageFile

from melaudit.images.imagefile import read_image, shrink
from tests.images.encoded import JPEG, PNG, encoded, photo, pixels


def several(kind: str) -> bytes:
    return encoded(photo(), kind, save_all=True, append_images=[Image.fromarray(pixels(seed=1))])


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, depth: int, colour: int, raw: bytes, *more: bytes) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    data = chunk(b"IDAT", zlib.compress(raw))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        [chunk(b"IHDR", header), *more, data, chunk(b"IEND", b"")]
    )


def flipped(data: bytes, place: int) -> bytes:
    return data[:place] + bytes([data[place] ^ 0xFF]) + data[place + 1 :]


def with_orientation(value: int | bytes, next_directory: int = 0) -> bytes:
    """Write the tag by hand: as a number, or as text, which no camera does."""
    kind, count = (2, len(value)) if isinstance(value, bytes) else (3, 1)
    field = value.ljust(4, b"\0") if isinstance(value, bytes) else struct.pack("<HH", value, 0)
    entry = struct.pack("<HHHI", 1, 0x0112, kind, count) + field
    tiff = b"II*\0" + struct.pack("<I", 8) + entry + struct.pack("<I", next_directory)
    return encoded(photo(), "JPEG", exif=b"Exif\0\0" + tiff)


def many_scans(scans: int = 200, width: int = 0, height: int = 0) -> bytes:
    """Return a progressive JPEG that repeats its last scan, and may claim another size."""
    data = encoded(photo(), "JPEG", progressive=True)
    start, frame = data.rindex(b"\xff\xda"), data.index(b"\xff\xc2")
    if width:
        data = data[: frame + 5] + struct.pack(">HH", height, width) + data[frame + 9 :]
    return data[:start] + data[start:-2] * scans + data[-2:]


def with_alpha(lowest: int) -> Image.Image:
    image = photo("RGBA")
    alpha = np.full((48, 64), 255, np.uint8)
    alpha[0, 0] = lowest
    image.putalpha(Image.fromarray(alpha))
    return image


def sixteen_bit() -> Image.Image:
    ramp = np.linspace(0, 65535, 48 * 64).round().astype(np.uint16).reshape(48, 64)
    return Image.fromarray(ramp)


def huge_bmp() -> bytes:
    return (
        b"BM"
        + struct.pack("<IHHI", 54, 0, 0, 54)
        + struct.pack("<IiiHHIIiiII", 40, 2_000_000, 3_000_000, 1, 24, 0, 0, 0, 0, 0, 0)
    )


ROWS_16_BIT = b"".join(
    b"\0" + pixels(48, 128, seed=2).tobytes()[i * 384 :][:384] for i in range(48)
)

USABLE: list[tuple[str, str, bytes, tuple[str, ...]]] = [
    ("JPEG", "a.jpg", JPEG, ()),
    ("upper-case extension", "a.JPG", JPEG, ()),
    ("no extension", "a", JPEG, ()),
    ("PNG", "a.png", PNG, ()),
    ("TIFF", "a.tif", encoded(photo(), "TIFF"), ()),
    ("TIFF, deflate", "a.tiff", encoded(photo(), "TIFF", compression="tiff_deflate"), ()),
    ("BigTIFF", "a.tif", encoded(photo(), "TIFF", big_tiff=True), ()),
    ("BMP", "a.bmp", encoded(photo(), "BMP"), ()),
    ("WebP", "a.webp", encoded(photo(), "WEBP"), ()),
    ("GIF", "a.gif", encoded(photo(), "GIF"), ("palette",)),
    ("progressive JPEG", "a.jpg", encoded(photo(), "JPEG", progressive=True), ()),
    ("PNG named jpg", "a.jpg", PNG, ("extension_mismatch",)),
    ("JPEG named jpg2", "a.jpg2", JPEG, ("extension_mismatch",)),
    ("palette", "a.png", encoded(photo().quantize(16), "PNG"), ("palette",)),
    (
        "palette with transparency",
        "a.png",
        encoded(photo().quantize(16), "PNG", transparency=b"\x00\x80"),
        ("alpha", "palette"),
    ),
    ("transparent colour", "a.png", encoded(photo(), "PNG", transparency=(1, 2, 3)), ("alpha",)),
    (
        "palette index out of range",
        "a.png",
        png(64, 48, 8, 3, (b"\0" + bytes(range(64))) * 48, chunk(b"PLTE", bytes(range(6)))),
        ("palette",),
    ),
    ("alpha", "a.png", encoded(with_alpha(0), "PNG"), ("alpha",)),
    ("opaque alpha", "a.png", encoded(with_alpha(255), "PNG"), ()),
    (
        "grey and alpha",
        "a.png",
        encoded(with_alpha(9).convert("LA"), "PNG"),
        ("alpha", "grayscale"),
    ),
    ("grey", "a.jpg", encoded(photo("L"), "JPEG"), ("grayscale",)),
    ("1 bit", "a.png", encoded(photo("1"), "PNG"), ("grayscale",)),
    ("16-bit grey PNG", "a.png", encoded(sixteen_bit(), "PNG"), ("grayscale", "sixteen_bit")),
    ("16-bit grey TIFF", "a.tif", encoded(sixteen_bit(), "TIFF"), ("grayscale", "sixteen_bit")),
    ("16-bit colour PNG", "a.png", png(64, 48, 16, 2, ROWS_16_BIT), ("sixteen_bit",)),
    ("CMYK", "a.jpg", encoded(photo("CMYK"), "JPEG"), ("cmyk",)),
    ("orientation 6", "a.jpg", with_orientation(6), ("exif_orientation",)),
    ("orientation 2", "a.jpg", with_orientation(2), ("exif_orientation",)),
    ("orientation 1", "a.jpg", with_orientation(1), ()),
    ("orientation 0", "a.jpg", with_orientation(0), ()),
    ("orientation 9", "a.jpg", with_orientation(9), ()),
    ("orientation in words", "a.jpg", with_orientation(b"top\0"), ()),
    ("endless EXIF", "a.jpg", with_orientation(6, next_directory=8), ("exif_orientation",)),
    ("animated GIF", "a.gif", several("GIF"), ("multi_frame", "palette")),
    ("animated PNG", "a.png", several("PNG"), ("multi_frame",)),
    ("animated WebP", "a.webp", several("WEBP"), ("multi_frame",)),
    ("pages of TIFF", "a.tif", several("TIFF"), ("multi_frame",)),
    ("MPO", "a.jpg", several("MPO"), ("multi_frame",)),
    ("fill bytes", "a.jpg", JPEG.replace(b"\xff\xdb", b"\xff" * 999 + b"\xff\xdb", 1), ()),
    ("JPEG with a ZIP behind", "a.jpg", JPEG + b"PK\x03\x04" + bytes(100), ()),
    ("JPEG with a script in it", "a.jpg", encoded(photo(), "JPEG", comment=b"<script>"), ()),
    ("black", "a.png", encoded(Image.new("RGB", (64, 48)), "PNG"), ("blank",)),
    ("1 x 1", "a.png", encoded(Image.new("RGB", (1, 1)), "PNG"), ("blank", "tiny")),
    ("1 x 5000", "a.png", encoded(Image.fromarray(pixels(1, 5000)), "PNG"), ("tiny",)),
]

UNUSABLE: list[tuple[str, str, bytes, str]] = [
    ("zero bytes", "a.jpg", b"", "empty"),
    ("HTML", "a.jpg", b"<!DOCTYPE html><title>Log in</title>", "not_an_image"),
    ("text", "a.png", b"404 Not Found", "not_an_image"),
    ("AppleDouble", "._a.jpg", b"\0\5\x16\7\0\2\0\0Mac OS X        ", "not_an_image"),
    ("half a JPEG", "a.jpg", JPEG[: len(JPEG) // 2], "truncated"),
    ("half a progressive JPEG", "a.jpg", many_scans()[:2000], "truncated"),
    ("JPEG header only", "a.jpg", JPEG[:20], "damaged"),
    ("half a PNG", "a.png", PNG[: len(PNG) // 2], "truncated"),
    ("half a BMP", "a.bmp", encoded(photo(), "BMP")[:3000], "truncated"),
    ("half a GIF", "a.gif", encoded(photo(), "GIF")[:1500], "truncated"),
    ("half a WebP", "a.webp", encoded(photo(), "WEBP")[:500], "damaged"),
    ("half a TIFF", "a.tif", encoded(photo(), "TIFF")[:3000], "truncated"),
    ("PNG, header's checksum wrong", "a.png", flipped(PNG, 20), "damaged"),
    ("PNG, data wrong", "a.png", flipped(PNG, 60), "damaged"),
    ("JPEG 2000", "a.jp2", encoded(photo(), "JPEG2000"), "unsupported_format"),
    ("JPEG 2000 named jpg", "a.jpg", encoded(photo(), "JPEG2000"), "unsupported_format"),
    ("AVIF or HEIC", "a.heic", b"\0\0\0\x18ftypheic" + bytes(99), "unsupported_format"),
    ("SVG", "a.svg", b'<?xml version="1.0"?><svg onload="x()"/>', "unsupported_format"),
    ("EPS", "a.png", b"%!PS-Adobe-3.0 EPSF-3.0\n(x) show", "unsupported_format"),
    ("PDF", "a.jpg", b"%PDF-1.7\n" + bytes(99), "unsupported_format"),
    ("PSD", "a.psd", b"8BPS\0\1" + bytes(99), "unsupported_format"),
    ("DICOM", "a.dcm", bytes(128) + b"DICM" + bytes(99), "unsupported_format"),
    ("float TIFF", "a.tif", encoded(Image.new("F", (40, 40)), "TIFF"), "unsupported_mode"),
    ("32-bit TIFF", "a.tif", encoded(Image.new("I", (40, 40)), "TIFF"), "unsupported_mode"),
    ("Lab TIFF", "a.tif", encoded(photo("LAB"), "TIFF"), "unsupported_mode"),
    ("88 megapixels in 11 KB", "a.png", png(11_000, 8_000, 1, 0, b""), "too_large"),
    ("200 megapixels", "a.png", png(20_000, 10_000, 8, 0, b""), "too_large"),
    ("6,000,000 megapixels", "a.bmp", huge_bmp(), "too_large"),
    ("200 scans", "a.jpg", many_scans(), "too_many_scans"),
    ("20 scans of 48 megapixels", "a.jpg", many_scans(20, 8000, 6000), "too_many_scans"),
    ("40 MB of fill bytes", "a.jpg", b"\xff\xd8" + b"\xff" * 40_000_000, "damaged"),
    ("100,000 empty comments", "a.jpg", b"\xff\xd8" + b"\xff\xfe\0\2" * 100_000, "damaged"),
    ("100,000 stuffed bytes", "a.jpg", b"\xff\xd8" + b"\xff\0" * 100_000, "damaged"),
    (
        "text that unpacks to 128 MB",
        "a.png",
        png(64, 48, 8, 2, b"", *[chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(2**27)))]),
        "damaged",
    ),
]


def named(cases: list[Any]) -> Any:
    return [pytest.param(*case[1:], id=case[0]) for case in cases]


@pytest.fixture
def file(tmp_path: Path) -> Callable[[str, bytes], Path]:
    def write(name: str, content: bytes) -> Path:
        (tmp_path / name).write_bytes(content)
        return tmp_path / name

    return write


@pytest.mark.parametrize(("name", "content", "reasons"), named(USABLE))
@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_an_odd_image_is_used_as_training_uses_it_and_flagged(
    name: str, content: bytes, reasons: tuple[str, ...], file: Callable[[str, bytes], Path]
) -> None:
    path = file(name, content)
    decoded = read_image(path)
    assert decoded.reasons == reasons
    assert decoded.status == ("flagged" if reasons else "ok")
    assert decoded.image is not None
    assert decoded.image.dtype == np.uint8
    if "sixteen_bit" not in reasons:
        with Image.open(path) as opened:  # what torchvision's ImageFolder does
            expected = np.asarray(opened.convert("RGB"))
        assert np.array_equal(decoded.image, expected)
        assert decoded.original_size == (expected.shape[1], expected.shape[0])


@pytest.mark.parametrize(("name", "content", "reason"), named(UNUSABLE))
@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_an_unusable_image_is_skipped_with_its_reason(
    name: str, content: bytes, reason: str, file: Callable[[str, bytes], Path]
) -> None:
    started = time.monotonic()
    decoded = read_image(file(name, content))
    assert (decoded.status, decoded.reasons, decoded.image) == ("skipped", (reason,), None)
    assert time.monotonic() - started < 5


def test_sixteen_bits_are_scaled_and_not_clipped(file: Callable[[str, bytes], Path]) -> None:
    image = read_image(file("a.png", encoded(sixteen_bit(), "PNG"))).image
    assert image is not None
    expected = np.rint(np.asarray(sixteen_bit()) / 257)
    assert np.array_equal(image[:, :, 1], expected)
    assert (image[:, :, 0] == image[:, :, 2]).all()


def test_a_size_too_large_is_told_from_the_header(file: Callable[[str, bytes], Path]) -> None:
    path = file("a.png", PNG)
    assert read_image(path, max_pixels=48 * 64).status == "ok"
    refused = read_image(path, max_pixels=48 * 64 - 1)
    assert (refused.reasons, refused.original_size) == (("too_large",), (64, 48))


def test_what_is_no_file_is_refused_without_hanging(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "folder.jpg").mkdir()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "socket.jpg"))
        for name in ("pipe.jpg", "folder.jpg", "socket.jpg", "/dev/zero"):
            assert read_image(tmp_path / name).reasons == ("not_a_file",), name
    assert read_image(tmp_path / "absent.jpg").reasons == ("missing",)
    assert read_image(tmp_path / ("x" * 300)).reasons == ("unreadable",)
    assert read_image(str(tmp_path / "nul\0.jpg")).status == "skipped"
    (tmp_path / "loop.jpg").symlink_to(tmp_path / "loop.jpg")
    assert read_image(tmp_path / "loop.jpg").reasons == ("unreadable",)


def test_a_file_that_may_not_be_read_is_skipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden(*_: Any) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", forbidden)
    assert read_image(tmp_path / "a.jpg").reasons == ("no_permission",)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (MemoryError(), "out_of_memory"),
        (RecursionError("maximum recursion depth"), "damaged"),
        (OSError(5, "Input/output error"), "unreadable"),
        (SyntaxError("broken PNG file"), "damaged"),
    ],
)
def test_whatever_a_decoder_raises_is_a_reason(
    error: Exception,
    reason: str,
    file: Callable[[str, bytes], Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(*_: Any) -> None:
        raise error

    monkeypatch.setattr(ImageFile.ImageFile, "load", broken)
    assert read_image(file("a.bmp", encoded(photo(), "BMP"))).reasons == (reason,)


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc to see open files")
def test_no_file_stays_open(file: Callable[[str, bytes], Path]) -> None:
    open_files = Path("/proc/self/fd")
    before = len(list(open_files.iterdir()))
    for name, content in (("a.jpg", JPEG), ("b.tif", several("TIFF")), ("c.jpg", b"x"), ("d", b"")):
        read_image(file(name, content))
    assert len(list(open_files.iterdir())) == before


def test_shrinking_keeps_the_shape_and_leaves_small_images_alone() -> None:
    image = pixels(300, 150)
    assert shrink(image, 300) is image
    assert shrink(image, 100).shape == (100, 50, 3)
    assert shrink(pixels(2000, 1)).shape == (1024, 1, 3)
    flat = np.full((3000, 2000, 3), 77, np.uint8)
    assert (shrink(flat) == 77).all()
    checkers = (np.indices((512, 512)).sum(axis=0) % 2 * 255).astype(np.uint8)
    grey = shrink(np.repeat(checkers[:, :, None], 3, axis=2), 128)
    assert np.abs(grey[4:-4, 4:-4].astype(int) - 127).max() <= 2  # averaged, not picked


def test_a_palette_with_transparency_is_read_without_a_warning(
    tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    picture = Image.fromarray(pixels(48, 48)).quantize(32)
    picture.save(tmp_path / "p.png", transparency=bytes([0] * 8 + [255] * 24))
    assert read_image(tmp_path / "p.png").image is not None
    assert not recwarn.list
