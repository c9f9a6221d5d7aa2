"""Draw pigmented lesions, from a plain mole to a textbook melanoma.

One number, the atypia, controls the signs that a dermatologist looks for (the ABCD rule: Nachbar et
al., "The ABCD rule of dermatoscopy", J Am Acad Dermatol 1994): asymmetry, an irregular and abrupt
border, more colours, and irregular structures: a broken network, streaks, a blue-white veil, white
regression. Each sign follows the atypia with its own random variation, so that no sign decides
alone. Chosen: the constants are round figures, not measured.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from melaudit.demo.skin import BLOOD, MELANIN, Field, Picture, absorb, grid, noise

VEIL = np.array([0.35, 0.42, 0.53], np.float32)
"""Colour of a blue-white veil: pigment seen through scattering dermis."""
SCAR = np.array([0.86, 0.77, 0.75], np.float32)
"""Colour of regression, where pigment has gone."""


@dataclass(frozen=True)
class Signs:
    """Strength of each sign of atypia, 0 to 1."""

    asymmetry: float
    border: float
    colours: float
    network: float
    streaks: float
    veil: float
    size: float


def signs(rng: np.random.Generator, atypia: float) -> Signs:
    """Draw the strength of each sign around the logistic function of the atypia."""
    strength = 1 / (1 + np.exp(-1.5 * (atypia + rng.normal(0, 0.8, 7))))
    return Signs(*(float(s) for s in strength))


def lesion(picture: Picture, rng: np.random.Generator, atypia: float) -> Picture:
    """Return the picture (n, n, 3) with a lesion near its middle.

    `atypia` is about -1 for a typical mole and +1 for a typical melanoma; it has no limits.
    """
    size = picture.shape[0]
    sign = signs(rng, atypia)
    y, x = _place(rng, size)
    radius = 0.12 + 0.17 * (0.55 * sign.size + 0.45 * rng.random())
    depth = _depth(rng, x, y, radius, sign)
    # A border fades over a share of the radius; atypical ones end abruptly in places.
    abrupt = 4 + 8 * rng.random() + sign.border * 14 * _sigmoid(2 * noise(rng, size, 0.5, 0.6))
    body = _sigmoid(abrupt * depth)
    hue = MELANIN * np.array([rng.uniform(0.5, 1.1), rng.uniform(0.78, 1.0), 1], np.float32)
    picture = absorb(picture, body * _pigment(rng, size, depth, sign), hue)
    redness = rng.uniform(0.3, 0.9) if rng.random() < 0.12 else rng.gamma(1.2, 0.05)
    picture = absorb(picture, body * redness, BLOOD)
    return _colours(picture, rng, x, y, radius, body, sign)


def _sigmoid(field: Field) -> Field:
    return np.asarray(0.5 * (1 + np.tanh(0.5 * field)), np.float32)


def _place(rng: np.random.Generator, size: int) -> tuple[Field, Field]:
    """Return the pixel coordinates y, x of a lesion that is shifted, rotated and stretched."""
    y, x = grid(size)
    y, x = y - rng.normal(0, 0.05), x - rng.normal(0, 0.05)
    turn, stretch = rng.uniform(0, math.pi), math.exp(rng.normal(0.12, 0.09))
    c, s = math.cos(turn), math.sin(turn)
    turned_y, turned_x = (c * y - s * x) * stretch, (s * y + c * x) / stretch
    return np.asarray(turned_y, np.float32), np.asarray(turned_x, np.float32)


def _depth(rng: np.random.Generator, x: Field, y: Field, radius: float, sign: Signs) -> Field:
    """Return how far inside the outline each pixel lies: 0 on it, 1 in the middle, < 0 outside.

    The outline is made of overlapping round lobes: one for a mole, and more lobes that lie further
    apart the less symmetric the lesion is.
    """
    size = x.shape[0]
    depth = 1 - np.hypot(x, y) / radius
    for _ in range(rng.binomial(4, 0.9 * sign.asymmetry)):
        turn, off = rng.uniform(0, 2 * math.pi), radius * rng.uniform(0.4, 0.95)
        width = radius * rng.uniform(0.35, 0.75)
        lobe = (
            width / radius - np.hypot(x - off * math.cos(turn), y - off * math.sin(turn)) / radius
        )
        depth = 0.12 * np.logaddexp(depth / 0.12, lobe / 0.12)
    if sign.streaks > 0.75:
        depth += sign.streaks * _streaks(rng, x, y)
    depth += (0.04 + 0.16 * sign.border) * noise(rng, size, 1.1 * radius, 0.5)
    depth += (0.035 + 0.045 * sign.border) * noise(rng, size, 0.06, 0.9)
    return np.asarray(np.maximum(depth, -3), np.float32)


def _streaks(rng: np.random.Generator, x: Field, y: Field) -> Field:
    """Return spikes of the outline within a sector: radial streaks, pseudopods."""
    angle = np.arctan2(y, x)
    sector = np.exp(3 * (np.cos(angle - rng.uniform(0, 2 * math.pi)) - 1))
    wobble = 0.8 * np.sin(3 * angle + rng.uniform(0, 6))
    spikes = np.maximum(np.cos(int(rng.integers(16, 30)) * angle + wobble), 0) ** 2
    return np.asarray(0.30 * sector * spikes, np.float32)


def _pigment(rng: np.random.Generator, size: int, depth: Field, sign: Signs) -> Field:
    """Return the density of brown pigment in a lesion: base, clouds, network, globules."""
    ground = rng.gamma(6, 0.17) + 0.4 * sign.colours
    clouds = (0.10 + 0.24 * sign.colours) * noise(rng, size, 0.22, 0.9)
    centre = rng.normal(0.35, 0.35) * (1 - sign.asymmetry) * np.clip(depth, 0, 1)
    # A typical network has one mesh size; an atypical one has several, with thick and empty areas.
    mesh = noise(rng, size, rng.uniform(0.036, 0.052), 0.12 + 0.5 * sign.network)
    lines = np.maximum(1.0 - np.abs(mesh) * 1.6, -0.4)
    patches = np.clip(1 + (0.3 + sign.network) * noise(rng, size, 0.25, 0.6), 0, 2)
    network = rng.uniform(0.05, 0.30) * lines * patches
    dots = np.clip(noise(rng, size, rng.uniform(0.03, 0.06), 0.4) - 1.4, 0, 1)
    globules = (0.6 if rng.random() < 0.5 else 0.0) * dots
    density = ground * (1 + clouds + centre) + network + globules
    return np.asarray(np.maximum(density, 0), np.float32)


def _colours(
    picture: Picture,
    rng: np.random.Generator,
    x: Field,
    y: Field,
    radius: float,
    body: Field,
    sign: Signs,
) -> Picture:
    """Add the other colours: dark blotches, red areas, regression and the veil."""
    size = picture.shape[0]

    def region(width: float) -> Field:
        """Return a ragged, uneven area away from the middle of the lesion, 0 to 1."""
        turn, off = rng.uniform(0, 2 * math.pi), radius * rng.uniform(0.15, 0.7)
        away = np.hypot(x - off * math.cos(turn), y - off * math.sin(turn)) / (radius * width)
        ragged = 1 - away + 0.35 * noise(rng, size, 0.12, 1.0)
        return body * _sigmoid(4 * ragged) * (0.8 + 0.2 * noise(rng, size, 0.05, 0.8))

    for _ in range(rng.binomial(4, 0.65 * sign.colours)):
        match int(rng.integers(3)):
            case 0:
                blotch = region(rng.uniform(0.3, 0.7)) * rng.uniform(0.5, 1.5)
                picture = absorb(picture, blotch, MELANIN)
            case 1:
                flush = region(rng.uniform(0.4, 0.8)) * rng.uniform(0.1, 0.4)
                picture = absorb(picture, flush, BLOOD)
            case _:
                scar = region(rng.uniform(0.3, 0.6)) * rng.uniform(0.25, 0.6)
                picture = _cover(picture, SCAR, scar)
    if sign.veil > 0.72:
        shade = VEIL * rng.uniform(0.7, 1.2)
        veil = region(rng.uniform(0.4, 0.9)) * rng.uniform(0.4, 0.8)
        picture = _cover(picture, shade, veil)
    return picture


def _cover(picture: Picture, colour: Field, opacity: Field) -> Picture:
    return picture + opacity[..., None] * (colour - picture)
