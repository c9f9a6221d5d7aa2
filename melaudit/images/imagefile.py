"""Decode an image file of unknown quality into RGB pixels, or say why that is not possible.

The pixels are those of `Image.open(path).convert("RGB")`, as in training loaders such as
ImageFolder, because an audit must show the model what it was trained on. So alpha is dropped and
the colours under it appear, palettes are looked up, CMYK is converted without a profile, only the
first of several frames is read, and colour profiles and EXIF orientation are ignored. Each of these
is flagged. One thing differs on purpose: 16-bit grey is scaled to 8 bits, where `convert` would
clip it to white; which of its values is white is the caller's to say (see `grey_depth`).

Reasons to flag: above_white (16-bit values above white, shown as white), alpha, blank (one colour),
cmyk, exif_orientation, extension_mismatch, grayscale, multi_frame, palette, sixteen_bit, tiny (a
side under 32 pixels).
Reasons to skip: missing, no_permission, not_a_file (folder, pipe, device), unreadable, empty,
not_an_image, unsupported_format (known, but not decoded), unsupported_mode (float, Lab),
too_large, too_many_scans (a JPEG built to take hours), too_slow, truncated, damaged, out_of_memory.
A stream of images adds two: decoder_died and decoder_hangs.
"""

# Long because: what a file can be, and what is wrong with it, is one list that is read together.

from __future__ import annotations

import errno
import os
import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageFile, UnidentifiedImageError

from melaudit.errors import MelauditError
from melaudit.images.limits import OutOfTimeError, limited
from melaudit.images.storage.reading import opened
from melaudit.images.storage.stored import RefusedError, suffix_of

FORMATS = ("JPEG", "PNG", "TIFF", "BMP", "WEBP", "GIF")
"""The formats that are decoded; the decoders of others are used too rarely to be trusted with
hostile files."""

SUFFIXES = {
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".jpe": "JPEG",
    ".jfif": "JPEG",
    ".png": "PNG",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".bmp": "BMP",
    ".webp": "WEBP",
    ".gif": "GIF",
}
"""File name extensions of `FORMATS`, in lower case."""

Status = Literal["ok", "flagged", "skipped"]

_MAGIC = (  # offset and first bytes of the formats that are decoded
    (0, b"\xff\xd8\xff"),
    (0, b"\x89PNG"),
    (0, b"II*\0"),
    (0, b"MM\0*"),
    (0, b"II+\0"),
    (0, b"MM\0+"),
    (0, b"BM"),
    (8, b"WEBP"),
    (0, b"GIF8"),
)
_FOREIGN_MAGIC = (  # and of known formats that are not
    (4, b"ftyp"),  # HEIC, AVIF
    (4, b"jP  "),  # JPEG 2000
    (0, b"\xff\x4f\xff\x51"),
    (0, b"8BPS"),
    (0, b"%PDF"),
    (0, b"%!PS"),
    (0, b"\xc5\xd0\xd3\xc6"),  # EPS with a preview
    (128, b"DICM"),
    (0, b"<svg"),
    (0, b"\x89HDF"),
    (0, b"SIMPLE"),  # FITS
)
_SIXTEEN_BIT = ("I;16", "I;16L", "I;16B", "I;16N")
FULL_WHITE = 2**16 - 1
"""White, where all 16 bits count."""
_TIFF_LARGEST = (281, 341)
"""Tags MaxSampleValue and SMaxSampleValue."""
_MAX_CHUNKS = 100
"""Chunks of a PNG that are passed over. Chosen: a round figure, not measured; five are usual."""
_EIGHT_BIT = ("1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr")
_MAX_SCANS = 100
"""Scans of a progressive JPEG; each is a pass over all pixels. Chosen: a round figure, not
measured."""
_MAX_SCANNED_PIXELS = 640_000_000
"""Pixels times scans. Chosen: the largest image that is decoded by default, in the ten scans that
cameras and editors write; 5 seconds of one processor."""
_MAX_SEGMENTS = 10_000
_MAX_FILL = 2**16
"""Segments before the pixels of a JPEG, and fill bytes before one of them. Chosen: round figures,
not measured; photographs have about ten segments, and no fill bytes."""
_MIN_SIDE = 32
"""Pixels of a side below which an image is flagged as tiny. Chosen: a round figure, not
measured."""


@dataclass(frozen=True, eq=False)
class Decoded:
    """The result of decoding one image file."""

    image: NDArray[np.uint8] | None
    """(h, w, 3) RGB; None if skipped."""
    status: Status
    reasons: tuple[str, ...]
    """Stable codes, listed in the module docstring; empty if ok."""
    original_size: tuple[int, int] | None
    """(width, height) in pixels; None if the file could not be read that far."""
    content: bytes = b""
    """SHA-256 of the file's bytes; empty if they could not be read."""
    highest: int | None = None
    """The largest value of a 16-bit grey image, before it is scaled; None of any other."""
    declared_white: int | None = None
    """The value of a 16-bit grey image that is white, if the file says so."""


