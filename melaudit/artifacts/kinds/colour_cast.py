"""A colour cast: the skin round the lesion has a hue that skin under a neutral lamp has not.

What is measured: the mean a* and b* of the skin outside the middle (see `photometry`), and their
distance from those of typical skin in dermoscopy. Skin itself varies by about 10, so only a
distance well beyond that is a cast; reddened or very pale skin can pass for a weak one.
Why: lamps, filters, immersion fluids and white balances differ between clinics; DeGrave et al. 2023
found that models read them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from melaudit.artifacts.interface import RGB, Edited, Found, Mask, Phrases, Placebo
from melaudit.artifacts.painting.relighting import lamp, relit
from melaudit.artifacts.painting.whole_picture import difference, edited, found, neutral
from melaudit.artifacts.picture import checked, checked_dose, checked_mask
from melaudit.artifacts.search.photometry import photometry

TYPICAL = (11.0, 7.5)
"""a* and b* of the skin round lesions: the medians of public dermoscopy images."""
DISTANCE = 18.0
"""Distance from there, in units of Lab, at which the score is one half: one picture in ten of a
public set lies farther off."""
STRENGTH = 22.0
"""a* and b* of a grey under the lamp that is added at dose 1, as a distance from neutral."""
ALIKE = 0.7
"""Length of the mean of the hues' unit vectors from which pictures have one hue."""
TRIES = 3
"""Steps in which a look-alike's strength is fitted."""

THING = "a colour cast"
"""What is looked for."""


class ColourCast:
    """A lamp or white balance that tints the whole picture.

    `hue` fixes the hue that `add` gives, as an angle in the plane of a* and b* in degrees (0 red,
    90 yellow, 180 green, 270 blue); None draws one each time.
    """

    id = "colour_cast"
    title = "Colour cast"
    phrases: Phrases = Phrases("colour cast", "tinted", "neutral", "a colour cast", "colour casts")
    remedy = (
        "Balance the white of every image before training and in use, or vary hue and white "
        "balance while training; then audit again."
    )
    whole_picture = True
    threshold = 0.5
    doses = "strength of the tint"

    def __init__(self, hue: float | None = None) -> None:
        self.hue = hue

    def like(self, images: Iterable[RGB]) -> ColourCast:
        """Return a cast of the hue that these pictures have; any cast where their hues differ."""
        zones = np.array([photometry(image).zone[1:] for image in images]).reshape(-1, 2) - TYPICAL
        lengths = np.linalg.norm(zones, axis=1)
        if not (lengths > 0).any():
            return self
        a, b = (zones[lengths > 0] / lengths[lengths > 0, None]).mean(0)
        if np.hypot(a, b) < ALIKE:
            return self
        cast = ColourCast(float(np.rad2deg(np.arctan2(b, a))))
        cast.phrases = replace(self.phrases, shows="a colour cast of the hue that images here show")
        return cast

    def find(self, image: RGB) -> Found:
        """Score the distance of the skin's hue from that of typical skin: 0.5 at `DISTANCE`."""
        checked(image, THING)
        _, a, b = photometry(image).zone
        distance = float(np.hypot(a - TYPICAL[0], b - TYPICAL[1]))
        return found(image, distance / (distance + DISTANCE), self.threshold)

    def add(self, image: RGB, rng: np.random.Generator, dose: float = 1.0) -> Edited:
        """Light the picture with a tinted lamp; `rng` draws the hue unless it is given."""
        checked(image, THING)
        drawn = rng.uniform(0, 2 * np.pi)
        hue = drawn if self.hue is None else np.deg2rad(self.hue)
        return edited(image, _tinted(image, hue, STRENGTH * checked_dose(dose)))

    def remove(self, image: RGB, mask: Mask) -> Edited:
        """Balance the white so that the skin has the hue of typical skin; `mask` is not needed."""
        checked_mask(mask, checked(image, THING))
        lightness, a, b = photometry(image).zone
        lightness = float(np.clip(lightness, 20, 90))
        gains = lamp(*TYPICAL, lightness) / np.maximum(lamp(a, b, lightness), 0.05)
        # A lamp of another hue and the same brightness: green carries most of it.
        gains = np.clip(gains / (gains @ (0.2126, 0.7152, 0.0722)), 0.2, 5)
        return edited(image, relit(image, gains))

    def placebos(self, image: RGB, edited: Edited, rng: np.random.Generator) -> Sequence[Placebo]:
        """Return uneven light, and a cast of the opposite hue."""
        change = photometry(edited.image).zone - photometry(image).zone
        opposite = float(np.arctan2(-change[2], -change[1]))
        return (
            neutral(image, edited, rng),
            Placebo(
                "other_cast",
                "a cast of the opposite hue",
                _as_strong(image, opposite, difference(edited.image, image)),
                "any colour cast",
            ),
        )


def _tinted(image: RGB, hue: float, strength: float) -> RGB:
    if strength <= 0:
        return image.copy()
    return relit(image, lamp(strength * np.cos(hue), strength * np.sin(hue)))


def _as_strong(image: RGB, hue: float, target: float) -> RGB:
    """Return a cast of a hue that changes the values by `target` (root mean square)."""
    strength = STRENGTH
    for _ in range(TRIES):
        reached = difference(_tinted(image[::4, ::4], hue, strength), image[::4, ::4])
        strength = min(strength * target / max(reached, 1e-3), 60.0)
    return _tinted(image, hue, strength)
