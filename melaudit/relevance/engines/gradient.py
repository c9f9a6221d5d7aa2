"""Gradient x input: the fallback that asks no more of a model than a gradient.

R_i = x_i dz/dx_i (Shrikumar et al., Not Just a Black Box, 2016), z the explained logit. On a
network without biases whose only non-linearities are piecewise linear the map sums to z, and LRP's
epsilon rule gives the same map (Ancona et al., Towards Better Understanding of Gradient-based
Attribution Methods, ICLR 2018). On all others it sums to something else, and nothing says where the
rest went, so no books are kept. The maps are grainy: the gradient of a deep network is.

A layer's concepts are gradient x activation there, summed over space. The conditional map of a
channel is the chain rule through that channel alone: x_i sum_p (dz/da_p) (da_p/dx_i) over the
channel's places p. The maps of all channels of a layer that every path passes sum to the whole map.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.autograd.graph import GradientEdge, get_gradient_edge

from melaudit.errors import RelevanceError
from melaudit.logits import predictions
from melaudit.relevance.interface import Attribution
from melaudit.relevance.model.intact import remember_state
from melaudit.relevance.model.layers import channel_sums, find_layer, first_tensor
from melaudit.relevance.model.outputs import find_logits, start_relevance
from melaudit.relevance.places import sums_within


class GradientEngine:
    """Gradient x input, and gradient x activation at layers; plain autograd, no rules."""

    conserves = False

    def __init__(self, model: nn.Module, num_classes: int | None = None) -> None:
        self.model, self.num_classes = model, num_classes
        self.name = "gradient x input (concepts: gradient x activation)"
        self._restore: Callable[[], None] | None = None

    def __enter__(self) -> GradientEngine:
        self._restore = remember_state(self.model)
        self.model.eval()
        return self

    def __exit__(self, *exc: object) -> None:
        if self._restore is not None:
            self._restore()
        self._restore = None

    def attribute(self, x: Tensor, target: Tensor | None, layers: Sequence[str]) -> Attribution:
        """Explain `target` (N,) for x (N, C, H, W): one forward and one backward pass for all."""
        seen = gradients(self.model, x, target, layers, self.num_classes)
        at_image, slopes = seen.slopes()
        return Attribution(
            logits=seen.logits.detach(),
            start=seen.start,
            maps=(seen.image.detach() * at_image).sum(1),
            concepts=seen.concepts(slopes),
            target=seen.target,
        )

    def conditional(self, x: Tensor, target: Tensor, layer: str, channels: Sequence[int]) -> Tensor:
        """Return (N, len(channels), H, W): the gradient through each channel, times the input."""
        seen = gradients(self.model, x, target, [layer], self.num_classes)
        edges = [call.edge for call in seen.calls[layer]]
        slopes = seen.slopes()[1][layer]
        maps = []
        for channel in channels:
            starts = [torch.zeros_like(slope) for slope in slopes]
            for start, slope in zip(starts, slopes, strict=True):
                start[:, channel] = slope[:, channel]
            (gradient,) = torch.autograd.grad(
                edges, [seen.image], starts, retain_graph=True, allow_unused=True
            )
            of_image = torch.zeros_like(seen.image) if gradient is None else gradient
            maps.append((seen.image.detach() * of_image).sum(1))
        return torch.stack(maps, 1)

    def within(self, x: Tensor, target: Tensor, layer: str, masks: Tensor) -> Tensor:
        """Return (N, m, channels): what each channel's conditional map sums to in masks (m, H, W).

        Raises RelevanceError for a model whose gradient cannot be differentiated.
        """
        seen = gradients(self.model, x, target, [layer], self.num_classes)
        edges = [call.edge for call in seen.calls[layer]]
        slopes = seen.slopes()[1][layer]
        sums = sums_within(edges, slopes, seen.image, seen.image.detach(), masks)
        if sums is None:
            raise RelevanceError(
                "the model's gradient cannot be differentiated once more, so the channels cannot "
                "be ranked; use --engine dataflow"
            )
        by_channel = [torch.stack([channel_sums(s, layer) for s in of]).sum(0) for of in sums]
        return torch.stack(by_channel, 1)

    def operations(self, x: Tensor) -> tuple[tuple[str, str, int], ...]:
        """Return nothing: every operation takes its plain gradient."""
        return ()


@dataclass(frozen=True)
class Call:
    """The output of one call of a layer."""

    value: Tensor
    """As the layer gave it; what is later written into it does not reach it."""
    edge: GradientEdge


@dataclass
class Gradients:
    """One plain forward pass whose gradients can be asked for."""

    image: Tensor
    """(N, C, H, W), a leaf."""
    logits: Tensor
    """(N, K)."""
    target: Tensor
    """(N,)."""
    calls: dict[str, list[Call]] = field(default_factory=dict)
    """Layer -> its outputs."""

    @property
    def start(self) -> Tensor:
        """Return the explained quantity (N,)."""
        return start_relevance(self.logits.detach(), self.target).sum(1)

    def slopes(self) -> tuple[Tensor, dict[str, list[Tensor]]]:
        """Return dz/dx (N, C, H, W), and per layer dz/da for each of its calls: one backward pass.

        Raises RelevanceError when autograd cannot go back through the model.
        """
        calls = [call for noted in self.calls.values() for call in noted]
        grad: Callable[..., tuple[Tensor | None, ...]] = torch.autograd.grad
        score = start_relevance(self.logits, self.target).sum()
        into = [self.image, *(call.edge for call in calls)]
        try:
            found = grad([score], into, retain_graph=True, allow_unused=True)
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            raise RelevanceError(
                f"gradients cannot go back through the model ({str(error).splitlines()[0]}); if it "
                "uses gradient checkpointing, switch that off"
            ) from error
        values = [self.image.detach(), *(call.value for call in calls)]
        slopes = (
            torch.zeros_like(value) if slope is None else slope
            for value, slope in zip(values, found, strict=True)
        )
        return next(slopes), {
            layer: [next(slopes) for _ in noted] for layer, noted in self.calls.items()
        }

    def concepts(self, slopes: Mapping[str, Sequence[Tensor]]) -> dict[str, Tensor]:
        """Return, per layer, gradient x activation (N, channels), summed over space and calls."""
        found = {}
        for layer, calls in self.calls.items():
            products = [c.value * s for c, s in zip(calls, slopes[layer], strict=True)]
            found[layer] = torch.stack([channel_sums(p, layer) for p in products]).sum(0)
        return found


def gradients(
    model: nn.Module,
    x: Tensor,
    target: Tensor | None,
    layers: Sequence[str],
    num_classes: int | None,
) -> Gradients:
    """Run the model once on x (N, C, H, W) with gradients, and note the layers' outputs.

    Raises RelevanceError when the logits do not depend on x, or not on a layer.
    """
    calls: dict[str, list[Call]] = {layer: [] for layer in layers}
    with torch.enable_grad(), _noting(model, calls):
        image = x.detach().clone().requires_grad_()
        logits = find_logits(model(image), num_classes)
    if not logits.requires_grad:
        raise RelevanceError(
            "the model's logits do not depend on its input in a way that gradients follow "
            "(a detach, a no_grad or a round trip through numpy); give the model itself"
        )
    missing = [layer for layer, noted in calls.items() if not noted]
    if missing:
        raise RelevanceError(
            f"layer {missing[0]} gives no tensor that gradients reach; name another layer"
        )
    explained = predictions(logits.detach()) if target is None else target
    start_relevance(logits.detach(), explained)  # says so if the targets do not fit
    return Gradients(image, logits, explained, calls)


@contextmanager
def _noting(model: nn.Module, calls: dict[str, list[Call]]) -> Iterator[None]:
    """Note the outputs of the layers that are keys of `calls` meanwhile."""
    handles = []
    for layer, noted in calls.items():

        def note(
            module: nn.Module, inputs: object, output: object, noted: list[Call] = noted
        ) -> None:
            tensor = first_tensor(output)
            if tensor is not None:
                noted.append(Call(tensor.detach().clone(), get_gradient_edge(tensor)))

        handles.append(find_layer(model, layer).register_forward_hook(note))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
