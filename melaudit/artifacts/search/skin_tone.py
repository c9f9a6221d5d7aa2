"""Skin tone from the skin round a lesion: the individual typology angle, by two published methods.

The angle is arctan((L* - 50) / b*), in degrees (Chardon, Cretois and Hourseau 1991, "Skin colour
typology and suntanning pathways"): lighter skin has a larger one. It was made for a colorimeter.
From a photograph it measures lamp, camera and white balance as well, and published methods disagree
strongly (Kalb et al. 2023, "Revisiting skin tone fairness in dermatological lesion
classification"). So both are kept side by side, and no class of skin is named.

Skin is yellower than grey. Where b* is hardly above 0, or below, the light has another colour than
the camera assumed, the angle means nothing, and none is given.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from melaudit.artifacts.interface import RGB, Mask
from melaudit.artifacts.picture import reduced
from melaudit.artifacts.search.photometry import field_and_zone

MIN_YELLOW = 1.0
"""b* that skin has at least: below, the angle is near 90 degrees or jumps to -90. Chosen: a round
figure, not measured."""
SIDE = 256
"""Side of the square picture in which patches are taken."""
PATCH = 20
"""Side of a patch, in pixels."""
NEAR, FAR, MIDDLE = 5, 230, 115
"""Where patches at the middle of an edge begin, in pixels."""
CORNERS = (20, 216)
"""Where those in the corners begin."""
HAIR_WINDOW, HAIR_DEPTH = 17, 10
"""Side of the window, in pixels, and depth, in levels of 255, by which hairs are found."""
REACH = 16
"""Pixels around a patch from which its hairs are painted over. What lies farther away changed
nothing on 160 photographs."""

PATCHES = (
    (FAR, MIDDLE),
    (NEAR, MIDDLE),
    (MIDDLE, NEAR),
    (MIDDLE, FAR),
    *((y, x) for y in CORNERS for x in CORNERS),
)
"""(row, column) where each patch begins."""

Lab = NDArray[np.float32]


def typology_angle(lightness: float, yellow: float) -> float:
    """Return the individual typology angle of L* and b*, in degrees.

    NaN where b* is not above `MIN_YELLOW`.
    """
    if not yellow > MIN_YELLOW:
        return math.nan
    return math.degrees(math.atan((lightness - 50) / yellow))


def region_angle(image: RGB, lesion: Mask | None = None) -> float:
    """Estimate it over all skin outside the lesion, in degrees; NaN where it cannot be.

    After Kinyanjui et al. 2020 ("Fairness of classifiers across skin tones in dermatology"): of
    the pixels outside the lesion, those whose L* and b* lie within one standard deviation of their
    means; the angle of the mean of these. The lesion is `lesion` (h, w), or, where it is not known,
    the middle of the picture. What lies outside the field of view does not count.
    """
    small = reduced(image, SIDE)
    field, zone = field_and_zone(small)
    if lesion is not None:
        size = small.shape[1], small.shape[0]
        covered = cv2.resize(lesion.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST) > 0
        zone = field & ~covered
    if not zone.any():
        return math.nan
    skin = _lab(small.reshape(-1, 3).compress(zone.ravel(), axis=0)[None])[0]
    lightness, yellow = (np.ascontiguousarray(skin[:, k]) for k in (0, 2))
    usual = np.ones(len(skin), np.bool_)
    for values in (lightness, yellow):
        usual &= np.abs(values - values.mean()) <= values.std()
    if usual.any():
        lightness, yellow = lightness[usual], yellow[usual]
    return typology_angle(float(lightness.mean()), float(yellow.mean()))


def patch_angle(image: RGB) -> float:
    """Estimate it from eight small patches near the edges, in degrees; NaN where it cannot be.

    After Bevan and Atapour-Abarghouei 2022 ("Detecting melanoma fairly"): the middle square of the
    picture, at 256 pixels, hairs taken out; of the angles of eight patches of 20 x 20 pixels the
    largest, which is that of the lightest skin.
    """
    side = min(image.shape[:2])
    top, left = ((n - side) // 2 for n in image.shape[:2])
    square = np.ascontiguousarray(image[top : top + side, left : left + side])
    small = np.asarray(cv2.resize(square, (SIDE, SIDE), interpolation=cv2.INTER_AREA), np.uint8)
    means = _lab(_patches_without_hairs(small)).mean(1)
    angles = [typology_angle(float(mean[0]), float(mean[2])) for mean in means]
    known = [angle for angle in angles if math.isfinite(angle)]
    return max(known, default=math.nan)


def _patches_without_hairs(image: RGB) -> RGB:
    """Return the pixels of each patch (patches, PATCH * PATCH, 3), thin dark lines painted over."""
    grey = np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.uint8)
    hairs = closed_by_cross(grey) - grey > HAIR_DEPTH
    patches = []
    for y, x in PATCHES:
        top, left = max(0, y - REACH), max(0, x - REACH)
        window = slice(top, y + PATCH + REACH), slice(left, x + PATCH + REACH)
        near, hidden = np.ascontiguousarray(image[window]), hairs[window].astype(np.uint8)
        patch = slice(y - top, y - top + PATCH), slice(x - left, x - left + PATCH)
        if hidden[patch].any():
            near = np.asarray(cv2.inpaint(near, hidden, 1, cv2.INPAINT_TELEA), np.uint8)
        patches.append(near[patch].reshape(-1, 3))
    return np.stack(patches)


def closed_by_cross(grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the closing of a picture (h, w) by a cross: of each bar by itself, it is faster."""
    bars = [np.ones(size, np.uint8) for size in ((1, HAIR_WINDOW), (HAIR_WINDOW, 1))]
    dilated = np.maximum(*(cv2.dilate(grey, bar) for bar in bars))
    return np.minimum(*(cv2.erode(dilated, bar) for bar in bars))


def _lab(image: RGB) -> Lab:
    return np.asarray(cv2.cvtColor(image.astype(np.float32) / 255, cv2.COLOR_RGB2LAB), np.float32)
