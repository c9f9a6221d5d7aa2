"""Methods and channels: what single channels respond to, and one decision by several methods."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from melaudit import wording
from melaudit.findings import Concept
from melaudit.reports.interface import ConceptStrip, Detail, Record, SecondOpinion
from melaudit.reports.page import heatmap
from melaudit.reports.page.plates import Plates
from melaudit.reports.page.sections.pictures import DetailView, detail_view
from melaudit.reports.page.sections.tiles import Tile, tile
from melaudit.reports.page.sections.trust import CheckRow, check_row

MAX_STRIPS = 8
MAX_CHANNELS = 12
MAX_CARDS = 8

NEAR_ZERO = 0.05
"""A channel whose strongest relevance is below this share of the strip's is called near zero.
Chosen: a round figure, not measured."""

MAX_BROKEN = 4
"""Channels in the row that shows how broken maps would look."""

MIN_VALUES = 4
"""Values along a side from which a Grad-CAM map is shown. Chosen: a round figure, not measured;
2 by 2 blocks say no more than which quarter."""
MIN_UNCHANGED = 0.9
"""From this agreement on, counting attention in hardly changes the map. Chosen: a round figure, not
measured."""


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
    """The map that one method gives of the image, over its photograph."""

    map: str
    title: str
    agrees: str
    """With which other map it agrees, and how closely."""
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
    """The same channels as they would look if relevance leaked round them: each the whole map."""


@dataclass(frozen=True)
class ConceptCard:
    """A channel that matters."""

    anchor: str
    title: str
    why: str
    facts: tuple[tuple[str, str], ...]
    """(what, figure)."""
    details: tuple[DetailView, ...]


@dataclass(frozen=True)
class ConceptSection:
    """Channels that matter, the strips, and whether the channels' maps may be believed."""

    cards: tuple[ConceptCard, ...]
    strips: tuple[StripView, ...]
    checks: tuple[CheckRow, ...]
    """The checks that test the maps of channels."""


def concepts(record: Record, plates: Plates, *, maps: bool) -> ConceptSection:
    """Return the cards of channels and the strips, within the budget of pictures."""
    opinions = {(o.image, o.layer): o for o in record.opinions}
    shown = [
        _strip(s, opinions.get((s.image, s.layer)), plates, maps)
        for s in record.strips[:MAX_STRIPS]
    ]
    own = [c for c in record.findings.explanations.checks if c.id.startswith("channel_")]
    return ConceptSection(
        _cards(record, plates) if maps else (),
        tuple(s for s in shown if s is not None),
        tuple(check_row(c, record.findings) for c in own),
    )


def anchor(channel: int, predicted: str, record: Record) -> str | None:
    """Return the anchor of a channel's card; None where it has none."""
    for k, view in enumerate(record.concepts[:MAX_CARDS]):
        if (view.channel, view.predicted) == (channel, predicted):
            return f"channel-{k + 1}"
    return None


def _cards(record: Record, plates: Plates) -> tuple[ConceptCard, ...]:
    """Return the cards of the channels that matter, with what the channel looks at."""
    described = {(c.channel, c.predicted): c for c in record.findings.concepts}
    cards = []
    for k, view in enumerate(record.concepts[:MAX_CARDS]):
        concept = described.get((view.channel, view.predicted))
        if concept is None:
            continue
        details = [
            found
            for i, detail in enumerate(view.details)
            if (found := _detail(detail, f"detail:{k}:{i}", concept, plates)) is not None
        ]
        title = (
            f"Channel {concept.channel}, on images predicted {wording.name(concept.predicted, 32)}"
        )
        why = wording.capitalised(wording.visible_as_code_points(concept.why))
        facts = _facts(concept)
        cards.append(ConceptCard(f"channel-{k + 1}", title, why, facts, tuple(details)))
    return tuple(cards)


