"""What an engine takes and returns; `Explainer` works with any of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

import torch
from torch import Tensor

Channels = Sequence[int] | Tensor
"""Channels of a layer: the same for all N images, or (N, k) int64, each image's own."""


def of_each(channels: Channels, images: int) -> Tensor:
    """Return the channels of each image, (images, k) int64."""
    if isinstance(channels, Tensor):
        return channels
    return torch.tensor(list(channels), dtype=torch.int64).expand(images, -1)


@dataclass(frozen=True)
class Attribution:
    """The relevance of one batch; N images, K outputs, input (N, C, H, W)."""

    logits: Tensor
    """(N, K) of the forward pass under the engine."""
    start: Tensor
    """(N,) relevance put in at the output: the explained quantity itself, the target's logit."""
    maps: Tensor
    """(N, H, W) relevance of the input, summed over channels; sums to `start` when conserved."""
    concepts: Mapping[str, Tensor]
    """Layer -> (N, channels): relevance at the layer, summed over space."""
    absorbed: Tensor | None = None
    """(N,) relevance absorbed by biases, stabilisers and normalisation on the way, so that
    maps.sum + absorbed = start; None when the engine keeps no ledger."""
    unknown: tuple[str, ...] = ()
    """Operations of the model that the engine has no rule for."""
    peaks: Mapping[str, Tensor] = field(default_factory=dict)
    """Layer -> (N,) max|R| / |sum R| there: large where large values cancel; empty when the engine
    keeps no ledger."""
    target: Tensor | None = None
    """(N,) int64, the classes explained: those asked for, or the predicted ones."""
    attention: Tensor | None = None
    """(N, channels) in 0..1, the model's own weights for a layer's channels; None where they were
    not asked for or the model has none."""
    absorbed_by: Mapping[str, Tensor] = field(default_factory=dict)
    """Layer -> (N,) its share of `absorbed`; empty when the engine keeps no ledger."""
    outputs: Mapping[str, Tensor] = field(default_factory=dict)
    """Layer -> its output, (N, channels, h, w); empty where none was asked for."""


class TransformerPart(StrEnum):
    """What makes a model's maps depend on the composite: transformers are built of it.

    ConvNeXt and MLP-Mixer have the second one without the first; ResNets have neither.
    """

    ATTENTION = "attention"
    """A softmax of products of two signals that weighs a third."""
    LINEAR_ON_POSITIONS = "linear layers that work on every position"
    """An nn.Linear on the channels of each of several positions by itself; or a convolution that
    does the same with what LayerNorm or the like gives."""


class Engine(Protocol):
    """Computes relevance for one model; it is entered once per run and leaves the model as it was.

    A mask is a weight in 0..1 for each pixel. All methods raise RelevanceError for what the engine
    cannot explain.
    """

    name: str
    conserves: bool
    """Whether maps are meant to sum to what they explain, as LRP's do by its rules; maps of other
    methods (gradient x input, occlusion) need not."""

    def __enter__(self) -> Engine: ...

    def __exit__(self, *exc: object) -> None: ...

    def attribute(self, x: Tensor, target: Tensor | None, layers: Sequence[str]) -> Attribution:
        """Explain the classes `target` (N,) int64 for x (N, C, H, W), with concepts at the layers.

        None explains the predicted class of each image, without another forward pass.
        """
        ...

    def conditional(self, x: Tensor, target: Tensor, layer: str, channels: Channels) -> Tensor:
        """Return (N, k, H, W): the map of what reaches the input through each of k channels.

        Where relevance is conserved, a map sums to the channel's own relevance at the layer.
        """
        ...

    def within(self, x: Tensor, target: Tensor, layer: str, masks: Tensor) -> Tensor:
        """Return (N, m, channels): what each channel's conditional map sums to in masks (m, H, W).

        Where an engine has to make a map for each channel, it leaves the weakest out: NaN.
        """
        ...

    def operations(self, x: Tensor) -> tuple[tuple[str, str, int], ...]:
        """Return (operation, the rule that it follows, calls) for one forward pass of x."""
        ...
