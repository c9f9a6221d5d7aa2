"""How much relevance lies in a region of each image, and how much would lie there anyway.

Padding, the usual place of the object and the rule of the first layer put relevance on edges and
corners of every map, so the share in a region says little by itself. It is compared with the share
that maps of other images of the same predicted class have in the same place (on the same area).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from melaudit.measurements import GRID
from melaudit.statistics.estimates import CHUNK, Estimate, Tested

Array = NDArray[np.float64]

DRAWS = 2000
SHOWN, OTHERS = 400, 1600
"""Images of one class that enter, at most, with the artifact and without."""


def pooled(coverage: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return coverage (H, W), 0 to 1, on the grid: (GRID, GRID) in 255ths."""
    cells = functional.adaptive_avg_pool2d(torch.tensor(coverage)[None], GRID)[0]
    out: NDArray[np.uint8] = np.rint(cells.numpy() * 255).astype(np.uint8)
    return out


@dataclass(frozen=True)
class Shares:
    """What part of one map lies in a region."""

    absolute: float
    """Share of the absolute relevance."""
    signed: float
    """Positive minus negative relevance there, over all absolute relevance."""
    area: float
    """Share of the map's area."""


def shares(relevance: NDArray[np.float32], coverage: NDArray[np.float32]) -> Shares:
    """Return the part of a map (H, W) that lies in a region (H, W), coverage 0 to 1.

    The relevance is NaN for a map that is zero everywhere or not finite.
    """
    flat, region = relevance.ravel().astype(np.float64), coverage.ravel().astype(np.float64)
    area = float(region.mean())
    total = float(np.abs(flat).sum())
    if not 0 < total < np.inf:
        return Shares(float("nan"), float("nan"), area)
    return Shares(float(np.abs(flat) @ region) / total, float(flat @ region) / total, area)


@dataclass(frozen=True)
class Stratum:
    """The images of one predicted class; every map sums to 1 in absolute value."""

    masks: Array
    """(r, cells) coverage 0 to 1 of the artifact in each image that has it."""
    own: Array
    """(r, cells) maps of those images."""
    others: Array
    """(f, cells) maps of images without it."""


@dataclass(frozen=True)
class Excess:
    """Relevance on the artifact, against relevance in the same place without it."""

    own: float
    """Mean share on the artifact."""
    elsewhere: float
    """Mean share in the same place on images without it."""
    difference: Tested
    ratio: Estimate
    per_stratum: tuple[tuple[float, float], ...]
    """(own, elsewhere) of each stratum."""
    spread: float
    """Standard deviation of the share between images without it, in the same place."""
    n_own: int
    n_others: int


def excess(strata: Sequence[Stratum], seed: int) -> Excess:
    """Compare each map's share in its own mask with other maps' shares in that mask.

    Strata count by their images with the artifact. Intervals: bootstrap over images of both kinds.
    p: two-sided, from dealing all maps of a stratum to the masks anew, those left over standing in
    for the maps without the artifact.
    Raises ValueError without a stratum, or with one that lacks images of a kind.
    """
    if not strata or any(not len(s.own) or not len(s.others) for s in strata):
        raise ValueError("an excess needs images with and without the artifact in every stratum")
    rng = np.random.default_rng(seed)
    numbers = np.array([len(s.own) for s in strata], np.float64)
    weights = numbers / numbers.sum()
    per, drawn, null, spreads = [], [], [], []
    for stratum in strata:
        # share[i, k]: the part of map k that lies in mask i; the maps' own masks on the diagonal.
        share = stratum.masks @ np.concatenate([stratum.own, stratum.others]).T
        r = len(share)
        per.append((float(share.diagonal().mean()), float(share[:, r:].mean())))
        drawn.append(_bootstrap(share, rng))
        null.append(_dealt(share, rng))
        spreads.append(float(share[:, r:].mean(0).std()))
    own, elsewhere = np.array(per).T @ weights
    draws = np.tensordot(weights, np.array(drawn), 1)
    observed = own - elsewhere
    dealt = weights @ np.array(null)
    p = (1 + int((np.abs(dealt) >= abs(observed)).sum())) / (1 + DRAWS)
    low, high = np.quantile(draws[0] - draws[1], [0.025, 0.975])
    ratios = draws[0] / np.maximum(draws[1], 1e-12)
    return Excess(
        own=float(own),
        elsewhere=float(elsewhere),
        difference=Tested(float(observed), float(low), float(high), p),
        ratio=Estimate(
            float(own / max(elsewhere, 1e-12)), *map(float, np.quantile(ratios, [0.025, 0.975]))
        ),
        per_stratum=tuple(per),
        spread=float(np.average(spreads, weights=weights)),
        n_own=int(numbers.sum()),
        n_others=sum(len(s.others) for s in strata),
    )


def _bootstrap(share: Array, rng: np.random.Generator) -> Array:
    """Return (2, DRAWS): resampled mean shares of the own maps and of the others."""
    r, n = share.shape
    mine = rng.multinomial(r, np.full(r, 1 / r), DRAWS) / r
    theirs = rng.multinomial(n - r, np.full(n - r, 1 / (n - r)), DRAWS) / (n - r)
    return np.stack([mine @ share.diagonal(), ((mine @ share[:, r:]) * theirs).sum(1)])


def _dealt(share: Array, rng: np.random.Generator) -> Array:
    """Return (DRAWS,) differences when the masks are dealt to maps of the stratum by chance."""
    r, n = share.shape
    per_map = share.sum(0)
    out = np.empty(DRAWS)
    step = max(1, CHUNK // n)
    for start in range(0, DRAWS, step):
        stop = min(start + step, DRAWS)
        order = np.broadcast_to(np.arange(n), (stop - start, n))
        maps = rng.permuted(order, axis=1)[:, :r]
        rest = (per_map.sum() - per_map[maps].sum(1)) / (r * (n - r))
        out[start:stop] = share[np.arange(r), maps].mean(1) - rest
    return out
