"""How the model does on parts of the images: each label with an artifact, and without it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

from melaudit.findings import SlicePerformance

FEWEST = 5
"""A part of fewer images says nothing worth a row."""


def slices(
    labels: NDArray[np.int64],
    predictions: NDArray[np.int64],
    classes: tuple[str, ...],
    artifacts: Mapping[str, NDArray[np.bool_]],
) -> tuple[SlicePerformance, ...]:
    """Split each label of labels (n,) by each artifact (n,); intervals are Wilson's, 95 %.

    Pairs of which one part has fewer than `FEWEST` images are left out: nothing to compare with.
    """
    found = []
    for artifact, present in sorted(artifacts.items()):
        for index, name in enumerate(classes):
            of = labels == index
            parts = [(shown, of & (present == shown)) for shown in (True, False)]
            if min(int(mask.sum()) for _, mask in parts) < FEWEST:
                continue
            found += [
                _slice(name, artifact, shown, int((predictions[mask] == index).sum()), mask)
                for shown, mask in parts
            ]
    return tuple(found)


def _slice(
    label: str, artifact: str, shown: bool, right: int, mask: NDArray[np.bool_]
) -> SlicePerformance:
    n = int(mask.sum())
    interval = binomtest(right, n).proportion_ci(method="wilson")
    return SlicePerformance(
        label, artifact, shown, n, right / n, float(interval.low), float(interval.high)
    )