class Read(Protocol):
    """What decodes an image file, here or in another process."""

    def __call__(self, path: str, *, white: int = FULL_WHITE) -> Decoded:
        """Return the image of a file, as `read_image` does."""


def read_image(
    path: str | Path, *, max_pixels: int = 64_000_000, white: int = FULL_WHITE
) -> Decoded:
    """Decode an image completely; a fault of it is never raised, but returned.

    An image of more than `max_pixels` is refused by its header, before memory is allocated.
    `white` is the value of a 16-bit grey image that becomes 255. Raises DatasetError where an
    address does not answer.
    """
    content = b""
    try:
        with opened(path) as (file, content), limited():
            decoded = _decode(file, suffix_of(path), max_pixels, white)
        return replace(decoded, content=content)
    except MelauditError:  # an address does not answer: nothing is wrong with the image
        raise
    except RefusedError as refused:
        return Decoded(None, "skipped", (refused.reason,), refused.size, content)
    except Exception as error:  # decoders raise anything: SyntaxError, TypeError, struct.error...
        return Decoded(None, "skipped", (_reason(error),), None, content)


def shrink(image: NDArray[np.uint8], longest: int = 1024) -> NDArray[np.uint8]:
    """Return an image (h, w, 3) whose longer side has at most `longest` pixels."""
    height, width = image.shape[:2]
    scale = longest / max(height, width)
    if scale >= 1:
        return image
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    picture = Image.fromarray(image)
    return np.array(picture.resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0))


def _decode(file: IO[bytes], suffix: str, max_pixels: int, white: int) -> Decoded:
    _check_segments(file)
    try:
        picture = Image.open(file, formats=FORMATS)
    except UnidentifiedImageError:
        file.seek(0)
        raise RefusedError(_unidentified(file.read(256))) from None
    if picture.width * picture.height > max_pixels:
        raise RefusedError("too_large", picture.size)
    if picture.format in ("JPEG", "MPO"):
        scans = _scans(file)
        if scans > min(_MAX_SCANS, _MAX_SCANNED_PIXELS / (picture.width * picture.height)):
            raise RefusedError("too_many_scans", picture.size)
    raw_mode = _raw_mode(picture)
    highest = declared = None
    try:
        picture.load()
    except Exception as error:
        raise RefusedError(_reason(error), picture.size) from error
    top = white
    if picture.mode in _SIXTEEN_BIT:
        values = np.asarray(picture)
        highest, declared = int(values.max()), _declared_white(picture, raw_mode, file)
        top = 2**12 - 1 if raw_mode.endswith("12") else white  # those are truly of 12 bits
        image = _scaled(values, top)
    elif picture.mode in _EIGHT_BIT:
        with warnings.catch_warnings():  # a palette with transparency: its colours are what counts
            warnings.simplefilter("ignore", UserWarning)
            image = np.array(picture.convert("RGB"))
    else:
        raise RefusedError("unsupported_mode", picture.size)
    odd = _oddities(picture, image, raw_mode, suffix)
    reasons = tuple(sorted({*odd, *(["above_white"] if (highest or 0) > top else [])}))
    status: Status = "flagged" if reasons else "ok"
    return Decoded(image, status, reasons, picture.size, highest=highest, declared_white=declared)


def _declared_white(picture: ImageFile.ImageFile, raw_mode: str, file: IO[bytes]) -> int | None:
    """Return the largest value that a 16-bit grey file says it may hold; None if it says nothing.

    TIFF has tags for it (MaxSampleValue and SMaxSampleValue), and PNG a chunk of significant bits.
    """
    if raw_mode.endswith("12"):
        return 2**12 - 1
    tags = getattr(picture, "tag_v2", {})
    for tag in _TIFF_LARGEST:
        value = tags.get(tag)
        value = value[0] if isinstance(value, tuple) and value else value
        if isinstance(value, int) and 0 < value <= FULL_WHITE:
            return value
    if picture.format == "PNG":
        bits = _significant_bits(file)
        return 2**bits - 1 if bits else None
    return None


def _significant_bits(file: IO[bytes]) -> int:
    """Return what the chunk sBIT of a grey PNG says, 1 to 16; 0 if there is none."""
    file.seek(len(b"\x89PNG\r\n\x1a\n"))
    for _ in range(_MAX_CHUNKS):
        head = file.read(8)
        length, kind = int.from_bytes(head[:4], "big"), head[4:]
        if kind == b"sBIT":
            bits = file.read(1)
            return bits[0] if bits and 1 <= bits[0] <= 16 else 0
        if len(head) < 8 or kind in (b"IDAT", b"IEND"):  # it stands before the pixels
            return 0
        file.seek(length + 4, os.SEEK_CUR)
    return 0


