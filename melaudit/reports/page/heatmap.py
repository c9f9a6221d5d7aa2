"""Relevance as colour: red speaks for the explained class, blue against it.

A map is a transparent layer that can lie over a faded photograph or over white: its hue shows the
sign, its opacity and depth the size. Both signs share one scale, so equal strength looks
equal; people with any common colour vision can tell red and blue apart.
"""

from __future__ import annotations

import base64
import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

FOR = np.array([[226, 58, 40], [128, 0, 22]], dtype=np.float64)
AGAINST = np.array([[46, 118, 214], [6, 32, 110]], dtype=np.float64)
"""(weak, strong) ends of each side, sRGB."""

OPAQUE = 0.94
"""Opacity of the strongest relevance: a trace of the picture always stays visible."""

SATURATION = 0.98
"""Colour is full from this quantile of |R| on: otherwise a few pixels, often at the edge, would
bleach the rest."""

COARSE = 64
"""Maps with a longer side up to this are drawn as blocks, never smoothed into false detail."""

BORDER = 0.15
"""Width of the border band of the text alternative, as a share of each side."""


def scale(values: NDArray[np.floating]) -> float:
    """Return the |relevance| that gets full colour; 1.0 for a map without any."""
    signed = np.asarray(values, dtype=np.float64)
    size = np.abs(signed[np.isfinite(signed)])
    top = float(np.quantile(size, SATURATION)) if size.size else 0.0
    return top or float(size.max(initial=0.0)) or 1.0


def colour(values: NDArray[np.floating], full: float = 1.0) -> NDArray[np.uint8]:
    """Return relevance (h, w) as RGBA (h, w, 4); |relevance| >= `full` gets full colour.

    NaN and infinities are transparent.
    """
    signed = np.nan_to_num(np.asarray(values, dtype=np.float64), posinf=0, neginf=0) / full
    size = np.clip(np.abs(signed), 0, 1)[..., None]
    side = np.where(signed[..., None, None] >= 0, FOR, AGAINST)
    rgb = side[..., 0, :] * (1 - size) + side[..., 1, :] * size
    return np.concatenate([rgb, 255 * OPAQUE * size], axis=-1).round().astype(np.uint8)


def is_coarse(values: NDArray[np.floating]) -> bool:
    """Tell whether a map is so coarse that it is drawn as blocks."""
    return bool(max(values.shape) <= COARSE)


def encode(pixels: NDArray[np.uint8]) -> bytes:
    """Return RGB or RGBA (h, w, 3 or 4) as WebP: exact when small, else lossy, free of metadata."""
    small = max(pixels.shape[:2]) <= COARSE
    out = io.BytesIO()
    Image.fromarray(pixels).save(
        out, "WEBP", lossless=small, quality=100 if small else 70, alpha_quality=70, method=4
    )
    return out.getvalue()


def overlay(values: NDArray[np.floating], full: float | None = None) -> bytes:
    """Return a relevance map (h, w) as a transparent WebP at the map's own resolution."""
    return encode(colour(values, scale(values) if full is None else full))


def data_uri(webp: bytes) -> str:
    """Return a WebP file as a data URI."""
    return "data:image/webp;base64," + base64.b64encode(webp).decode("ascii")


def legend_stops() -> tuple[tuple[str, str, str], ...]:
    """Return the colour scale as (offset, colour, opacity) from full against to full for."""
    ramp = np.linspace(-1, 1, 9)
    rgba = colour(ramp[None])[0]
    return tuple(
        (f"{(v + 1) / 2:.4g}", f"rgb({r},{g},{b})", f"{a / 255:.2f}")
        for v, (r, g, b, a) in zip(ramp, rgba.tolist(), strict=True)
    )


def border_share(values: NDArray[np.floating]) -> float | None:
    """Return the share of |relevance| within `BORDER` of the edges; None for an empty map."""
    size = np.abs(np.nan_to_num(np.asarray(values, dtype=np.float64), posinf=0, neginf=0))
    total = float(size.sum())
    if not total:
        return None
    top, left = (round(BORDER * side) for side in size.shape)
    inner = size[top : size.shape[0] - top, left : size.shape[1] - left]
    return 1 - float(inner.sum()) / total


def for_share(values: NDArray[np.floating]) -> float | None:
    """Return the share of |relevance| that speaks for the class; None for an empty map."""
    signed = np.nan_to_num(np.asarray(values, dtype=np.float64), posinf=0, neginf=0)
    total = float(np.abs(signed).sum())
    return float(signed.clip(min=0).sum()) / total if total else None
