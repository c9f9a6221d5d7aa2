"""What is kept of every image's maps, concepts and attention: as much, however large the model."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from melaudit.measurements import GRID, Array

MAX_ATTENDED = 8
"""Channels whose attention is kept for each image."""


MAP = "relevance.map"
"""The column of whole maps, which are kept of a small run alone."""
MAX_BYTES_OF_MAPS = 64_000_000
"""Bytes that the whole maps of a run may take on the disk; of a larger run none are kept, and those
that are shown are computed again. Chosen: 3,900 images of 128 pixels, 1,275 of 224."""
PEAK = 127
"""The number that the largest |value| of a map is kept as, in a byte for each pixel."""


def keeps_maps(images: int, height: int, width: int) -> bool:
    """Tell whether the whole maps of a run are kept; the same for every process of the run."""
    return images * height * width <= MAX_BYTES_OF_MAPS


def map_column(maps: Tensor) -> dict[str, Array]:
    """Return whole maps (N, H, W) as bytes, each scaled so that its largest |value| is `PEAK`.

    They are for the eye, and colours tell no more steps. What is not finite becomes 0.
    """
    finite = torch.nan_to_num(maps.float(), 0, 0, 0)
    peaks = finite.abs().amax((1, 2), keepdim=True).clamp_min(torch.finfo(torch.float32).tiny)
    return {MAP: (finite / peaks * PEAK).round().to(torch.int8).cpu().numpy()}


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
