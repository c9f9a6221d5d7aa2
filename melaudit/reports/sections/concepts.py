"""Concept strips and the gallery: what single channels answer to, and typical images."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from melaudit.reports import heatmap, wording
from melaudit.reports.interface import ConceptStrip, Record, SecondOpinion
from melaudit.reports.plates import Plates
from melaudit.reports.sections.tiles import Tile, Tiles, tile, tiles
from melaudit.reports.sections.trust import CheckRow, check_row

MAX_STRIPS = 8
MAX_CHANNELS = 12
MAX_GROUPS = 6
PER_GROUP = 5

NEAR_ZERO = 0.05
"""A channel whose strongest relevance is below this share of the strip's is called near zero."""

BROKEN = 4
"""Channels in the row that shows how broken maps would look."""

HARDLY = 0.9
"""From this agreement on, attention hardly changes the picture."""


@dataclass(frozen=True)
class ChannelView:
    """One channel's conditional map."""

    map: str
    title: str
    share: str
    attention: str
    """The model's own weight for it, "" for models without attention."""
    faint: bool
    """Whether next to nothing goes through this channel."""
    alt: str


@dataclass(frozen=True)
class OpinionMap:
    """One method's map of the image, over its photograph."""

    map: str
    title: str
    agrees: str
    """With which other map, and how far."""
    alt: str


@dataclass(frozen=True)
class OpinionView:
    """The image by LRP and by Grad-CAM."""

    maps: tuple[OpinionMap, ...]
    statement: str


@dataclass(frozen=True)
class StripView:
    """One image and the maps of its channels on one scale."""

    tile: Tile
    layer: str
    channels: tuple[ChannelView, ...]
    note: str
    opinion: OpinionView | None = None
    broken: tuple[ChannelView, ...] = ()
    """The same channels as they would look had relevance leaked round them: each the whole map."""


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
    opinions = {(o.image, o.layer): o for o in record.opinions}
    shown = [
        _strip(s, opinions.get((s.image, s.layer)), plates, maps)
        for s in record.strips[:MAX_STRIPS]
    ]
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


def _strip(
    strip: ConceptStrip, opinion: SecondOpinion | None, plates: Plates, maps: bool
) -> StripView | None:
    whole = tile(plates, strip.image, maps=maps)
    if whole is None or not len(strip.maps):
        return None
    found = plates.exhibit(strip.image)
    like = found[1] if found else None
    # One scale for the whole strip: a faint channel must look faint.
    full = heatmap.scale(strip.maps)
    strongest = float(np.nanmax(np.abs(strip.maps.astype(np.float64)), initial=0.0)) or 1.0
    views = []
    for i, (channel, share, values) in enumerate(
        zip(strip.channels[:MAX_CHANNELS], strip.shares, strip.maps, strict=False)
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
        attended = f"attention {wording.figure(strip.attention[i])}" if strip.attention else ""
        views.append(ChannelView(plate.id, f"channel {channel}", part, attended, faint, alt))
    if not views:
        return None
    left = len(strip.channels) - len(views)
    notes = [f"{wording.plural(left, 'more channel')} not shown."] if left > 0 else []
    if strip.attention:
        notes.append(
            "This model weighs its channels itself, so they are chosen and ordered by relevance "
            "times its attention to them."
        )
    note = " ".join(notes)
    second = None if opinion is None else _opinion(opinion, whole, views[0], plates)
    return StripView(whole, strip.layer, tuple(views), note, second, _broken(whole, views))


def _broken(whole: Tile, views: list[ChannelView]) -> tuple[ChannelView, ...]:
    """Return what a leak along a skip connection makes of these channels: one and the same map."""
    if whole.map is None:
        return ()
    return tuple(
        replace(
            v, map=whole.map, share="", faint=False, alt=f"Made up: {v.title} as a leak shows it"
        )
        for v in views[-BROKEN:]
    )


def _opinion(
    opinion: SecondOpinion, whole: Tile, strongest: ChannelView, plates: Plates
) -> OpinionView | None:
    """Return all methods' maps side by side, and a sentence on how far they agree."""
    found = plates.exhibit(opinion.image)
    like = found[1] if found else None
    views = [OpinionMap(whole.map, "LRP", "", whole.map_alt)] if whole.map else []
    crp = f"CRP, {strongest.title}"
    views.append(OpinionMap(strongest.map, crp, f"{strongest.share} of the output", strongest.alt))
    for title, values, other, value in (
        ("Grad-CAM", opinion.grad_cam, "LRP", opinion.agreement),
        ("Grad-CAM with attention", opinion.attended, "Grad-CAM", opinion.attended_agreement),
    ):
        if values is None:
            continue
        plate = plates.map(values, f"{title}:{opinion.image}:{opinion.layer}", like=like)
        if plate is None:
            return None
        agrees = f"agreement with {other} {_number(value)}"
        views.append(OpinionMap(plate.id, title, agrees, f"{title} map, {agrees}"))
    sentences = [
        "The same decision by Grad-CAM, which shares nothing with LRP but the model and has only "
        f"{opinion.grad_cam.shape[1]} \u00d7 {opinion.grad_cam.shape[0]} values: agreement with "
        f"LRP {_number(opinion.agreement)}, where 1 means that both rank the places alike and 0 "
        "that they have nothing to do with each other."
    ]
    if opinion.attended is not None:
        value = opinion.attended_agreement
        changes = "hardly changes" if value is not None and value >= HARDLY else "changes"
        sentences.append(
            f"The model weighs its channels itself ({wording.visible(opinion.attention)}); "
            f"counting that in {changes} the Grad-CAM picture: agreement {_number(value)}."
        )
    return OpinionView(tuple(views), " ".join(sentences))


def _number(value: float | None) -> str:
    return "unknown (an empty map)" if value is None else f"{value:.2f}".replace("-", "\u2212")
