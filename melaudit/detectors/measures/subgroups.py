"""Groups of images by a column of the data table, and how the model does on each of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from melaudit.statistics.estimates import (
    Estimate,
    Tested,
    difference,
    odds_ratio,
    permutation_test,
    proportion,
    share_of,
)

MIN_IMAGES = 20
"""Labelled images of a group, at least: the half-width of Wilson's interval is .2 there."""
MAX_GROUPS = 12
"""Groups of one column that are compared, the largest first."""
AGES = (30, 50, 70)
"""Where ages are cut."""

RowMask = NDArray[np.bool_]


@dataclass(frozen=True)
class Grouping:
    """A column cut into groups."""

    column: str
    names: tuple[str, ...]
    """The groups that are large enough, the largest first."""
    member: NDArray[np.int64]
    """(n,) index of the group; -1 for a group that is too small, -2 where nothing is known."""

    @property
    def too_few(self) -> int:
        """Images in groups that are too small."""
        return int((self.member == -1).sum())


def grouping(
    column: str, cells: NDArray[np.object_], usable: RowMask, fewest: int = MIN_IMAGES
) -> Grouping:
    """Cut a column (n,) into groups of at least `fewest` usable images each.

    Ages are cut at `AGES`; numbers of other columns are names of groups as they stand.
    """
    words = [_group(column, cell) for cell in cells]
    counts = Counter(w for w, use in zip(words, usable, strict=True) if use and w is not None)
    large = [name for name, n in counts.most_common(MAX_GROUPS) if n >= fewest]
    place = {name: i for i, name in enumerate(large)}
    member = np.array([-2 if w is None else place.get(w, -1) for w in words], np.int64)
    return Grouping(column, tuple(large), np.where(usable, member, -2))


def _group(column: str, cell: object) -> str | None:
    if cell is None or cell == "" or (isinstance(cell, float) and np.isnan(cell)):
        return None
    if column != "age":
        whole = isinstance(cell, float) and cell.is_integer()
        return str(int(cell)) if whole and isinstance(cell, float) else str(cell)
    try:
        age = float(str(cell))
    except ValueError:
        return str(cell)
    cut = int(np.searchsorted(AGES, age, side="right"))
    if cut == 0:
        return f"under {AGES[0]}"
    return f"{AGES[-1]} and over" if cut == len(AGES) else f"{AGES[cut - 1]} to {AGES[cut] - 1}"


@dataclass(frozen=True)
class Gap:
    """How much more or less often the model is right on a group than on all others."""

    group: int
    measure: str
    """sensitivity, specificity or accuracy."""
    own: Estimate
    rest: Estimate
    n_own: int
    n_rest: int
    difference: Tested
    """Group minus rest; p is exact (Fisher), or by permutation of patients where they are known."""


def gaps(
    groups: Grouping,
    right: RowMask,
    measures: Sequence[tuple[str, RowMask]],
    patients: NDArray[np.object_] | None,
    seed: int,
) -> list[Gap]:
    """Compare how often the model is right on each group with the others, for each measure.

    `right` (n,); `measures` names the images over which a rate is taken: sensitivity is the rate
    over images of the positive class. A cell of fewer than `MIN_IMAGES` images is not compared.
    """
    found = []
    for name, over in measures:
        for group in range(len(groups.names)):
            own = over & (groups.member == group)
            rest = over & (groups.member >= -1) & (groups.member != group)
            if own.sum() >= MIN_IMAGES and rest.sum() >= MIN_IMAGES:
                found.append(_gap(group, name, right, own, rest, patients, seed))
    return found


def _gap(
    group: int,
    measure: str,
    right: RowMask,
    own: RowMask,
    rest: RowMask,
    patients: NDArray[np.object_] | None,
    seed: int,
) -> Gap:
    split = (None, None) if patients is None else (patients[own], patients[rest])
    estimate = difference(share_of(right[own], split[0]), share_of(right[rest], split[1]))
    a, b = int(right[own].sum()), int(right[rest].sum())
    n_own, n_rest = int(own.sum()), int(rest.sum())
    if patients is None:
        p = odds_ratio([[a, n_own - a], [b, n_rest - b]]).p_value
    else:
        p = _by_patient(right, own, rest, patients, seed)
    tested = Tested(estimate.value, estimate.low, estimate.high, p)
    return Gap(group, measure, proportion(a, n_own), proportion(b, n_rest), n_own, n_rest, tested)


def _by_patient(
    right: RowMask, own: RowMask, rest: RowMask, patients: NDArray[np.object_], seed: int
) -> float:
    """Return the p-value of the patients' mean rates; images of a patient are one observation."""
    rates, member = [], []
    for rows, inside in ((own, True), (rest, False)):
        _, index = np.unique(patients[rows], return_inverse=True)
        rate = np.bincount(index, right[rows]) / np.bincount(index)
        rates.append(rate)
        member.append(np.full(len(rate), inside))
    return permutation_test(np.concatenate(rates), np.concatenate(member), seed)
