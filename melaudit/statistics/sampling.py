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


def margin(drawn: int, of: int) -> float:
    """Return how far a share of a sample lies from that of all, at most, in 95 of 100 samples.

    A half of the 95 % interval of a share of a half, where it is widest, for a sample drawn without
    replacement (Cochran 1977, Sampling Techniques, 3.2). In proportion to classes it is no larger.
    """
    return float(1.96 * np.sqrt(0.25 / drawn * (of - drawn) / max(1, of - 1)))


def quotas(counts: NDArray[np.int64], limit: int) -> NDArray[np.int64]:
    """Divide `limit` in proportion to `counts` (k,), with at least 1 each if that is possible."""
    exact = counts * (limit / counts.sum())
    shares: NDArray[np.int64] = np.floor(exact).astype(np.int64)
    if limit >= len(counts):
        shares = np.maximum(shares, 1)
    while shares.sum() != limit:
        step = 1 if shares.sum() < limit else -1
        open_to = shares < counts if step > 0 else shares > 1
        gap = np.where(open_to, (exact - shares) * step, -np.inf)
        shares[int(gap.argmax())] += step
    return shares
