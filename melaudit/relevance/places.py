"""Which channels look at a region of the image: relevance inside and outside of a mask.

A channel's conditional map is R = x * J^T (m c). Here c is the relevance per activation at the
layer, m selects the channel, and J^T is the linear map that propagates c from the layer to the
input x (see `dataflow.engine`; for gradient x input it is the transposed Jacobian). The sum of the
map over a mask M is

    <M x, J^T (m c)> = <J (M x), m c>,

so one product with J contains the sums of all channels, and no map is needed. Autograd computes it
by differentiating the backward pass once more. Each time it is checked that the result, summed over
channels, equals the sum of the whole map over M. This fails where an operation cannot be
differentiated twice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge

from melaudit.errors import RelevanceError, out_of_memory

Side = Literal["inside", "outside"]

MAX_CHANNELS_BY_MAP = 64
"""Channels whose maps are made where the sums of all cannot be computed at once: those with most
relevance. Chosen: a round figure, not measured."""

SUM_TOLERANCE = 1e-3
"""Share of the relevance in a mask by which the sums of all channels may differ from it. Chosen: a
round figure, not measured."""


@dataclass(frozen=True)
class Places:
    """What the channels of a layer look at, for N images."""

    layer: str
    inside: Tensor
    """(N, channels) the sum of each channel's conditional map inside of the mask; NaN for a channel
    that was not looked at. Relevance of both signs cancels."""
    outside: Tensor
    """(N, channels) the same outside of it."""

    def at(self, side: Side) -> Tensor:
        """Return the relevance (N, channels) on one side."""
        return self.inside if side == "inside" else self.outside

    def strongest(self, side: Side, count: int) -> Tensor:
        """Return the `count` channels (N, count) with most |relevance| on a side, in that order."""
        strength = self.at(side).abs().nan_to_num(nan=-1.0)
        return strength.argsort(dim=1, descending=True, stable=True)[:, :count]

    def share(self, side: Side) -> Tensor:
        """Return the share (N, channels) of |inside| + |outside| on a side; NaN for 0 / 0."""
        return self.at(side).abs() / (self.inside.abs() + self.outside.abs())


def disk(height: int, width: int, radius: float) -> Tensor:
    """Return a mask (height, width) that is 1 where a pixel's centre is inside of a centred disk.

    `radius` is a share of half the shorter side: 1 touches the nearer borders.
    """
    rows = torch.arange(height) + 0.5 - height / 2
    columns = torch.arange(width) + 0.5 - width / 2
    within = rows[:, None] ** 2 + columns[None] ** 2 <= (radius * min(height, width) / 2) ** 2
    return within.float()


def both_sides(mask: Tensor, x: Tensor) -> Tensor:
    """Return the inside and the outside (2, H, W) of a mask (H, W) for images x (N, C, H, W).

    Raises RelevanceError for a mask of another size.
    """
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
    """Return for each mask (m, H, W) what each element of the layer adds to the map inside of it.

    `edges` are the places of the layer's outputs (one for each call) in the graph, and `starts` the
    tensors that the backward pass of the whole layer starts with there. `image` is the leaf (N, C,
    H, W), and `values` is what the gradient at the image is multiplied by. The results have the
    shapes of the starts. None where the backward pass, or part of it, cannot be differentiated.
    """
    grad: Callable[..., tuple[Tensor | None, ...]] = torch.autograd.grad
    leaves = [start.detach().clone().requires_grad_() for start in starts]
    try:
        (down,) = grad(
            list(edges), [image], leaves, retain_graph=True, create_graph=True, allow_unused=True
        )
        if down is None or not down.requires_grad:
            return None
        inside = [(values * down * mask).sum() for mask in masks]
        found = [grad([i], leaves, retain_graph=True, allow_unused=True) for i in inside]
    except RuntimeError as error:
        if out_of_memory(error):
            raise
        return None  # an operation without a second derivative
    contributions = [
        [
            torch.zeros_like(start) if gradient is None else gradient * start.detach()
            for gradient, start in zip(gradients, starts, strict=True)
        ]
        for gradients in found
    ]
    scale = sum(float((values * down * mask).detach().abs().sum()) for mask in masks)
    for whole, elements in zip(inside, contributions, strict=True):
        total = sum(float(element.sum()) for element in elements)
        if abs(float(whole.detach()) - total) > SUM_TOLERANCE * scale:
            return None
    return contributions


def sums_by_maps(
    conditional: Callable[[Tensor, Tensor, Sequence[int]], Tensor],
    x: Tensor,
    target: Tensor,
    relevance: Tensor,
    masks: Tensor,
) -> Tensor:
    """Return (N, m, channels), the sums in masks (m, H, W), from maps of the strongest channels.

    `conditional(x, target, channels)` gives maps (N, k, H, W). `relevance` (N, channels) says which
    channels are the strongest of each image; the others are NaN.
    """
    n, channels = relevance.shape
    sums = masks.new_full((n, len(masks), channels), torch.nan)
    for i in range(n):
        strongest = relevance[i].abs().argsort(descending=True)[:MAX_CHANNELS_BY_MAP]
        maps = conditional(x[i : i + 1], target[i : i + 1], strongest.tolist())[0]
        sums[i][:, strongest] = torch.einsum("khw,mhw->mk", maps.to(masks), masks)
    return sums
