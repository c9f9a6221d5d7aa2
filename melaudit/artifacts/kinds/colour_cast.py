"""A colour cast: the skin around the lesion has a hue that it does not have under neutral light.

How it is found: the distance in a* and b* between the mean of the skin outside the middle (see
`photometry`) and typical skin in dermoscopy. Skin itself varies by about 10, so only a much larger
distance is a cast; reddened or very pale skin can pass for a weak one.
Why it matters: lamps, filters, immersion fluids and white balance differ between clinics, and
models use them (DeGrave et al. 2023).
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from melaudit.artifacts.interface import RGB, Edited, Found, Mask, PaintedLater, Phrases, Placebo
from melaudit.artifacts.painting.relighting import lamp, relit
from melaudit.artifacts.painting.whole_picture import (
    EVERY,
    rms_difference,
    uneven_light_placebo,
    whole_edit,
    whole_found,
)
from melaudit.artifacts.picture import checked, checked_dose, checked_mask
from melaudit.artifacts.search.photometry import photometry

TYPICAL = (11.0, 7.5)
"""a* and b* of the skin around lesions: the medians of public dermoscopy images."""
DISTANCE = 18.0
"""Distance from there, in units of Lab, at which the score is 0.5. Chosen: one picture in ten of a
public set lies farther away."""
STRENGTH = 22.0
"""Distance from neutral, in a* and b*, of grey under the lamp that is added at dose 1. Chosen: a
round figure, not measured."""
MIN_AGREEMENT = 0.7
"""Mean resultant length of the hues from which pictures have one hue in common. Chosen: a round
figure, not measured."""
MAX_STRENGTH = 60.0
"""Largest strength of a look-alike, in the units of `STRENGTH`."""
ROUNDS = 3
"""Rounds in which the strength of a look-alike is fitted."""

HUES = ("pinkish", "yellowish", "greenish", "bluish")
"""Kinds of casts: quarters of the plane of a* and b* around 0, 90, 180 and 270 degrees."""

THING = "a colour cast"
"""What error messages say is looked for."""


class ColourCast:
    """A lamp or white balance that tints the whole picture.

    `hue` is the hue that `add` gives: an angle in the plane of a* and b*, in degrees (0 red,
    90 yellow, 180 green, 270 blue). None draws a new one each time. `typical` is what the outer
    zone has without a cast, a* and b*; at the `distance` from there the score is 0.5. `kind` is one
    of `HUES`, for a cast of that kind only.
    """

    id = "colour_cast"
    title = "Colour cast"
    phrases: Phrases = Phrases(
        "colour cast", "tinted", "neutral", "a colour cast", "colour casts", made="tinted"
    )
    remedy = (
        "Balance the white of every image before training and in use, or vary hue and white "
        "balance while training; then audit again."
    )
    whole_picture = True
    threshold = 0.5
    doses = "strength of the tint"

    def __init__(
        self,
        hue: float | None = None,
        typical: tuple[float, float] = TYPICAL,
        distance: float = DISTANCE,
        kind: str = "",
    ) -> None:
        self.hue, self.typical, self.distance = hue, typical, distance
        self.kind = kind
        if kind:
            cast = f"{kind} colour cast"
            self.title = cast[:1].upper() + cast[1:]
            self.phrases = Phrases(
                cast, kind, f"not {kind}", f"a {cast}", f"{cast}s", made=f"made {kind}"
            )

    @property
    def kinds(self) -> tuple[ColourCast, ...]:
        """A cast of each of `HUES`; none of a cast that is of one kind itself."""
        if self.kind:
            return ()
        return tuple(
            ColourCast(90.0 * k, self.typical, self.distance, hue) for k, hue in enumerate(HUES)
        )

    def kind_of(self, image: RGB, found: Found) -> int:
        """Return the quarter of hues in which the outer zone of an image lies, beside typical."""
        a, b = photometry(image).zone[1:] - self.typical
        return int(np.rint(np.arctan2(b, a) / (np.pi / 2))) % len(HUES)

    def like(self, images: Iterable[RGB]) -> ColourCast:
        """Return a cast of the hue that these images share; itself if their hues differ."""
        zones = np.array([photometry(image).zone[1:] for image in images]).reshape(-1, 2)
        zones = zones - self.typical
        lengths = np.linalg.norm(zones, axis=1)
        if not (lengths > 0).any():
            return self
        a, b = (zones[lengths > 0] / lengths[lengths > 0, None]).mean(0)
        if np.hypot(a, b) < MIN_AGREEMENT:
            return self
        cast = copy.copy(self)
        cast.hue = float(np.rad2deg(np.arctan2(b, a)))
        shows = f"{self.phrases.shows} of the hue that images here show"
        made = f"{self.phrases.made} in the hue that images here show"
        cast.phrases = replace(self.phrases, shows=shows, made=made)
        return cast

    def find(self, image: RGB) -> Found:
        """Score how far the zone of an RGB image (h, w, 3) is from `typical`: 0.5 at `distance`.

        Raises ValueError if the array is not an 8-bit RGB image.
        """
        checked(image, THING)
        _, a, b = photometry(image).zone
        distance = float(np.hypot(a - self.typical[0], b - self.typical[1]))
        return whole_found(image, distance / (distance + self.distance), self.threshold)

    def add(self, image: RGB, rng: np.random.Generator, dose: float = 1.0) -> Edited:
        """Light the picture with a tinted lamp; the hue is drawn from `rng` unless it is fixed."""
        checked(image, THING)
        drawn = rng.uniform(0, 2 * np.pi)
        hue = drawn if self.hue is None else np.deg2rad(self.hue)
        return whole_edit(image, _tinted(image, hue, STRENGTH * checked_dose(dose)))

    def remove(self, image: RGB, mask: Mask) -> Edited:
        """Balance the white so that the zone gets a typical hue; `mask` is only checked."""
        checked_mask(mask, checked(image, THING))
        lightness, a, b = photometry(image).zone
        lightness = float(np.clip(lightness, 20, 90))
        gains = lamp(*self.typical, lightness) / np.maximum(lamp(a, b, lightness), 0.05)
        # The lamp changes hue and keeps its brightness (weights of sRGB luminance).
        gains = np.clip(gains / (gains @ (0.2126, 0.7152, 0.0722)), 0.2, 5)
        return whole_edit(image, relit(image, gains))

    def placebos(self, image: RGB, edited: Edited, rng: np.random.Generator) -> Sequence[Placebo]:
        """Return uneven light, and a cast of the opposite hue that changes as much."""

        def opposite() -> RGB:
            change = photometry(edited.image).zone - photometry(image).zone
            hue = float(np.arctan2(-change[2], -change[1]))
            return _as_strong(image, hue, rms_difference(edited.image, image))

        return (
            uneven_light_placebo(image, edited, rng),
            PaintedLater("other_cast", "a cast of the opposite hue", opposite, "any colour cast"),
        )


def _tinted(image: RGB, hue: float, strength: float) -> RGB:
    if strength <= 0:
        return image.copy()
    return relit(image, lamp(strength * np.cos(hue), strength * np.sin(hue)))


def _as_strong(image: RGB, hue: float, target: float) -> RGB:
    """Return a cast of a hue (radians) that changes the values by `target` (root mean square)."""
    strength = STRENGTH
    few = image[::EVERY, ::EVERY]
    for _ in range(ROUNDS):
        reached = rms_difference(_tinted(few, hue, strength), few)
        strength = min(strength * target / max(reached, 1e-3), MAX_STRENGTH)
    return _tinted(image, hue, strength)
