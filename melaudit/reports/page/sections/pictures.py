"""The pictures that show what a finding claims: an edited image beside itself, and details."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from melaudit import wording
from melaudit.findings import Finding
from melaudit.reports.interface import Detail, Edit, Record
from melaudit.reports.page.plates import Plates

MAX_VERSIONS_NARROW = 3
"""Versions of an edited image that fit into half a row."""


@dataclass(frozen=True)
class VersionView:
    """One edit of an image as shown."""

    picture: str
    title: str
    chance: str
    bar: str
    """The probability as a length, 0 to 100."""
    change: str
    """Compared with the image as it is: "+95 points"; empty for that image itself."""
    alt: str


@dataclass(frozen=True)
class EditView:
    """An image with and without the artifact."""

    name: str
    target: str
    versions: tuple[VersionView, ...]
    wide: bool
    """Whether the versions need a row of their own."""


@dataclass(frozen=True)
class DetailView:
    """A detail of one image that a channel looks at or that a group shows, and a map over it."""

    picture: str
    map: str | None
    picture_alt: str
    map_alt: str
    name: str


def edit(source: Edit, plates: Plates, limit: int | None = None) -> EditView | None:
    """Return an edited image with its first `limit` versions; None when one does not fit."""
    target = wording.name(source.target, 32)
    versions = []
    for k, version in enumerate(source.versions[:limit]):
        plate = plates.picture(version.picture, f"edit:{source.finding}:{source.image}:{k}")
        if plate is None:
            return None
        chance = wording.rounded_percent(version.probability)
        versions.append(
            VersionView(
                picture=plate.id,
                title=wording.capitalised(version.title),
                chance=chance,
                bar=f"{100 * min(1.0, max(0.0, version.probability)):.1f}",
                change=_change(version.probability - source.versions[0].probability) if k else "",
                alt=f"{version.title}: {target} {chance}",
            )
        )
    return EditView(
        wording.name(source.image, 40),
        target,
        tuple(versions),
        len(versions) > MAX_VERSIONS_NARROW,
    )


def pair(finding: Finding, edits: Sequence[Edit], plates: Plates) -> EditView | None:
    """Return one image as it is and with the artifact changed; None where there is none.

    It is the one whose probability changes most, so that the picture shows what is claimed.
    """
    own = [e for e in edits if e.finding == finding.id and len(e.versions) > 1]
    if not own:
        return None
    return edit(max(own, key=_change_of), plates, 2)


def _change_of(source: Edit) -> float:
    return abs(source.versions[1].probability - source.versions[0].probability)


def _change(difference: float) -> str:
    points = round(100 * difference)
    if not points:
        return "no change"
    sign = "+" if points > 0 else wording.MINUS
    return f"{sign}{wording.many_unbroken(abs(points), 'point')}"


def detail_view(detail: Detail, key: str, map_alt: str, plates: Plates) -> DetailView | None:
    """Return a detail of a photograph and a map over it; None where the budget is spent."""
    picture = plates.picture(detail.picture, f"{key}:picture")
    if picture is None:
        return None
    layer = plates.map(detail.relevance, f"{key}:map", like=picture)
    name = wording.name(detail.image.rpartition("/")[2], 32)  # folder is known
    return DetailView(
        picture=picture.id,
        map=layer.id if layer else None,
        picture_alt=f"Part of image {name}",
        map_alt=map_alt,
        name=name,
    )


def part_views(subject: str, record: Record, plates: Plates) -> tuple[DetailView, ...]:
    """Return details that show the part of a cluster or of a finding, its place over each."""
    found = [
        detail_view(detail, f"part:{subject}:{i}", "Where the part is", plates)
        for view in record.parts
        if view.cluster == subject
        for i, detail in enumerate(view.details)
    ]
    return tuple(view for view in found if view is not None)
