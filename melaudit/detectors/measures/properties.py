"""Properties that any picture has: light, colour, sharpness, format; what they are and in words.

Each is measured on the whole picture and on what lies round its middle, because an object's own
darkness and colour are what a model should see; those around it are not. The format is the file's.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from melaudit.artifacts.search.blurriness import blurrinesses
from melaudit.artifacts.search.photometry import photometry
from melaudit.findings import Words


class Family(StrEnum):
    """Properties that one cause changes together."""

    LIGHT = "light"
    COLOUR = "colour"
    SHARPNESS = "sharpness"
    FORMAT = "format"


class Place(StrEnum):
    """What of a picture a property is measured on."""

    AROUND = "around"
    """What lies outside the middle: not the object's, unless that reaches the edge."""
    WHOLE = "whole"
    """Everything: the object's as well."""
    FILE = "file"
    """The shape of the file: never the object's."""


@dataclass(frozen=True)
class Property:
    """One figure of a picture, and how sentences speak of it."""

    id: str
    family: Family
    place: Place
    name: str
    """"lightness"."""
    more: str
    """What a picture is that has more of it: "lighter"."""
    less: str
    unit: str
    """What the figure counts: "L* 0 to 100"."""

    def called(self, words: Words) -> str:
        """Return its name with what it is of: "lightness of the skin"."""
        around = self.place is Place.AROUND
        return f"{self.name} of the {words.surroundings if around else 'picture'}"


def _both(
    id: str, family: Family, name: str, more: str, less: str, unit: str
) -> tuple[Property, Property]:
    return (
        Property(f"{id}_around", family, Place.AROUND, name, more, less, unit),
        Property(id, family, Place.WHOLE, name, more, less, unit),
    )


PROPERTIES: tuple[Property, ...] = (
    *_both("lightness", Family.LIGHT, "lightness", "lighter", "darker", "mean L*, 0 to 100"),
    *_both(
        "contrast",
        Family.LIGHT,
        "contrast",
        "higher in contrast",
        "lower in contrast",
        "standard deviation of L*",
    ),
    *_both("red", Family.COLOUR, "redness", "redder", "greener", "mean a*"),
    *_both("yellow", Family.COLOUR, "yellowness", "yellower", "bluer", "mean b*"),
    *_both(
        "sharpness",
        Family.SHARPNESS,
        "sharpness",
        "sharper",
        "less sharp",
        "share of variation that a blur takes, 0 to 1",
    ),
    Property(
        "pixels",
        Family.FORMAT,
        Place.FILE,
        "size",
        "larger",
        "smaller",
        "root of width times height, in pixels",
    ),
    Property(
        "aspect",
        Family.FORMAT,
        Place.FILE,
        "shape",
        "wider",
        "narrower",
        "width over height",
    ),
)


HUE_STEP = 0.3
"""Steps in which a mean a* or b* is counted. Half a step is more than the conversion gives a grey
(up to .13, by its lightness), so that grey pictures have no colour that goes with a class."""


def measured(image: NDArray[np.uint8], size: tuple[int, int] | None) -> dict[str, float]:
    """Return every property of an RGB image (h, w, 3) by id.

    `size` is (width, height) as in the file, if it is known; else the image's own counts.
    """
    light, (blurred, blurred_around) = photometry(image), blurrinesses(image)
    width, height = size or (image.shape[1], image.shape[0])
    return {
        "lightness_around": float(light.zone[0]),
        "lightness": float(light.whole[0]),
        "contrast_around": light.zone_contrast,
        "contrast": light.contrast,
        "red_around": _hue(light.zone[1]),
        "red": _hue(light.whole[1]),
        "yellow_around": _hue(light.zone[2]),
        "yellow": _hue(light.whole[2]),
        "sharpness_around": 1 - blurred_around,
        "sharpness": 1 - blurred,
        "pixels": float(np.sqrt(width * height)),
        "aspect": width / height,
    }


def _hue(value: float) -> float:
    return round(float(value) / HUE_STEP) * HUE_STEP
