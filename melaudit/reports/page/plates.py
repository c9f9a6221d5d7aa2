"""The pictures of a page (plates): each embedded once however often it is shown, within a budget.

No browser opens a page with 3,000 suspicious images, so there is a limit on tiles and on bytes.
What does not fit is counted, and the page says so where it is missing.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from melaudit.reports.interface import Exhibit
from melaudit.reports.page import heatmap

MAX_TILES = 600
MAX_BYTES = 7_500_000
"""Of data URIs; the rest of 10 MB is for the text."""
MAX_SIDE = 256


@dataclass(frozen=True)
class Plate:
    """One embedded picture, drawn wherever the page refers to its id."""

    id: str
    """A counter, never a file name."""
    width: int
    height: int
    """Size of the drawing; a map is drawn as large as its photograph."""
    uri: str
    blocks: bool
    """Whether its pixels are drawn as blocks and not smoothed."""

    @property
    def box(self) -> tuple[str, str, str, str]:
        """(x, y, width, height) of the drawing, whole and centred in a square of side 100."""
        longer = max(self.width, self.height)
        width, height = 100 * self.width / longer, 100 * self.height / longer
        x, y = (100 - width) / 2, (100 - height) / 2
        return f"{x:.4g}", f"{y:.4g}", f"{width:.4g}", f"{height:.4g}"


class Plates:
    """Collects the pictures that a page shows, until the budget is spent."""

    def __init__(
        self,
        exhibits: Mapping[str, Exhibit],
        *,
        max_tiles: int = MAX_TILES,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        self._exhibits = exhibits
        self._max_tiles = max_tiles
        self._max_bytes = max_bytes
        self._plates: dict[str, Plate] = {}
        self._bytes = 0
        self._tiles = 0
        self._left_out: set[str] = set()

    @property
    def all(self) -> tuple[Plate, ...]:
        """The pictures in the order they were first asked for."""
        return tuple(self._plates.values())

    @property
    def left_out(self) -> int:
        """Pictures that were asked for and did not fit."""
        return len(self._left_out)

    def picture(self, webp: bytes, key: str) -> Plate | None:
        """Embed a photograph once per key; None when the budget is spent."""
        if key not in self._plates:
            clean, (width, height) = _clean(webp)
            self._add(key, Plate(self._next("p"), width, height, heatmap.data_uri(clean), False))
        return self._plates.get(key)

    def map(
        self,
        values: NDArray[np.floating],
        key: str,
        *,
        full: float | None = None,
        like: Plate | None = None,
    ) -> Plate | None:
        """Embed a relevance map (h, w), sized `like` its photograph; None when it does not fit."""
        if key not in self._plates:
            height, width = values.shape
            webp = heatmap.overlay(values, full)
            plate = Plate(
                self._next("m"),
                like.width if like else width,
                like.height if like else height,
                heatmap.data_uri(webp),
                heatmap.is_coarse(values),
            )
            self._add(key, plate)
        return self._plates.get(key)

    def exhibit(self, image: str) -> tuple[Exhibit, Plate] | None:
        """Embed the photograph of an image id; None when there is none or it does not fit."""
        exhibit = self._exhibits.get(image)
        if exhibit is None:
            return None
        plate = self.picture(exhibit.picture, f"picture:{image}")
        return None if plate is None else (exhibit, plate)

    def _next(self, kind: str) -> str:
        return f"{kind}{len(self._plates) + 1}"

    def _add(self, key: str, plate: Plate) -> None:
        fits = self._tiles < self._max_tiles and self._bytes + len(plate.uri) <= self._max_bytes
        if not fits:
            self._left_out.add(key)
            return
        self._plates[key] = plate
        self._tiles += 1
        self._bytes += len(plate.uri)


def _clean(webp: bytes) -> tuple[bytes, tuple[int, int]]:
    """Return a photograph as WebP of at most 256 x 256 without metadata, and its (width, height).

    Raises ValueError when the bytes are no WebP image.
    """
    try:
        with Image.open(io.BytesIO(webp), formats=["WEBP"]) as image:
            bare = not ({"exif", "icc_profile", "xmp"} & set(image.info))
            if bare and max(image.size) <= MAX_SIDE:
                image.load()
                return webp, image.size
            shrunk = image.convert("RGB")
    except (UnidentifiedImageError, OSError) as error:
        raise ValueError("a picture of the record is no WebP image; build it again") from error
    shrunk.thumbnail((MAX_SIDE, MAX_SIDE))
    pixels = np.asarray(shrunk)
    return heatmap.encode(pixels), shrunk.size
