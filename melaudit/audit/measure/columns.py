"""What is kept of every image's maps, concepts and attention: as much, however large the model."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from melaudit.measurements import GRID, Array

MAX_ATTENDED = 8
"""Channels whose attention is kept for each image."""


def relevance_columns(maps: Tensor, concepts: Tensor | None) -> dict[str, Array]:
    """Return what is kept of the maps (N, H, W) and concepts (N, channels) of every image.

    Positive and negative relevance are pooled apart to (N, GRID, GRID), so that no evidence
    cancels within a cell, and divided by the image's total: both together sum to 1. A model without
    a concept layer has no concepts.
    """
    signs = torch.stack([maps.clamp(min=0), -maps.clamp(max=0)], 1)
    pooled = functional.adaptive_avg_pool2d(signs.double(), GRID)
    pooled = pooled / pooled.sum((1, 2, 3), keepdim=True).clamp_min(torch.finfo(torch.double).tiny)
    half = torch.float16
    columns = {
        "relevance.positive": pooled[:, 0].to(half).cpu().numpy(),
        "relevance.negative": pooled[:, 1].to(half).cpu().numpy(),
    }
    if concepts is not None:
        total = concepts.double().abs().sum(1, keepdim=True)
        shares = concepts.double() / total.clamp_min(torch.finfo(torch.double).tiny)
        columns["relevance.concepts"] = shares.to(half).cpu().numpy()
    return columns


def attention_columns(weights: Tensor) -> dict[str, Array]:
    """Return what is kept of a model's own attention over channels, weights (N, channels) in 0..1.

    `attention.channels` and `attention.weights` (N, MAX_ATTENDED or fewer) are the most attended
    channels, the first one most. `attention.entropy` (N,) is that of the weights made to sum to 1,
    in nats: its exponential is the number of channels that would hold as much if all were equal.
    """
    weights = weights.double()
    top = weights.topk(min(MAX_ATTENDED, weights.shape[1]))
    shares = weights / weights.sum(1, keepdim=True).clamp_min(torch.finfo(torch.double).tiny)
    return {
        "attention.channels": top.indices.int().cpu().numpy(),
        "attention.weights": top.values.float().cpu().numpy(),
        "attention.entropy": torch.special.entr(shares).sum(1).cpu().numpy(),
    }
