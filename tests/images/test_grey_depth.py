"""Which value is white: what files say, else what their values fill, else what the user says."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, TiffImagePlugin

from melaudit.images.grey_depth import FIRST, white_of
from melaudit.images.imagefile import Decoded, read_image


def ramp(top: int) -> NDArray[np.uint16]:
    return np.linspace(0, top, 40 * 50).round().astype(np.uint16).reshape(40, 50)


def png(pixels: NDArray[np.uint16], significant: int | None = None) -> bytes:
    """Return a PNG; with `significant`, a chunk sBIT before the pixels says so many bits."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    data = buffer.getvalue()
    if significant is None:
        return data
    body = b"sBIT" + bytes([significant])
    chunk = struct.pack(">I", 1) + body + struct.pack(">I", zlib.crc32(body))
    return data[:33] + chunk + data[33:]  # after the signature (8) and IHDR (25)


def tiff(pixels: NDArray[np.uint16], largest: int) -> bytes:
    buffer, tags = io.BytesIO(), TiffImagePlugin.ImageFileDirectory_v2()
    tags[281] = largest
    Image.fromarray(pixels).save(buffer, "TIFF", tiffinfo=tags)
    return buffer.getvalue()


def files(folder: Path, *contents: bytes) -> list[str]:
    paths = []
    for place, content in enumerate(contents):
        paths.append(str(folder / f"{place}.{'png' if content[1:4] == b'PNG' else 'tif'}"))
        Path(paths[-1]).write_bytes(content)
    return paths


@pytest.mark.parametrize(
    ("top", "white"),
    [(200, 255), (1023, 1023), (1024, 4095), (4095, 4095), (9000, 16383), (60000, 65535)],
)
def test_values_say_how_many_bits_count(top: int, white: int, tmp_path: Path) -> None:
    found, notes = white_of(files(tmp_path, png(ramp(top)), png(ramp(top // 3))))
    assert found == white
    assert bool(notes) is (white < 65535)  # what was chosen is said, with the option
    assert all(str(white) in note and "--white" in note for note in notes)


@pytest.mark.parametrize("declare", [lambda: png(ramp(900), 12), lambda: tiff(ramp(900), 4095)])
def test_what_the_files_declare_counts_where_all_values_keep_to_it(
    declare: object, tmp_path: Path
) -> None:
    assert callable(declare)
    found, notes = white_of(files(tmp_path, declare()))
    assert found == 4095 and "the files say so" in notes[0]
    # As the standard wants it, values of 12 bits fill all 16: then white is that of 16.
    assert white_of(files(tmp_path, declare(), png(ramp(65520), 12)))[0] == 65535


def test_the_user_knows_better_and_ordinary_files_are_hardly_read(tmp_path: Path) -> None:
    assert white_of(files(tmp_path, png(ramp(900))), given=2000) == (2000, ())
    buffer = io.BytesIO()
    Image.fromarray(ramp(255).astype(np.uint8)).save(buffer, "PNG")
    asked = []
    paths = files(tmp_path, *[buffer.getvalue()] * 20)

    def read(path: str, *, white: int = 65535) -> Decoded:
        asked.append(path)
        return read_image(path, white=white)

    assert white_of(paths, read) == (65535, ())
    assert len(asked) == FIRST


def test_values_above_white_are_white_and_flagged(tmp_path: Path) -> None:
    (path,) = files(tmp_path, png(ramp(5000)))
    decoded = read_image(path, white=4095)
    assert decoded.image is not None
    assert "above_white" in decoded.reasons
    expected = np.rint(np.minimum(ramp(5000), 4095).astype(float) * 255 / 4095)
    assert np.abs(decoded.image[..., 0].astype(float) - expected).max() <= 1
    assert "above_white" not in read_image(path).reasons


def test_a_broken_chunk_says_nothing(tmp_path: Path) -> None:
    (path,) = files(tmp_path, png(ramp(900), 99))
    assert white_of([path])[0] == 1023
