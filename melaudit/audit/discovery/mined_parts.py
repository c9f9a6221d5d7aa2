"""Parts by what they do: places to which decisions owe most, put into other images.

Of each image of a class the place off the centre is taken to which its decision owes most more than
usual. Those that move decisions of other images farthest are examples (`mining`), and what is like
two of them is the part: one example alone may be an odd one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import cv2
import numpy as np
from numpy.typing import NDArray

from melaudit.artifacts.discovered import whole
from melaudit.artifacts.interface import RGB
from melaudit.artifacts.painting.transplant import transplanted
from melaudit.audit.discovery.made import MAX_LACKING, MIN_SOURCES
from melaudit.audit.discovery.mining import (
    LOOKED_AT,
    Bools,
    Floats,
    Givers,
    Rows,
    givers,
    pushes,
)
from melaudit.audit.discovery.parts import Part, by_turns
from melaudit.audit.discovery.seeing import on_picture, seeing_mined
from melaudit.audit.edits.laboratory import Laboratory
from melaudit.audit.groups.exclusive import MAX_SHARE_OF_OTHERS
from melaudit.audit.groups.likeness import MAX_IMAGES, Mined, likest, second_likest
from melaudit.audit.groups.portrait import outside_centre
from melaudit.audit.measure.visual_words import LIKENESS, UNIT, Noted, Sight
from melaudit.measurements import CHUNK, GRID, Measurements

RADIUS = 0.14
"""Radius of a place, as a share of the side. Chosen on models with known plants, where .1 to .2
find examples about as well."""
MAX_CLASSES = 2
"""Classes that are looked at, of many: those whose decisions owe most to one place."""
LOOKED_FOR = (
    "It was looked for at the place off the centre to which a decision owes most, by what such a "
    "place does in other images of those that it was chosen on. It may be several things."
)


@dataclass(frozen=True)
class Owing:
    """Images of a class that owe most to one place, and this place."""

    givers: Givers
    places: Bools
    """(n, GRID, GRID) off the centre."""
    excess: Floats
    """(n,) what speaks there for the decision, beyond what is usual."""


def mined_parts(
    table: Measurements, laboratory: Laboratory, sight: Sight, half: Bools
) -> list[Part]:
    """Choose a part of each predicted class by what it does, on half of the images (n,).

    Of many classes, of those whose decisions owe most to one place.
    """
    if sight.likeness is None:
        return []
    of_class = (givers(table, half, index) for index in range(len(table.classes)))
    known = [owing(table, those) for those in of_class if those is not None]
    known = sorted(known, key=lambda each: -float(np.median(each.excess)))[:MAX_CLASSES]
    found = (_part(each, table, laboratory, sight) for each in known)
    return by_turns([part for part in found if part is not None])


def owing(table: Measurements, those: Givers) -> Owing:
    """Return those images of a class that owe most to one place, `LOOKED_AT` of them at most."""
    rng = np.random.default_rng(table.seed)
    own, others = (
        np.sort(rng.choice(of, min(len(of), MAX_IMAGES), replace=False))
        for of in (those.rows, those.others)
    )
    more = _evidence(table, own) - _evidence(table, others).mean(0)
    more[:, outside_centre(GRID, GRID) == 0] = -np.inf
    flat = more.reshape(len(own), -1)
    at, excess = flat.argmax(1), flat.max(1)
    first = np.argsort(-excess, kind="stable")[:LOOKED_AT]
    row, column = (each[:, None, None] for each in np.divmod(at[first], GRID))
    y, x = np.mgrid[:GRID, :GRID]
    places = (y - row) ** 2 + (x - column) ** 2 <= (RADIUS * GRID) ** 2
    return Owing(Givers(those.predicted, own[first], those.others), places, excess[first])


def _evidence(table: Measurements, rows: Rows) -> Floats:
    """Return what speaks for the decision around each cell: (k, GRID, GRID)."""
    positive, negative = (
        np.nan_to_num(maps[rows].astype(np.float64), nan=0, posinf=0, neginf=0)
        for maps in (table["relevance.positive"], table["relevance.negative"])
    )
    signed = positive - negative
    return np.stack([cv2.GaussianBlur(each, (0, 0), RADIUS * GRID / 2) for each in signed])


def _part(known: Owing, table: Measurements, laboratory: Laboratory, sight: Sight) -> Part | None:
    """Return what is like the examples of a class; None for too few of them."""
    those, preprocessing = known.givers, laboratory.viewer.preprocessing

    def give(k: int, row: int, recipient: RGB) -> RGB | None:
        region = whole(on_picture(known.places[k], recipient.shape[:2], preprocessing))
        for _, donor in laboratory.pictures([row]):
            return transplanted(recipient, donor, region)
        return None

    pushed = pushes(those, give, table, laboratory)
    chosen = pushed.examples
    if len(chosen) < MIN_SOURCES or sight.likeness is None:
        return None
    noted, rows = table[LIKENESS], those.rows[chosen]
    donors = dict(zip(rows.tolist(), known.places[chosen], strict=True))
    likes = _described(noted, donors)
    cosines = likest(noted, likes)
    cosines[np.arange(len(rows)), rows] = -1  # an image says nothing of being like itself
    shown = second_likest(cosines.T)
    # Images of the class that move nothing lack it, too: it is not what the class looks like.
    lacking = shown[np.concatenate([those.others, those.rows[pushed.still]])]
    bound = float(np.quantile(lacking, 1 - MAX_SHARE_OF_OTHERS, method="higher"))
    mined = Mined(likes, bound, float(lacking.mean()))
    amount = mined.amounts(shown)
    amount[rows] = np.maximum(amount[rows], 1 / MAX_LACKING)  # as clearly as others lack it
    return Part(
        those.predicted,
        amount,
        partial(_places, noted, mined, donors),
        float(pushed.moved[chosen].mean()),
        0.0,
        LOOKED_FOR,
        partial(seeing_mined, how=sight.likeness, mined=mined),
        donors=rows,
    )


def _described(noted: Noted, donors: Mapping[int, Bools]) -> NDArray[np.float32]:
    """Return the description in the middle of the place of each example: (d, k)."""
    side = noted.shape[1]
    middles = [
        noted[row, *(int(np.mean(each) * side / GRID) for each in np.nonzero(there))]
        for row, there in donors.items()
    ]
    return np.stack(middles).astype(np.float32) / np.float32(UNIT)


def _places(noted: Noted, mined: Mined, donors: Mapping[int, Bools], rows: Rows) -> Bools:
    """Return where images show the part: (k, GRID, GRID)."""
    found = np.empty((len(rows), GRID, GRID), bool)
    for start in range(0, len(rows), CHUNK):
        some = mined.places(noted[rows[start : start + CHUNK]])
        times = GRID // some.shape[1]
        found[start : start + CHUNK] = some.repeat(times, 1).repeat(times, 2)
    for k, row in enumerate(rows.tolist()):
        if row in donors:
            found[k] = donors[row]
    return found
