"""Right and wrong: typical images, in groups by label and prediction."""

from __future__ import annotations

from dataclasses import dataclass

from melaudit.reports.interface import Record
from melaudit.reports.page.plates import Plates
from melaudit.reports.page.sections.tiles import Tiles, tile, tiles

MAX_GROUPS = 6
MAX_IMAGES = 5
"""Images of a group."""


@dataclass(frozen=True)
class GalleryGroup:
    """A titled row of images."""

    title: str
    statement: str
    tiles: Tiles


def gallery(record: Record, plates: Plates, *, maps: bool) -> tuple[GalleryGroup, ...]:
    """Return the groups of typical images.

    Where the budget of pictures is too small for all, each group gets its share: a missed melanoma
    is worth more than the fifth that was found.
    """
    groups = record.gallery[:MAX_GROUPS]
    for k in range(MAX_IMAGES):
        for group in groups:
            for image in group.images[k : k + 1]:
                tile(plates, image, maps=maps)
    return tuple(
        GalleryGroup(g.title, g.statement, tiles(plates, g.images, MAX_IMAGES, maps=maps))
        for g in groups
    )
