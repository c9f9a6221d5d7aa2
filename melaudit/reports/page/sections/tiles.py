"""A photograph beside its map, as every section shows them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from melaudit import wording
from melaudit.reports.interface import Exhibit
from melaudit.reports.page import heatmap
from melaudit.reports.page.plates import Plate, Plates


@dataclass(frozen=True)
class Tile:
    """One image as shown: the photograph, its map if maps may be shown, and the prediction."""

    picture: str
    """Id of a plate."""
    map: str | None
    name: str
    labelled: str
    said: str
    """What the model predicts, with the probability."""
    verdict: str
    """"right", "wrong" or "unknown"."""
    picture_alt: str
    map_alt: str


@dataclass(frozen=True)
class Tiles:
    """A strip of tiles and what it leaves out."""

    shown: tuple[Tile, ...]
    note: str
    """How many more there are, in words; empty when all are shown."""


def tile(plates: Plates, image: str, *, maps: bool) -> Tile | None:
    """Return the tile of an image id; None when the record has no picture or it does not fit."""
    found = plates.exhibit(image)
    if found is None:
        return None
    exhibit, plate = found
    layer = plates.map(exhibit.relevance, f"map:{image}", like=plate) if maps else None
    shown = wording.name(exhibit.id, 40)
    said = wording.name(exhibit.prediction, 32)
    chance = wording.rounded_percent(exhibit.probability)
    label = None if exhibit.label is None else wording.name(exhibit.label, 32)
    return Tile(
        picture=plate.id,
        map=layer.id if layer else None,
        name=shown,
        labelled="no label" if label is None else f"labelled {label}",
        said=f"predicted {said}, {chance}",
        verdict=_verdict(exhibit),
        picture_alt=f"Image {shown}, "
        + ("without label" if label is None else f"labelled {label}")
        + f", predicted {said} with probability {chance}",
        map_alt=_map_words(exhibit) if layer else "",
    )


def tiles(
    plates: Plates, images: Sequence[str], limit: int, *, maps: bool, total: int | None = None
) -> Tiles:
    """Return the first `limit` tiles of `images`, and how many of `total` are not shown."""
    shown: list[Tile] = []
    for image in images:
        if len(shown) == limit:
            break
        one = tile(plates, image, maps=maps)
        if one is not None:
            shown.append(one)
    of = len(images) if total is None else total
    rest = of - len(shown)
    note = ""
    if rest > 0 and shown:
        note = f"{wording.count(len(shown))} of {wording.many_unbroken(of, 'image')} shown."
    elif rest > 0 and images:
        note = f"{wording.many_unbroken(of, 'image')}, none with a picture in this report."
    return Tiles(tuple(shown), note)


def _verdict(exhibit: Exhibit) -> str:
    if exhibit.label is None:
        return "unknown"
    return "right" if exhibit.label == exhibit.prediction else "wrong"


def _map_words(exhibit: Exhibit) -> str:
    """Say what a map shows to those who cannot see it."""
    border = heatmap.border_share(exhibit.relevance)
    speaks = heatmap.for_share(exhibit.relevance)
    if border is None or speaks is None:
        return "Relevance map: empty"
    band = wording.rounded_percent(heatmap.BORDER)
    return (
        f"Relevance map for {wording.name(exhibit.prediction, 32)}: "
        f"{wording.rounded_percent(speaks)} of the relevance speaks for it; "
        f"{wording.rounded_percent(border)} lies within {band} of the picture's edges"
    )


def plate_id(plate: Plate | None) -> str | None:
    """Return a plate's id, or None when it did not fit."""
    return None if plate is None else plate.id
