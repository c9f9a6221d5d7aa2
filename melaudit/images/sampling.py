"""Draw a seeded sample of images that is balanced over the labels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def sample(labels: NDArray[np.int64], size: int, seed: int) -> NDArray[np.bool_]:
    """Choose up to `size` rows, spread evenly over the labels (n,): a mask (n,).

    The same seed gives the same rows.
    """
    rng = np.random.default_rng(seed)
    chosen = np.zeros(len(labels), bool)
    queues = [list(rng.permutation(np.flatnonzero(labels == label))) for label in np.unique(labels)]
    for turn in range(min(size, len(labels))):
        queues = [queue for queue in queues if queue]
        chosen[queues[turn % len(queues)].pop()] = True
    return chosen