def _oddities(
    picture: ImageFile.ImageFile, image: NDArray[np.uint8], raw_mode: str, suffix: str
) -> set[str]:
    """Return what is unusual about an image that can still be used."""
    mode = picture.mode
    tests = {
        "grayscale": mode in ("1", "L", "LA", "La", *_SIXTEEN_BIT) or raw_mode == "LA;16B",
        "alpha": _transparent(picture),
        "palette": mode in ("P", "PA"),
        "cmyk": mode == "CMYK",
        "sixteen_bit": mode in _SIXTEEN_BIT or ";16" in raw_mode,
        "tiny": min(picture.size) < _MIN_SIDE,
        # Most images already differ on this sparse grid.
        "blank": _one_colour(image[::16, ::16]) and _one_colour(image),
        "extension_mismatch": SUFFIXES.get(suffix, "")
        != (picture.format or "").replace("MPO", "JPEG")
        and bool(suffix),
        "exif_orientation": _orientation(picture) in range(2, 9),
        "multi_frame": _several_frames(picture),
    }
    return {reason for reason, seen in tests.items() if seen}


def _raw_mode(picture: ImageFile.ImageFile) -> str:
    """Return how the file stores its pixels; `mode` does not tell for 16-bit colour."""
    if not picture.tile:
        return ""
    args = picture.tile[0].args
    return str(args[0] if isinstance(args, tuple) and args else args)


def _scaled(values: NDArray[np.uint16], top: int) -> NDArray[np.uint8]:
    """Scale grey values from 0 to `top` (h, w) to 8-bit RGB (h, w, 3)."""
    grey = (values.astype(np.uint32) * 255 + top // 2) // top
    return np.repeat(grey.clip(max=255).astype(np.uint8)[:, :, None], 3, axis=2)


def _one_colour(image: NDArray[np.uint8]) -> bool:
    return bool((image == image[0, 0]).all())


def _transparent(picture: Image.Image) -> bool:
    """Tell whether any pixel is not opaque; an alpha channel that hides nothing does not count."""
    if "transparency" in picture.info:
        return True
    if picture.mode not in ("LA", "La", "PA", "RGBA", "RGBa"):
        return False
    lowest, _ = picture.getchannel(picture.getbands()[-1]).getextrema()
    return isinstance(lowest, int | float) and lowest < 255


def _orientation(picture: Image.Image) -> object:
    try:
        return picture.getexif().get(ExifTags.Base.Orientation)
    except Exception:  # a good image with broken metadata
        return None


def _several_frames(picture: ImageFile.ImageFile) -> bool:
    # Not `n_frames`, which reads all of them.
    try:
        return bool(getattr(picture, "is_animated", False))
    except Exception:  # the second frame is broken, so there is one
        return True


def _scans(file: IO[bytes]) -> int:
    """Count the scans of a JPEG: the two bytes of the marker cannot occur within coded data."""
    place = file.tell()
    file.seek(0)
    count = file.read().count(b"\xff\xda")
    file.seek(place)
    return count


def _check_segments(file: IO[bytes]) -> None:
    """Refuse a JPEG with so many segments or fill bytes that only reading them takes minutes."""
    place = 2 if file.read(2) == b"\xff\xd8" else None
    for _ in range(_MAX_SEGMENTS):
        if place is None:
            break
        place = _next_segment(file, place)
    file.seek(0)
    if place is not None:
        raise RefusedError("damaged")


def _next_segment(file: IO[bytes], place: int) -> int | None:
    """Return where the segment after the one at `place` begins; None where there is none to read.

    A marker is 0xFF, perhaps repeated, and a code; its length in two bytes follows (ITU T.81, B.1).
    """
    file.seek(place)
    head = file.read(4)
    if head[:2] == b"\xff\xff":
        file.seek(place)
        fill = file.read(_MAX_FILL)
        filled = len(fill) - len(fill.lstrip(b"\xff"))
        if filled == _MAX_FILL:
            raise RefusedError("damaged")
        place += filled - 1
        file.seek(place)
        head = file.read(4)
    if len(head) < 4 or head[0] != 0xFF or head[1] in (0xDA, 0xD9):  # pixels, the end, or garbage
        return None
    alone = head[1] in (0x00, 0x01) or 0xD0 <= head[1] <= 0xD8
    return place + (2 if alone else 2 + int.from_bytes(head[2:], "big"))


def _unidentified(head: bytes) -> str:
    if any(head[at : at + len(magic)] == magic for at, magic in _MAGIC):
        return "damaged"
    if any(head[at : at + len(magic)] == magic for at, magic in _FOREIGN_MAGIC):
        return "unsupported_format"
    return "unsupported_format" if b"<svg" in head.lower() else "not_an_image"


def _reason(error: Exception) -> str:
    if isinstance(error, MemoryError):
        return "out_of_memory"
    if isinstance(error, OutOfTimeError):
        return "too_slow"
    if isinstance(error, Image.DecompressionBombError | Image.DecompressionBombWarning):
        return "too_large"
    if isinstance(error, FileNotFoundError):
        return "missing"
    if isinstance(error, PermissionError):
        return "no_permission"
    # EINVAL means that a decoder was sent to a place before the beginning of the file.
    if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
        return "not_a_file" if error.errno in (errno.ENXIO, errno.EISDIR) else "unreadable"
    return "truncated" if "truncated" in str(error).lower() else "damaged"
