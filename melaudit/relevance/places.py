"""Which channels look at a part of the image: relevance inside and outside of a mask.

A channel's conditional map is R = x * J^T (m c): c is the relevance per activation at the layer, m
picks the channel, J^T leads from the layer down to the input x (see `dataflow_engine`; for gradient
x input it is the transposed Jacobian). Its sum over a mask M is

    <M x, J^T (m c)> = <J (M x), m c>,

so one product with J, which autograd gives by differentiating the backward pass once more, holds
the sums of all channels, and no map is made. That the result, summed over channels, is what the
whole map holds in M is checked each time: an operation that cannot be differentiated twice shows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge

from melaudit.errors import RelevanceError

Side = Literal["inside", "outside"]

MAPS_INSTEAD = 64
"""Channels whose maps are made where the sums cannot be had at once: those with most relevance."""

CLOSES = 1e-3
"""Largest part of a mask's relevance by which the sums of all channels may differ from it."""


@dataclass(frozen=True)
class Places:
    """What the channels of a layer look at, for N images."""

    layer: str
    inside: Tensor
    """(N, channels) what each channel's conditional map sums to inside of the mask; NaN for a
    channel that was not looked at. Relevance of both signs cancels."""
    outside: Tensor
    """(N, channels) the same outside of it."""

    def at(self, side: Side) -> Tensor:
        """Return the relevance (N, channels) on one side."""
        return self.inside if side == "inside" else self.outside

    def strongest(self, side: Side, count: int) -> Tensor:
        """Return the `count` channels (N, count) with most |relevance| on a side, most first."""
        strength = self.at(side).abs().nan_to_num(nan=-1.0)
        return strength.argsort(dim=1, descending=True, stable=True)[:, :count]

    def share(self, side: Side) -> Tensor:
        """Return which part (N, channels) of |inside| + |outside| lies on a side; NaN for 0 / 0."""
        return self.at(side).abs() / (self.inside.abs() + self.outside.abs())


def disk(height: int, width: int, radius: float) -> Tensor:
    """Return a mask (height, width) that is 1 inside of a centred disk, by the pixels' centres.

    `radius` is a share of half the shorter side: 1 touches the nearer borders.
    """
    rows = torch.arange(height) + 0.5 - height / 2
    columns = torch.arange(width) + 0.5 - width / 2
    within = rows[:, None] ** 2 + columns[None] ** 2 <= (radius * min(height, width) / 2) ** 2
    return within.float()


def both_sides(mask: Tensor, x: Tensor) -> Tensor:
    """Return the inside and the outside (2, H, W) of a mask (H, W) for images x (N, C, H, W)."""
    if mask.shape != x.shape[2:]:
        raise RelevanceError(
            f"the mask is {tuple(mask.shape)} for images of {tuple(x.shape[2:])} pixels; expected "
            "one value per pixel"
        )
    inside = mask.to(x)
    return torch.stack([inside, 1 - inside])


def sums_within(
    edges: Sequence[GradientEdge],
    starts: Sequence[Tensor],
    image: Tensor,
    values: Tensor,
    masks: Tensor,
) -> list[list[Tensor]] | None:
    """Return, per mask (m, H, W), what each element of the layer adds to the map inside of it.

    `edges` are the layer's outputs (one per call) in the graph and `starts` what the backward pass
    of the whole layer starts from there; `image` is the leaf (N, C, H, W) and `values` what the
    gradient there is multiplied by. The result is in the shape of the starts. None where the
    backward pass cannot be differentiated, or not all of it.
    """
    grad: Callable[..., tuple[Tensor | None, ...]] = torch.autograd.grad
    leaves = [start.detach().clone().requires_grad_() for start in starts]
    try:
        (down,) = grad(
            list(edges), [image], leaves, retain_graph=True, create_graph=True, allow_unused=True
        )
        if down is None or not down.requires_grad:
            return None
        held = [(values * down * mask).sum() for mask in masks]
        found = [grad([h], leaves, retain_graph=True, allow_unused=True) for h in held]
    except torch.OutOfMemoryError:
        raise
    except RuntimeError:  # an operation without a second derivative
        return None
    shares = [
        [
            torch.zeros_like(start) if slope is None else slope * start.detach()
            for slope, start in zip(slopes, starts, strict=True)
        ]
        for slopes in found
    ]
    scale = sum(float((values * down * mask).detach().abs().sum()) for mask in masks)
    for whole, parts in zip(held, shares, strict=True):
        if abs(float(whole.detach()) - sum(float(part.sum()) for part in parts)) > CLOSES * scale:
            return None
    return shares


def sums_by_maps(
    conditional: Callable[[Tensor, Tensor, Sequence[int]], Tensor],
    x: Tensor,
    target: Tensor,
    relevance: Tensor,
    masks: Tensor,
) -> Tensor:
    """Return (N, m, channels) by making the maps of each image's strongest channels.

    `conditional(x, target, channels)` gives maps (N, k, H, W); `relevance` is (N, channels). The
    other channels are NaN.
    """
    n, channels = relevance.shape
    sums = masks.new_full((n, len(masks), channels), torch.nan)
    for i in range(n):
        strongest = relevance[i].abs().argsort(descending=True)[:MAPS_INSTEAD]
        maps = conditional(x[i : i + 1], target[i : i + 1], strongest.tolist())[0]
        sums[i][:, strongest] = torch.einsum("khw,mhw->mk", maps.to(masks), masks)
    return sums
