"""Tests of the pictures' budget."""

import io

import numpy as np
import pytest
from PIL import Image

from melaudit.reports.interface import Record
from melaudit.reports.page.plates import Plates


def test_a_picture_shown_twice_is_embedded_once(records: dict[str, Record]) -> None:
    record = records["ring"]
    image = next(iter(record.exhibits))
    plates = Plates(record.exhibits)

    first, second = plates.exhibit(image), plates.exhibit(image)

    assert first == second is not None
    assert len(plates.all) == 1


def test_ids_are_counters_and_never_names(records: dict[str, Record]) -> None:
    plates = Plates(records["hostile"].exhibits)
    for image in records["hostile"].exhibits:
        plates.exhibit(image)

    assert all(plate.id[0] in "pm" and plate.id[1:].isdigit() for plate in plates.all)


def test_what_does_not_fit_is_left_out_and_counted(records: dict[str, Record]) -> None:
    exhibits = records["ring"].exhibits
    plates = Plates(exhibits, max_tiles=5)

    shown = [plates.exhibit(image) for image in exhibits]

    assert sum(one is not None for one in shown) == 5
    assert plates.left_out == len(exhibits) - 5


def test_bytes_are_limited_too(records: dict[str, Record]) -> None:
    exhibits = records["ring"].exhibits
    one = len(next(iter(exhibits.values())).picture) * 4 / 3
    plates = Plates(exhibits, max_bytes=int(3.5 * one))

    for image in exhibits:
        plates.exhibit(image)

    assert sum(len(p.uri) for p in plates.all) <= 3.5 * one
    assert plates.left_out > 0


def test_a_picture_with_metadata_or_too_large_is_made_anew() -> None:
    out = io.BytesIO()
    exif = Image.Exif()
    exif[0x010E] = "GPS of a patient"
    Image.new("RGB", (600, 300), "pink").save(out, "WEBP", exif=exif.tobytes())
    plates = Plates({})

    plate = plates.picture(out.getvalue(), "key")

    assert plate is not None
    assert (plate.width, plate.height) == (256, 128)
    assert b"GPS" not in _decoded(plate.uri)


def test_bytes_that_are_no_webp_are_refused() -> None:
    out = io.BytesIO()
    Image.new("RGB", (8, 8)).save(out, "PNG")
    for junk in (b"", b"<svg onload=alert(1)>", out.getvalue()):
        with pytest.raises(ValueError, match="no WebP"):
            Plates({}).picture(junk, "key")


def test_a_map_takes_the_size_of_its_photograph(records: dict[str, Record]) -> None:
    record = records["ring"]
    plates = Plates(record.exhibits)
    found = plates.exhibit(next(iter(record.exhibits)))
    assert found is not None

    plate = plates.map(np.ones((7, 9), np.float16), "map", like=found[1])

    assert plate is not None
    assert (plate.width, plate.height) == (found[1].width, found[1].height)
    assert plate.blocks


def _decoded(uri: str) -> bytes:
    import base64

    return base64.b64decode(uri.split(",", 1)[1])
