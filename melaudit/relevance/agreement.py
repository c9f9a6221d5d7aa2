"""How much two explanations of a decision agree about where the evidence is: a number per image."""

from __future__ import annotations

import torch
from scipy.stats import rankdata
from torch import Tensor
from torch.nn import functional

from melaudit.errors import RelevanceError

MAX_SIDE = 16
"""Cells a side on which maps are compared, at most: single pixels scatter. Chosen: a round figure,
not measured."""


def agreement(a: Tensor, b: Tensor) -> Tensor:
    """Return the agreement (N,) of maps a (N, h, w) and b (N, h', w') of the same images.

    It is Spearman's rank correlation (ties get the mean rank) between the positive parts of both
    maps, each averaged over the cells of one grid: that of the coarser map, with at most
    `MAX_SIDE`. 1 means that both rank all cells alike, 0 that they are unrelated. NaN where
    one of the maps has the same value everywhere, as when nothing speaks for the class.

    Raises RelevanceError for maps of other shapes.
    """
    if a.ndim != 3 or b.ndim != 3 or len(a) != len(b):
        raise RelevanceError(
            f"maps are {tuple(a.shape)} and {tuple(b.shape)}; expected (N, h, w) of the same N"
        )
    grid = (
        min(a.shape[1], b.shape[1], MAX_SIDE),
        min(a.shape[2], b.shape[2], MAX_SIDE),
    )
    p, q = _ranks(a, grid), _ranks(b, grid)
    spread = p.square().sum(1) * q.square().sum(1)
    correlation = (p * q).sum(1) / spread.sqrt()
    return torch.where(spread > 0, correlation.clamp(-1, 1), torch.nan)


def _ranks(maps: Tensor, grid: tuple[int, int]) -> Tensor:
    """Return the ranks of the cells (N, cells) minus their mean, in float64."""
    positive = maps.detach().cpu().double().clamp(min=0)
    cells = functional.adaptive_avg_pool2d(positive[:, None], grid).flatten(1)
    ranks = torch.from_numpy(rankdata(cells.numpy(), axis=1))
    return ranks - ranks.mean(1, keepdim=True)
