"""Two halves of the images: what is chosen on one may be tested on the other."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from melaudit.measurements import Measurements


def first_half(table: Measurements) -> NDArray[np.bool_]:
    """Return the images (n,) that things are chosen on; the others are for tests.

    Images of one patient (or lesion) are on one side. Each predicted class is halved, as far as
    patients allow. The same for a seed.
    """
    names = np.arange(len(table.ids)) if table.groups is None else table.groups
    units, first, unit_of = np.unique(names.astype(str), return_index=True, return_inverse=True)
    rng = np.random.default_rng(table.seed)
    chosen = np.zeros(len(units), bool)
    for predicted in np.unique(table.predictions):
        own = rng.permutation(np.flatnonzero(table.predictions[first] == predicted))
        chosen[own[: len(own) // 2]] = True
    half: NDArray[np.bool_] = chosen[unit_of]
    return half
