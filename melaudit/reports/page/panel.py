"""One image and its maps side by side as a PNG, for `melaudit explain`."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont, ImageOps

from melaudit.reports.page import heatmap

TILE, GAP, LINE = 256, 12, 17
"""Side of a tile, space between tiles, height of a line of text, in pixels."""

PHOTOGRAPH_OPACITY = 0.45
"""How much of the photograph shows under a map, 0 to 1."""


@dataclass(frozen=True)
class Tile:
    """One picture of a panel."""

    title: str
    note: str
    relevance: NDArray[np.floating] | None = None
    """(h, w) signed map to lay over the photograph; None shows the photograph itself."""
    full: float | None = None
    """The |relevance| that gets full colour; None takes the map's own scale."""
    photograph: NDArray[np.uint8] | None = None
    """(h, w, 3) of this tile, where tiles show different images."""


def panel(photograph: NDArray[np.uint8], tiles: Sequence[Tile], columns: int = 4) -> bytes:
    """Return a PNG with the tiles in rows of `columns`.

    `photograph` (h, w, 3) is shown by the tiles that have none of their own.
    """
    font = ImageFont.load_default(13)
    pictures = [
        ImageOps.contain(
            Image.fromarray(photograph if tile.photograph is None else tile.photograph),
            (TILE, TILE),
            Image.Resampling.LANCZOS,
        )
        for tile in tiles
    ]
    height = max(picture.height for picture in pictures)
    columns = min(columns, len(tiles))
    rows = -(-len(tiles) // columns)
    cell_w, cell_h = TILE + GAP, height + 2 * LINE + GAP + 6
    sheet = Image.new("RGB", (columns * cell_w + GAP, rows * cell_h + GAP), "white")
    draw = ImageDraw.Draw(sheet)
    for i, tile in enumerate(tiles):
        left, top = GAP + i % columns * cell_w, GAP + i // columns * cell_h
        sheet.paste(_drawn(pictures[i], tile), (left, top))
        for line, (text, ink) in enumerate(((tile.title, "black"), (tile.note, "dimgray"))):
            shown = _fitting(text, font, TILE)
            draw.text((left, top + height + 4 + line * LINE), shown, ink, font)
    out = io.BytesIO()
    sheet.save(out, "PNG")
    return out.getvalue()


def _drawn(picture: Image.Image, tile: Tile) -> Image.Image:
    if tile.relevance is None:
        return picture
    full = heatmap.scale(tile.relevance) if tile.full is None else tile.full
    colours = Image.fromarray(heatmap.colour(tile.relevance, full))
    way = (
        Image.Resampling.NEAREST if heatmap.is_coarse(tile.relevance) else Image.Resampling.BILINEAR
    )
    faded = Image.blend(
        Image.new("RGB", picture.size, "white"), picture, PHOTOGRAPH_OPACITY
    ).convert("RGBA")
    return Image.alpha_composite(faded, colours.resize(picture.size, way)).convert("RGB")


def _fitting(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> str:
    """Cut a text to a width in pixels, with an ellipsis at its end where it was cut."""
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "…") > width:
        text = text[:-1]
    return text + "…"
