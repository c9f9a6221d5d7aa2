"""Gradient x input: the fallback that needs nothing of a model but a gradient.

R_i = x_i dz/dx_i (Shrikumar et al., Not Just a Black Box, 2016), where z is the explained logit. In
a network without biases whose only non-linearities are piecewise linear, the map sums to z and
equals that of LRP's epsilon rule (Ancona et al., Towards Better Understanding of Gradient-based
Attribution Methods, ICLR 2018). In all others it sums to something else, and it is not known where
the rest went, so there is no ledger. The maps are grainy, like the gradient of a deep network.

A layer's concepts are gradient x activation there, summed over space. The conditional map of a
channel is the chain rule through that channel alone: x_i sum_p (dz/da_p) (da_p/dx_i) over the
channel's positions p. For a layer that every path passes, the maps of all channels sum to the whole
map.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.autograd.graph import GradientEdge, get_gradient_edge

from melaudit.errors import RelevanceError, out_of_memory
from melaudit.logits import predictions
from melaudit.relevance.interface import Attribution, Channels, of_each
from melaudit.relevance.model.intact import remember_state
from melaudit.relevance.model.layers import channel_sums, find_layer, first_tensor
from melaudit.relevance.model.outputs import find_logits, start_relevance
from melaudit.relevance.model.tokens import channels_first
from melaudit.relevance.places import sums_within


class GradientEngine:
    """Gradient x input, and gradient x activation at layers, by plain autograd without rules."""

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
        forward = run_with_gradients(self.model, x, target, layers, self.num_classes)
        of_image, of_layers = forward.gradients()
        return Attribution(
            logits=forward.logits.detach(),
            start=forward.start,
            maps=(forward.image.detach() * of_image).sum(1),
            concepts=forward.concepts(of_layers),
            target=forward.target,
        )

    def conditional(self, x: Tensor, target: Tensor, layer: str, channels: Channels) -> Tensor:
        """Return (N, k, H, W): the gradient through each channel, times the input."""
        forward = run_with_gradients(self.model, x, target, [layer], self.num_classes)
        edges = [call.edge for call in forward.calls[layer]]
        of_layer = forward.gradients()[1][layer]
        maps = []
        rows = torch.arange(len(x), device=x.device)
        for of_images in of_each(channels, len(x)).to(x.device).unbind(1):
            starts = [torch.zeros_like(gradient) for gradient in of_layer]
            for start, gradient in zip(starts, of_layer, strict=True):
                channels_first(start)[rows, of_images] = channels_first(gradient)[rows, of_images]
            (through,) = torch.autograd.grad(
                edges, [forward.image], starts, retain_graph=True, allow_unused=True
            )
            of_image = torch.zeros_like(forward.image) if through is None else through
            maps.append((forward.image.detach() * of_image).sum(1))
        return torch.stack(maps, 1)

    def within(self, x: Tensor, target: Tensor, layer: str, masks: Tensor) -> Tensor:
        """Return (N, m, channels): what each channel's conditional map sums to in masks (m, H, W).

        Raises RelevanceError for a model whose gradient cannot be differentiated.
        """
        forward = run_with_gradients(self.model, x, target, [layer], self.num_classes)
        edges = [call.edge for call in forward.calls[layer]]
        of_layer = forward.gradients()[1][layer]
        sums = sums_within(edges, of_layer, forward.image, forward.image.detach(), masks)
        if sums is None:
            raise RelevanceError(
                "the model's gradient cannot be differentiated once more, so the channels cannot "
                "be ranked; use --engine dataflow"
            )
        by_channel = [torch.stack([channel_sums(s, layer) for s in of]).sum(0) for of in sums]
        return torch.stack(by_channel, 1)

    def operations(self, x: Tensor) -> tuple[tuple[str, str, int], ...]:
        """Return nothing: every operation uses its plain gradient."""
        return ()


@dataclass(frozen=True)
class LayerOutput:
    """The output of one call of a layer."""

    value: Tensor
    """A copy; what is written into the output later does not reach it."""
    edge: GradientEdge


@dataclass
class GradientPass:
    """One plain forward pass, from which gradients can be computed."""

    image: Tensor
    """(N, C, H, W), a leaf."""
    logits: Tensor
    """(N, K)."""
    target: Tensor
    """(N,) the classes explained."""
    calls: dict[str, list[LayerOutput]] = field(default_factory=dict)
    """Layer -> its outputs, one for each call."""

    @property
    def start(self) -> Tensor:
        """Return the explained quantity (N,)."""
        return start_relevance(self.logits.detach(), self.target).sum(1)

    def gradients(self) -> tuple[Tensor, dict[str, list[Tensor]]]:
        """Return dz/dx (N, C, H, W), and layer -> dz/da for each of its calls: one backward pass.

        Raises RelevanceError when autograd cannot go back through the model.
        """
        calls = [call for noted in self.calls.values() for call in noted]
        grad: Callable[..., tuple[Tensor | None, ...]] = torch.autograd.grad
        score = start_relevance(self.logits, self.target).sum()
        into = [self.image, *(call.edge for call in calls)]
        try:
            found = grad([score], into, retain_graph=True, allow_unused=True)
        except RuntimeError as error:
            if out_of_memory(error):
                raise
            raise RelevanceError(
                f"gradients cannot go back through the model ({str(error).splitlines()[0]}); if it "
                "uses gradient checkpointing, switch that off"
            ) from error
        values = [self.image.detach(), *(call.value for call in calls)]
        gradients = (
            torch.zeros_like(value) if gradient is None else gradient
            for value, gradient in zip(values, found, strict=True)
        )
        return next(gradients), {
            layer: [next(gradients) for _ in noted] for layer, noted in self.calls.items()
        }

    def concepts(self, gradients: Mapping[str, Sequence[Tensor]]) -> dict[str, Tensor]:
        """Return layer -> gradient x activation (N, channels), summed over space and calls."""
        found = {}
        for layer, calls in self.calls.items():
            products = [c.value * g for c, g in zip(calls, gradients[layer], strict=True)]
            found[layer] = torch.stack([channel_sums(p, layer) for p in products]).sum(0)
        return found


def run_with_gradients(
    model: nn.Module,
    x: Tensor,
    target: Tensor | None,
    layers: Sequence[str],
    num_classes: int | None,
) -> GradientPass:
    """Run the model once on x (N, C, H, W) with gradients, and note the layers' outputs.

    None explains the predicted classes. Raises RelevanceError when the logits do not depend on x,
    when a layer does not exist or gives nothing that gradients reach, and for targets that the
    model has no outputs for.
    """
    calls: dict[str, list[LayerOutput]] = {layer: [] for layer in layers}
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
    start_relevance(logits.detach(), explained)  # raises an error if the targets do not fit
    return GradientPass(image, logits, explained, calls)


@contextmanager
def _noting(model: nn.Module, calls: dict[str, list[LayerOutput]]) -> Iterator[None]:
    """Note the outputs of the layers that are keys of `calls` while the `with` lasts."""
    handles = []
    for layer, noted in calls.items():

        def note(
            module: nn.Module, inputs: object, output: object, noted: list[LayerOutput] = noted
        ) -> None:
            tensor = first_tensor(output)
            if tensor is not None:
                noted.append(LayerOutput(tensor.detach().clone(), get_gradient_edge(tensor)))

        handles.append(find_layer(model, layer).register_forward_hook(note))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
