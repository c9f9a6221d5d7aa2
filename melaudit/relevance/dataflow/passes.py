"""One forward pass, ready to be asked for relevance: of the input, of layers, through channels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge

from melaudit.errors import RelevanceError
from melaudit.logits import predictions
from melaudit.relevance.dataflow.flow import Flow
from melaudit.relevance.dataflow.steps import nonzero
from melaudit.relevance.interface import Attribution
from melaudit.relevance.model.outputs import start_relevance
from melaudit.relevance.places import sums_within
from melaudit.relevance.switches import exact

MAPS_AT_ONCE = 32
"""Maps, counted over all images, made in one backward pass: more cost memory and gain nothing."""


@dataclass(frozen=True)
class Through:
    """What reaches the input through m mixtures of a layer's channels, for N images."""

    maps: Tensor
    """(N, m, H, W)."""
    relevance: Tensor
    """(N, m) relevance of the mixture at the layer, where its map starts."""
    absorbed: Tensor | None
    """(N, m) taken on the way, so that maps.sum + absorbed = relevance; None without books."""


class Pass:
    """One forward pass over N images, and the class of each that is explained."""

    def __init__(self, flow: Flow, logits: Tensor, target: Tensor | None) -> None:
        self.flow, self.logits = flow, logits
        self.target = predictions(logits.detach()) if target is None else target
        self.start = start_relevance(logits.detach(), self.target).sum(1)
        """(N,) the explained quantity: the target's logit, of one logit z or -z."""

    def attribution(self, keep: bool = False) -> Attribution:
        """Return relevance and books by one backward pass.

        With `keep` the pass can be asked again; otherwise its memory goes as the relevance does.
        """
        flow, taps, pages = self.flow, self.flow.taps, self.flow.books.pages
        edges = [tap.edge for tap in taps.values()]
        into: list[Tensor | GradientEdge] = [flow.leaf, *edges, *pages.values()]
        c = _backward(self.logits, into, self._seed(), keep)
        at_layers = {
            name: tap.value * c_layer if c_layer is not None else torch.zeros_like(tap.value)
            for (name, tap), c_layer in zip(taps.items(), c[1 : 1 + len(taps)], strict=True)
        }
        nothing = flow.books.nothing
        absorbed = {
            layer: nothing if taken is None else taken
            for layer, taken in zip(pages, c[1 + len(taps) :], strict=True)
        }
        return Attribution(
            logits=self.logits.detach(),
            start=self.start,
            maps=self._map(c[0]),
            concepts={name: taps[name].by_channel(r) for name, r in at_layers.items()},
            absorbed=sum(absorbed.values(), nothing) if flow.books.kept else None,
            unknown=tuple(flow.unknown),
            peaks={name: _peaks(taps[name].by_image(r)) for name, r in at_layers.items()},
            target=self.target,
            absorbed_by=absorbed if flow.books.kept else {},
        )

    def through(self, layer: str, weights: Tensor) -> Through:
        """Return the maps of mixtures of channels: `weights` is (m, channels), one-hot for CRP.

        Each map starts at the layer's output, with the mixture's own relevance, so nothing that
        goes round the layer is in it. The forward pass and all denominators are shared.
        """
        tap = self.flow.taps[layer]
        if weights.ndim != 2 or weights.shape[1] != tap.channels:
            raise RelevanceError(
                f"weights are of shape {tuple(weights.shape)} for the {tap.channels} channels of "
                f"layer {layer}; expected (mixtures, channels)"
            )
        (c,) = _backward(self.logits, [tap.edge], self._seed(), keep=True)
        c = torch.zeros_like(tap.value) if c is None else c
        starts = [c * tap.along_channels(w) for w in weights.to(c)]
        size = max(1, MAPS_AT_ONCE // len(self.start))
        maps, absorbed = [], []
        for first in range(0, len(starts), size):
            some_maps, some_absorbed = self._down(tap.edge, starts[first : first + size])
            maps.append(some_maps)
            absorbed.append(some_absorbed)
        relevance = [tap.by_image(tap.value * start).sum(1) for start in starts]
        return Through(
            maps=torch.cat(maps).transpose(0, 1),
            relevance=torch.stack(relevance, 1),
            absorbed=torch.cat(absorbed).transpose(0, 1) if self.flow.books.kept else None,
        )

    def within(self, layer: str, masks: Tensor) -> Tensor | None:
        """Return (N, m, channels): what each channel's map sums to in masks (m, H, W).

        All channels at once, without a map (see `places`); None where the model does not allow it.
        """
        tap, leaf = self.flow.taps[layer], self.flow.leaf
        (c,) = _backward(self.logits, [tap.edge], self._seed(), keep=True)
        c = torch.zeros_like(tap.value) if c is None else c
        sums = sums_within([tap.edge], [c], leaf, nonzero(leaf.detach()), masks)
        if sums is None:
            return None
        return torch.stack([tap.by_channel(of_mask[0]) for of_mask in sums], 1)

    def _down(self, edge: GradientEdge, starts: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Send several c down from one place: maps (m, N, H, W), and absorbed (m, N)."""
        into = [self.flow.leaf, *self.flow.books.pages.values()]
        nothing = self.flow.books.nothing

        def down(start: Tensor) -> tuple[Tensor, Tensor]:
            c, *taken = _backward(edge, into, start, keep=True)
            return self._map(c), sum((t for t in taken if t is not None), nothing)

        together = [down(start) for start in starts]
        return torch.stack([m for m, _ in together]), torch.stack([a for _, a in together])

    def _seed(self) -> Tensor:
        """Return c at the logits: 1 for the target, -1 for class 0 of a single logit."""
        return start_relevance(torch.ones_like(self.logits), self.target)

    def _map(self, c: Tensor | None) -> Tensor:
        """Return R = x c of the input, summed over channels: (N, H, W)."""
        leaf = self.flow.leaf.detach()
        return torch.zeros_like(leaf).sum(1) if c is None else (nonzero(leaf) * c).sum(1)


def _backward(
    start: Tensor | GradientEdge, into: Sequence[Tensor | GradientEdge], seed: Tensor, keep: bool
) -> tuple[Tensor | None, ...]:
    """Send c down from one place in the graph to several others; None where none arrives."""
    grad: Callable[..., tuple[Tensor | None, ...]] = torch.autograd.grad
    try:
        with exact():
            return grad([start], into, [seed], retain_graph=keep, allow_unused=True)
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:
        raise RelevanceError(
            f"relevance cannot go back through the model ({str(error).splitlines()[0]}); if it "
            "uses gradient checkpointing, switch that off"
        ) from error


def _peaks(relevance: Tensor) -> Tensor:
    """Return max|R| / |sum R| of relevance (N, rest): (N,)."""
    return relevance.abs().amax(1) / relevance.sum(1).abs()
