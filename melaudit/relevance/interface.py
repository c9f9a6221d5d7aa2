"""What an attribution engine takes and gives; engines are exchangeable behind `Explainer`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from torch import Tensor


@dataclass(frozen=True)
class Attribution:
    """The relevance of one batch; N images, K outputs, input (N, C, H, W)."""

    logits: Tensor
    """(N, K), as the model gave them."""
    start: Tensor
    """(N,) relevance put in at the output: the explained quantity itself (the target's logit)."""
    maps: Tensor
    """(N, H, W) relevance of the input, summed over channels; sums to `start` when conserved."""
    concepts: Mapping[str, Tensor]
    """Layer -> (N, channels): relevance at the layer, summed over space."""
    absorbed: Tensor | None = None
    """(N,) relevance taken by biases, stabilisers and normalisation on the way, so that
    maps.sum + absorbed = start; None when the engine does not keep these books."""
    unknown: tuple[str, ...] = ()
    """Operations met that the engine has no rule for."""
    peaks: Mapping[str, Tensor] = field(default_factory=dict)
    """Layer -> (N,) max|R| / |sum R| there; empty when the engine does not keep these books."""
    target: Tensor | None = None
    """(N,) int64, the classes explained: those asked for, or the predicted ones."""
    attention: Tensor | None = None
    """(N, channels) in 0..1, the model's own weights for a layer's channels, where it was asked for
    and the model has any."""
    absorbed_by: Mapping[str, Tensor] = field(default_factory=dict)
    """Layer -> (N,) its part of `absorbed`; empty when the engine does not keep these books."""
    outputs: Mapping[str, Tensor] = field(default_factory=dict)
    """Layer -> what it gave, (N, channels, h, w), where that was asked for."""


class Engine(Protocol):
    """Computes relevance for one model; entered once per run, leaves the model as it was."""

    name: str
    conserves: bool
    """Whether maps are meant to sum to what they explain, as LRP's are: by rules, from a composite.

    Maps of other methods (gradient x input, occlusion) sum to anything."""

    def __enter__(self) -> Engine: ...

    def __exit__(self, *exc: object) -> None: ...

    def attribute(self, x: Tensor, target: Tensor | None, layers: Sequence[str]) -> Attribution:
        """Explain `target` (N,) int64 for x (N, C, H, W), with concepts at the named layers.

        None explains the predicted class of each image, without a forward pass of its own.
        """
        ...

    def conditional(self, x: Tensor, target: Tensor, layer: str, channels: Sequence[int]) -> Tensor:
        """Return (N, len(channels), H, W): the map of what reaches the input through each channel.

        Each map sums to that channel's own relevance at the layer, where relevance is conserved.
        """
        ...

    def within(self, x: Tensor, target: Tensor, layer: str, masks: Tensor) -> Tensor:
        """Return (N, m, channels): what each channel's conditional map sums to in masks (m, H, W).

        NaN for channels that were not looked at, where an engine has to make map by map.
        """
        ...

    def operations(self, x: Tensor) -> tuple[tuple[str, str, int], ...]:
        """Return (operation, the rule that holds for it, calls) of one forward pass of x."""
        ...
