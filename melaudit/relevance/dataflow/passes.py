"""One forward pass, from which relevance is computed: of the input, of layers, through channels."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge

from melaudit.errors import RelevanceError, out_of_memory
from melaudit.logits import predictions
from melaudit.relevance.dataflow.flow import Flow
from melaudit.relevance.dataflow.steps import nonzero
from melaudit.relevance.interface import Attribution
from melaudit.relevance.model.outputs import start_relevance
from melaudit.relevance.places import sums_within
from melaudit.relevance.switches import exact

_AT_ONCE = 16
"""Images times conditions that one backward pass carries. Chosen: the size of a batch, so that it
needs no more memory than one."""


@dataclass(frozen=True)
class ConditionalMaps:
    """What reaches the input through m mixtures of a layer's channels, for N images."""

    maps: Tensor
    """(N, m, H, W)."""
    relevance: Tensor
    """(N, m) relevance of the mixture at the layer, where its map starts."""
    absorbed: Tensor | None
    """(N, m) relevance absorbed on the way, so that maps.sum + absorbed = relevance; None where the
    ledger is incomplete."""


class Pass:
    """One forward pass over N images, and the class explained for each of them.

    Without a `target` (N,) the predicted classes are explained.
    """

    def __init__(self, flow: Flow, logits: Tensor, target: Tensor | None) -> None:
        self.flow, self.logits = flow, logits
        self.target = predictions(logits.detach()) if target is None else target
        self.start = start_relevance(logits.detach(), self.target).sum(1)
        """(N,) the explained quantity: the target's logit, of one logit z or -z."""

    def attribution(self, keep: bool = False) -> Attribution:
        """Return relevance and ledger by one backward pass.

        With `keep` the pass can be used again; otherwise its memory is released on the way.
        """
        flow, taps, accounts = self.flow, self.flow.taps, self.flow.ledger.accounts
        edges = [tap.edge for tap in taps.values()]
        into: list[Tensor | GradientEdge] = [flow.leaf, *edges, *accounts.values()]
        c = _backward(self.logits, into, self._seed(), keep)
        at_layers = {
            name: tap.value * c_layer if c_layer is not None else torch.zeros_like(tap.value)
            for (name, tap), c_layer in zip(taps.items(), c[1 : 1 + len(taps)], strict=True)
        }
        zeros = flow.ledger.zeros
        absorbed = {
            layer: zeros if here is None else here
            for layer, here in zip(accounts, c[1 + len(taps) :], strict=True)
        }
        return Attribution(
            logits=self.logits.detach(),
            start=self.start,
            maps=self._map(c[0]),
            concepts={name: taps[name].by_channel(r) for name, r in at_layers.items()},
            absorbed=sum(absorbed.values(), zeros) if flow.ledger.complete else None,
            unknown=tuple(flow.unknown),
            peaks={name: _peaks(taps[name].by_image(r)) for name, r in at_layers.items()},
            target=self.target,
            absorbed_by=absorbed if flow.ledger.complete else {},
        )

    def conditional(self, layer: str, weights: Tensor) -> ConditionalMaps:
        """Return the maps of m mixtures of channels, one-hot for CRP.

        `weights` is (m, channels), the same for all images, or (m, N, channels), each image's own.
        Each map starts at the layer's output with the mixture's own relevance, so it contains
        nothing that goes round the layer. All maps share the forward pass and its denominators.
        """
        tap = self.flow.taps[layer]
        one_for_all, own = (tap.channels,), (tap.images, tap.channels)
        if weights.shape[1:] not in (one_for_all, own):
            raise RelevanceError(
                f"weights are of shape {tuple(weights.shape)} for the {tap.channels} channels of "
                f"layer {layer}; expected (mixtures, channels) or (mixtures, images, channels)"
            )
        (c,) = _backward(self.logits, [tap.edge], self._seed(), keep=True)
        c = torch.zeros_like(tap.value) if c is None else c
        starts = torch.stack([c * tap.along_channels(mixture) for mixture in weights.to(c)])
        relevance = torch.stack([tap.by_image(tap.value * start).sum(1) for start in starts], 1)
        size = max(1, _AT_ONCE // len(self.start))
        parts = [self._maps_from(tap.edge, some) for some in starts.split(size)]
        return ConditionalMaps(
            maps=torch.cat([maps for maps, _ in parts]).transpose(0, 1),
            relevance=relevance,
            absorbed=(
                torch.cat([taken for _, taken in parts]).transpose(0, 1)
                if self.flow.ledger.complete
                else None
            ),
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

    def _maps_from(self, edge: GradientEdge, starts: Tensor) -> tuple[Tensor, Tensor]:
        """Propagate c (m, ...) from a place in the graph, m times by one backward pass.

        Returns the maps (m, N, H, W), and what was absorbed (m, N).
        """
        accounts = self.flow.ledger.accounts.values()
        c, *absorbed = _backward_together(edge, [self.flow.leaf, *accounts], starts)
        leaf = nonzero(self.flow.leaf.detach())
        c = torch.zeros_like(leaf).expand(len(starts), *leaf.shape) if c is None else c
        nothing = self.flow.ledger.zeros.expand(len(starts), -1)
        return (leaf * c).sum(2), sum((a for a in absorbed if a is not None), nothing)

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
    """Propagate c from one place in the graph to several others; None where nothing arrives."""
    grad: Callable[..., tuple[Tensor | None, ...]] = torch.autograd.grad
    try:
        with exact():
            return grad([start], into, [seed], retain_graph=keep, allow_unused=True)
    except RuntimeError as error:
        if out_of_memory(error):
            raise
        raise RelevanceError(
            f"relevance cannot go back through the model ({str(error).splitlines()[0]}); if it "
            "uses gradient checkpointing, switch that off"
        ) from error


def _backward_together(
    edge: GradientEdge, into: Sequence[Tensor | GradientEdge], seeds: Tensor
) -> tuple[Tensor | None, ...]:
    """Propagate m seeds (m, ...) from one place at once; one by one where an operation forbids it.

    Results are (m, ...); None where nothing arrives. A model's own backward code may decide by
    values or write into a tensor, which cannot be done for several seeds together.
    """
    grad: Callable[..., tuple[Tensor | None, ...]] = torch.autograd.grad
    more = {"retain_graph": True, "allow_unused": True, "is_grads_batched": True}
    if len(seeds) > 1:
        try:
            with exact(), _no_word_of_slow_rules():
                return grad([edge], into, [seeds], **more)
        except RuntimeError as error:
            if out_of_memory(error):
                raise
    each = [_backward(edge, into, seed, keep=True) for seed in seeds]
    return tuple(
        None if any(c is None for c in place) else torch.stack([c for c in place if c is not None])
        for place in zip(*each, strict=True)
    )


@contextmanager
def _no_word_of_slow_rules() -> Iterator[None]:
    """Silence torch where it has no rule for several seeds and takes them one after another."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="There is a performance drop")
        yield


def _peaks(relevance: Tensor) -> Tensor:
    """Return max|R| / |sum R| of relevance (N, rest): (N,)."""
    return relevance.abs().amax(1) / relevance.sum(1).abs()
