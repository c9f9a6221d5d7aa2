"""Concept strips and the gallery: what single channels answer to, and typical images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from melaudit.reports import heatmap, wording
from melaudit.reports.interface import ConceptStrip, Record
from melaudit.reports.plates import Plates
from melaudit.reports.sections.tiles import Tile, Tiles, tile, tiles
from melaudit.reports.sections.trust import CheckRow, check_row

MAX_STRIPS = 8
MAX_CHANNELS = 12
MAX_GROUPS = 12
PER_GROUP = 6

NEAR_ZERO = 0.05
"""A channel whose strongest relevance is below this share of the strip's is called near zero."""


@dataclass(frozen=True)
class ChannelView:
    """One channel's conditional map."""

    map: str
    title: str
    share: str
    faint: bool
    """Whether next to nothing goes through this channel."""
    alt: str


@dataclass(frozen=True)
class StripView:
    """One image and the maps of its channels on one scale."""

    tile: Tile
    layer: str
    channels: tuple[ChannelView, ...]
    note: str


@dataclass(frozen=True)
class ConceptSection:
    """The strips, and whether the channels' maps may be believed."""

    strips: tuple[StripView, ...]
    checks: tuple[CheckRow, ...]
    """What the checks of the channels' maps said."""


@dataclass(frozen=True)
class GroupView:
    """A titled row of images."""

    title: str
    statement: str
    tiles: Tiles


def concepts(record: Record, plates: Plates, *, maps: bool) -> ConceptSection:
    """Return the concept strips."""
    shown = [_strip(s, plates, maps) for s in record.strips[:MAX_STRIPS]]
    own = [c for c in record.findings.explanations.checks if c.id.startswith("channel_")]
    return ConceptSection(
        tuple(s for s in shown if s is not None), tuple(check_row(c) for c in own)
    )


def gallery(record: Record, plates: Plates, *, maps: bool) -> tuple[GroupView, ...]:
    """Return the groups of typical images."""
    return tuple(
        GroupView(g.title, g.statement, tiles(plates, g.images, PER_GROUP, maps=maps))
        for g in record.gallery[:MAX_GROUPS]
    )


def _strip(strip: ConceptStrip, plates: Plates, maps: bool) -> StripView | None:
    whole = tile(plates, strip.image, maps=maps)
    if whole is None or not len(strip.maps):
        return None
    found = plates.exhibit(strip.image)
    like = found[1] if found else None
    # One scale for the whole strip: a faint channel must look faint.
    full = heatmap.scale(strip.maps)
    strongest = float(np.nanmax(np.abs(strip.maps.astype(np.float64)), initial=0.0)) or 1.0
    views = []
    for channel, share, values in zip(
        strip.channels[:MAX_CHANNELS], strip.shares, strip.maps, strict=False
    ):
        key = f"strip:{strip.image}:{strip.layer}:{channel}"
        plate = plates.map(values, key, full=full, like=like)
        if plate is None:
            break
        faint = float(np.nanmax(np.abs(values.astype(np.float64)), initial=0)) < (
            NEAR_ZERO * strongest
        )
        part = wording.percent(share, 1)
        where = heatmap.border_share(values)
        alt = f"Map of channel {channel}, {part} of the explained output"
        if where is not None and not faint:
            alt += f"; {wording.percent(where)} of it lies at the border"
        views.append(ChannelView(plate.id, f"channel {channel}", part, faint, alt))
    if not views:
        return None
    left = len(strip.channels) - len(views)
    note = f"{wording.plural(left, 'more channel')} not shown." if left > 0 else ""
    return StripView(whole, strip.layer, tuple(views), note)
