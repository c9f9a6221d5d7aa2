"""Where a pattern is in a picture, by visual words or by likeness."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from melaudit.artifacts import held
from melaudit.artifacts.discovered import See
from melaudit.artifacts.interface import RGB, Artifact, Mask
from melaudit.audit.groups.exclusive import Pattern
from melaudit.audit.groups.likeness import (
    Mined,
    amounts,
    described,
    likest,
    places_like,
    second_likest,
)
from melaudit.audit.groups.portrait import outside_centre
from melaudit.audit.groups.strangeness import Strange, strange_places, strangeness
from melaudit.audit.measure.columns import relevance_columns
from melaudit.audit.measure.visual_words import Descriptions, VisualWords, Vocabulary, map_of
from melaudit.audit.viewer import Viewer
from melaudit.images.preprocessing import Preprocessing
from melaudit.measurements import CHUNK, SomeRows

Places = NDArray[np.bool_]
"""(n, side, side) places of the model's input."""

RAMP_INSET = 0.25
"""Share of the model's input, from either end, that tells nothing of how pictures are moved: edges
are blurred there, and may be padded. Chosen: a round figure."""


def places_of(words: VisualWords, pattern: Sequence[int]) -> Places:
    """Return where visual words (n, side, side) are of a pattern, away from the centre."""
    away = outside_centre(*words.shape[1:]) > 0
    found: Places = np.isin(words, pattern) & away
    return found


def share_in_centre(words: VisualWords | SomeRows, pattern: Sequence[int]) -> float:
    """Return the share of a pattern's places (n, side, side) that lie within the centre."""
    middle = outside_centre(*words.shape[1:]) == 0
    inside = every = 0
    for start in range(0, len(words), CHUNK):
        there = np.isin(words[start : start + CHUNK], pattern)
        inside, every = inside + int(there[:, middle].sum()), every + int(there.sum())
    return inside / max(1, every)


def seeing(viewer: Viewer, vocabulary: Vocabulary, pattern: Sequence[int], bound: float) -> See:
    """Return what tells how much of a pattern a picture shows, and where.

    bound: the most places that other images show; an amount of 1 is as many.
    """

    def see(image: RGB) -> tuple[float, Mask]:
        layer = vocabulary.layer
        outputs = viewer.explainer.forward.outputs(viewer.inputs([image]), [layer])
        (there,) = places_of(vocabulary.read(outputs[layer]), pattern)
        amount = float(there.sum()) / max(bound, 0.5)
        return amount, on_picture(there, image.shape[:2], viewer.preprocessing)

    return see


def seeing_alike(viewer: Viewer, how: Descriptions, pattern: Pattern) -> See:
    """Return what tells how much of a pattern by likeness a picture shows, and where."""
    if pattern.like is None:
        raise ValueError("pass a pattern by likeness")
    like = pattern.like

    def see(image: RGB) -> tuple[float, Mask]:
        x = viewer.inputs([image])
        outputs = viewer.explainer.forward.outputs(x, [how.layer])
        noted = how.noted(map_of(outputs, how.layer, x))
        (amount,) = amounts(pattern, likest(noted, like[None])[0])
        (there,) = places_like(noted, pattern)
        return float(amount), on_picture(there, image.shape[:2], viewer.preprocessing)

    return see


def seeing_mined(viewer: Viewer, how: Descriptions, mined: Mined) -> See:
    """Return what tells how like examples a picture is, and where."""

    def see(image: RGB) -> tuple[float, Mask]:
        x = viewer.inputs([image])
        outputs = viewer.explainer.forward.outputs(x, [how.layer])
        noted = how.noted(map_of(outputs, how.layer, x))
        (amount,) = mined.amounts(second_likest(likest(noted, mined.likes).T))
        (there,) = mined.places(noted)
        return float(amount), on_picture(there, image.shape[:2], viewer.preprocessing)

    return see


def seeing_strange(viewer: Viewer, how: Descriptions, known: Strange) -> See:
    """Return what tells how strange a picture is where its decision rests, and where."""

    def see(image: RGB) -> tuple[float, Mask]:
        x = viewer.inputs([image])
        kept = relevance_columns(viewer.explainer.attribute(x, None, ()).maps, None)
        outputs = viewer.explainer.forward.outputs(x, [how.layer])
        noted = how.noted(map_of(outputs, how.layer, x))
        some = described(noted, kept["relevance.positive"], kept["relevance.negative"])
        (amount,) = amounts(known.pattern, strangeness(some, known))
        (there,) = strange_places(noted, some, known)
        return float(amount), on_picture(there, image.shape[:2], viewer.preprocessing)

    return see


def seeing_marked(viewer: Viewer, artifact: Artifact) -> See:
    """Return what tells whether the finder of an artifact marks a picture, and where."""

    def see(image: RGB) -> tuple[float, Mask]:
        found = held.find(artifact, image)
        return (1 + found.score if found.present else 0.0), found.mask

    return see


def on_picture(
    there: NDArray[np.bool_], shape: tuple[int, ...], preprocessing: Preprocessing
) -> Mask:
    """Return where places (side, side) of the model's input are on a picture (h, w).

    It undoes `project`; what preprocessing crops away shows nothing.
    """
    side = len(there)
    at = [
        (slope * (np.arange(length) + 0.5) / length + start, length)
        for (slope, start), length in zip(_moves(preprocessing, shape), shape, strict=True)
    ]
    cells = [np.floor(side * share).astype(int) for share, _ in at]
    rows, columns = (np.clip(each, 0, side - 1) for each in cells)
    kept = [(each >= 0) & (each < side) for each in cells]
    mask: Mask = there[np.ix_(rows, columns)] & np.outer(*kept)
    return mask


@functools.lru_cache(maxsize=256)
def _moves(
    preprocessing: Preprocessing, shape: tuple[int, ...]
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return slope and start, for rows and for columns: share of the picture -> of the input."""
    height, width = shape
    rows = np.repeat(((np.arange(height) + 0.5) / height)[:, None], width, 1)
    columns = np.repeat(((np.arange(width) + 0.5) / width)[None], height, 0)
    down = preprocessing.project(rows.astype(np.float32))
    across = preprocessing.project(columns.astype(np.float32))
    return _line(down[:, down.shape[1] // 2]), _line(across[across.shape[0] // 2])


def _line(seen: NDArray[np.float32]) -> tuple[float, float]:
    """Return slope and start of the line from places in the picture to places in the input.

    seen: which place of the picture (0 to 1) stands at each pixel of the input.
    """
    length = len(seen)
    inner = slice(int(RAMP_INSET * length), length - int(RAMP_INSET * length))
    own = (np.arange(length) + 0.5) / length
    slope, start = np.polyfit(seen[inner].astype(np.float64), own[inner], 1)
    return float(slope), float(start)
