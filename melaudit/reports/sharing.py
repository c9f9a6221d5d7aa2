"""Reports for sharing: without images, or with images too coarse to recognise.

Every figure of the full report stays. Maps stay as well: they show the model, not a patient.
File names are those of the data set, below its folder; no report names a folder of the machine.
"""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from PIL import Image

from melaudit.choices import Sharing
from melaudit.reports.interface import Record

COARSE = 16
"""Cells along the longer side of a blurred photograph: the file holds no finer detail."""

GREY = (200, 200, 200)


NOTICES = {
    Sharing.BLUR: "The images in this copy are blurred beyond recognition, for sharing. Every "
    "figure and every map is that of the full report.",
    Sharing.NO_IMAGES: "This copy shows no images, for sharing: grey stands in their place. "
    "Every figure and every map is that of the full report.",
}


def shared(record: Record, sharing: Sharing) -> Record:
    """Return a record with its photographs as they are, blurred or blank.

    Raises ValueError when a picture of the record is no image.
    """
    if sharing is Sharing.FULL:
        return record
    change = blurred if sharing is Sharing.BLUR else blank
    warnings = tuple(dict.fromkeys((NOTICES[sharing], *record.findings.warnings)))
    findings = replace(record.findings, warnings=warnings)
    changed: Record = _changed(record, change)
    return replace(changed, findings=findings)


def blurred(webp: bytes) -> bytes:
    """Return a photograph of which nothing finer than 1/16 of its longer side is left."""
    photograph = _decoded(webp)
    coarse = photograph.copy()
    # Averaged into a few cells and enlarged again: unlike a blur of pixels, it cannot be undone.
    coarse.thumbnail((COARSE, COARSE), Image.Resampling.BOX, reducing_gap=None)
    return _encoded(coarse.resize(photograph.size, Image.Resampling.BICUBIC))


def blank(webp: bytes) -> bytes:
    """Return a grey picture of the same size."""
    return _encoded(Image.new("RGB", _decoded(webp).size, GREY))


def _changed(value: Any, change: Callable[[bytes], bytes]) -> Any:
    """Change every picture in a record, in whatever field: no new field can be forgotten."""
    if isinstance(value, bytes):
        return change(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
        return replace(value, **{name: _changed(part, change) for name, part in fields.items()})
    if isinstance(value, Mapping):
        return {key: _changed(part, change) for key, part in value.items()}
    if isinstance(value, tuple):
        return tuple(_changed(part, change) for part in value)
    return value


def _decoded(webp: bytes) -> Image.Image:
    try:
        with Image.open(io.BytesIO(webp)) as image:
            return image.convert("RGB")
    except OSError as error:
        raise ValueError("a picture of the record is no image; run the audit again") from error


def _encoded(image: Image.Image) -> bytes:
    out = io.BytesIO()
    image.save(out, "WEBP", quality=75, method=4)
    return out.getvalue()
