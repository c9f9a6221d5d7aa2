"""An edited image beside itself: the pictures that show what a finding claims."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from melaudit import wording
from melaudit.findings import Finding
from melaudit.reports.interface import Edit
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