def _facts(concept: Concept) -> tuple[tuple[str, str], ...]:
    found = [("Share of the class\u2019s relevance", wording.rounded_percent(concept.share, 2))]
    if concept.outside is not None and concept.others_outside is not None:
        here = wording.rounded_percent(concept.outside)
        there = wording.rounded_percent(concept.others_outside)
        found.append(("Looks outside the central half", f"{here}, other channels {there}"))
    if concept.artifacts:
        shown = [
            f"{wording.human(name)} {wording.rounded_percent(share)}"
            f" (odds ratio {wording.figure(concept.odds_ratios.get(name, float('nan')))})"
            for name, share in concept.artifacts.items()
        ]
        what = f"More frequent on its {wording.many_unbroken(concept.strongest, 'strongest image')}"
        found.append((what, ", ".join(shown)))
    if concept.attention is not None:
        found.append(("The model\u2019s own attention to it", wording.figure(concept.attention)))
    return tuple(found)


def _detail(detail: Detail, key: str, concept: Concept, plates: Plates) -> DetailView | None:
    speaks = heatmap.for_share(detail.relevance)
    says = "empty"
    if speaks is not None:
        says = f"{wording.rounded_percent(speaks)} of it speaks for the class"
    return detail_view(detail, key, f"Map of channel {concept.channel} there: {says}", plates)


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
        shown = wording.rounded_percent(share, 1)
        border = heatmap.border_share(values)
        alt = f"Map of channel {channel}, {shown} of the explained output"
        if border is not None and not faint:
            alt += f"; {wording.rounded_percent(border)} of it lies at the border"
        attended = f"attention {wording.figure(strip.attention[i])}" if strip.attention else ""
        views.append(ChannelView(plate.id, f"channel {channel}", shown, attended, faint, alt))
    if not views:
        return None
    left = len(strip.channels) - len(views)
    notes = [f"{wording.many_unbroken(left, 'more channel')} not shown."] if left > 0 else []
    if strip.attention:
        notes.append(
            "This model weighs its channels itself, so they are chosen and ordered by relevance "
            "times its attention to them."
        )
    note = " ".join(notes)
    second = None if opinion is None else _opinion(opinion, whole, views[0], plates)
    return StripView(whole, strip.layer, tuple(views), note, second, _broken(whole, views))


def _broken(whole: Tile, views: list[ChannelView]) -> tuple[ChannelView, ...]:
    """Return what a leak along a skip connection would make of these channels: one same map."""
    if whole.map is None:
        return ()
    return tuple(
        replace(
            v, map=whole.map, share="", faint=False, alt=f"Made up: {v.title} as a leak shows it"
        )
        for v in views[-MAX_BROKEN:]
    )


def _opinion(
    opinion: SecondOpinion, whole: Tile, strongest: ChannelView, plates: Plates
) -> OpinionView | None:
    """Return the maps of all methods side by side, and how closely they agree, in words."""
    found = plates.exhibit(opinion.image)
    like = found[1] if found else None
    views = [OpinionMap(whole.map, "LRP", "", whole.map_alt)] if whole.map else []
    crp = f"CRP, {strongest.title}"
    views.append(OpinionMap(strongest.map, crp, f"{strongest.share} of the output", strongest.alt))
    height, width = opinion.grad_cam.shape
    if min(height, width) < MIN_VALUES:
        return OpinionView(
            tuple(views),
            f"Grad-CAM has only {width} \u00d7 {height} values for this model: too few to say "
            "where it looks, so it is not shown.",
        )
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
        f"{width} \u00d7 {height} values: agreement with "
        f"LRP {_number(opinion.agreement)}, where 1 means that both rank the places alike and 0 "
        "that they have nothing to do with each other."
    ]
    if opinion.attended is not None:
        value = opinion.attended_agreement
        changes = "hardly changes" if value is not None and value >= MIN_UNCHANGED else "changes"
        sentences.append(
            "The model weighs its channels itself "
            f"({wording.visible_as_code_points(opinion.attention)}); "
            f"counting that in {changes} the Grad-CAM picture: agreement {_number(value)}."
        )
    return OpinionView(tuple(views), " ".join(sentences))


def _number(value: float | None) -> str:
    return "unknown (an empty map)" if value is None else f"{value:.2f}".replace("-", "\u2212")
