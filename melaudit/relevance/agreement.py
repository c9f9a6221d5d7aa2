"""How far two explanations of one decision agree about the place: one number per image."""

from __future__ import annotations

import torch
from scipy.stats import rankdata
from torch import Tensor
from torch.nn import functional

from melaudit.errors import RelevanceError

FINEST = 16
"""Most cells a side that maps are compared on: relevance scatters from pixel to pixel."""


def agreement(a: Tensor, b: Tensor) -> Tensor:
    """Return the agreement (N,) of maps a (N, h, w) and b (N, h', w') of the same images.

    It is the rank correlation (Spearman's, ties take the mean rank) between the positive parts of
    both maps, averaged over the cells of one grid: the coarser map's own, at most `FINEST` cells a
    side. 1 says that both rank the places alike, 0 that they have nothing to do with each other.
    NaN where one map is the same everywhere, as when nothing speaks for the class.
    """
    if a.ndim != 3 or b.ndim != 3 or len(a) != len(b):
        raise RelevanceError(
            f"maps are {tuple(a.shape)} and {tuple(b.shape)}; expected (N, h, w) of the same N"
        )
    grid = min(a.shape[1], b.shape[1], FINEST), min(a.shape[2], b.shape[2], FINEST)
    p, q = _ranks(a, grid), _ranks(b, grid)
    spread = p.square().sum(1) * q.square().sum(1)
    correlation = (p * q).sum(1) / spread.sqrt()
    return torch.where(spread > 0, correlation.clamp(-1, 1), torch.nan)


def _ranks(maps: Tensor, grid: tuple[int, int]) -> Tensor:
    """Return the ranks of the cells (N, cells) about their mean, in float64."""
    positive = maps.detach().cpu().double().clamp(min=0)
    cells = functional.adaptive_avg_pool2d(positive[:, None], grid).flatten(1)
    ranks = torch.from_numpy(rankdata(cells.numpy(), axis=1))
    return ranks - ranks.mean(1, keepdim=True)
