"""LRP and CRP by melaudit's own engine, which works on any architecture.

The model is run once as it is, and every torch operation is observed (see `dataflow.flow`). The
graph of that forward pass carries relevance per activation, c = R / a, in place of gradients. One
backward pass of autograd then gives the relevance of the input and of any layer, and what each
layer absorbed. One that starts at a layer's output gives the conditional map of a channel there.
No canonizer is needed, no module is replaced, no class name is known and no weight is changed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle
from zennit.core import Composite

from melaudit.errors import RelevanceError
from melaudit.relevance.dataflow.custom_functions import followed_inside
from melaudit.relevance.dataflow.flow import Flow
from melaudit.relevance.dataflow.linear_maps import Kernels
from melaudit.relevance.dataflow.operations import OPERATIONS
from melaudit.relevance.dataflow.passes import Pass
from melaudit.relevance.dataflow.rulebook import Rulebook
from melaudit.relevance.interface import Attribution, Channels, TransformerPart, of_each
from melaudit.relevance.layout import fast
from melaudit.relevance.model.intact import remember_state
from melaudit.relevance.model.layers import HEADS, find_layer, first_tensor, has_heads
from melaudit.relevance.model.outputs import find_logits
from melaudit.relevance.places import sums_by_maps
from melaudit.relevance.switches import eager, exact


class DataflowEngine:
    """LRP and CRP from the model's own operations; `composite` gives the rules.

    Between entering and leaving, the model is in evaluation mode and its modules carry hooks that
    note which of them runs. Leaving restores everything. Relevance is computed in the precision
    of the model's parameters, without TF32 and without autocast.

    `biased`: whether biases absorb their share under rules of one sign, as they do in zennit;
    otherwise they pass it on to the inputs.
    """

    conserves = True

    def __init__(
        self,
        model: nn.Module,
        composite: Composite,
        num_classes: int | None = None,
        biased: bool = False,
    ) -> None:
        self.model, self.composite, self.num_classes = model, composite, num_classes
        self.name = "melaudit dataflow"
        self._rulebook = Rulebook(composite, model, biased)
        self._kernels = Kernels()
        self._names: dict[int, str] = {}
        self._flow: Flow | None = None
        self._tapped: Sequence[str] = ()
        self._calls: Counter[str] = Counter()
        self._handles: list[RemovableHandle] = []
        self._restore: Callable[[], None] | None = None

    def __enter__(self) -> DataflowEngine:
        self._restore = remember_state(self.model)
        self.model.eval()
        self._names = {
            parameter.untyped_storage().data_ptr(): name
            for name, parameter in self.model.named_parameters()
            if name.rpartition(".")[2] not in ("weight", "bias")
        }
        for name, module in self.model.named_modules():
            enter, leave = partial(self._enter_module, name), partial(self._leave_module, name)
            self._handles.append(module.register_forward_pre_hook(enter))
            self._handles.append(module.register_forward_hook(leave))
        return self

    def __exit__(self, *exc: object) -> None:
        for handle in self._handles:
            handle.remove()
        self._handles.clear()
        self._kernels = Kernels()
        if self._restore is not None:
            self._restore()
        self._restore = None

    def attribute(self, x: Tensor, target: Tensor | None, layers: Sequence[str]) -> Attribution:
        """Explain `target` (N,) for x (N, C, H, W), with concepts at the named layers.

        One forward and one backward pass, whatever the number of layers. The result has the ledger:
        what biases, stabilisers and normalisations absorbed, in total and by layer. Raises
        RelevanceError as `run` does, and for targets that the model has no outputs for.
        """
        return self.run(x, target, layers).attribution()

    def conditional(self, x: Tensor, target: Tensor, layer: str, channels: Channels) -> Tensor:
        """Return (N, k, H, W): the map of what reaches the input through each of k channels.

        Each map starts at the layer's output with the channel's own relevance, so it contains
        nothing that goes round the layer. A layer into which a BatchNorm is folded is read behind
        the BatchNorm. Raises RelevanceError as `run` does, and for a channel that does not exist.
        """
        return _conditional(self.run(x, target, [layer]), layer, channels)

    def within(self, x: Tensor, target: Tensor, layer: str, masks: Tensor) -> Tensor:
        """Return (N, m, channels): what each channel's conditional map sums to in masks (m, H, W).

        All channels at once, from one forward pass; where the model does not allow that, by the
        maps of the strongest channels.
        """
        at_once = self.run(x, target, [layer]).within(layer, masks)
        return self._within_by_maps(x, target, layer, masks) if at_once is None else at_once

    def looks(
        self, x: Tensor, target: Tensor, layer: str, channels: Channels, masks: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return what `conditional` and `within` do, from one forward pass."""
        forward = self.run(x, target, [layer])
        maps, at_once = _conditional(forward, layer, channels), forward.within(layer, masks)
        if at_once is None:
            at_once = self._within_by_maps(x, target, layer, masks)
        return maps, at_once

    def _within_by_maps(self, x: Tensor, target: Tensor, layer: str, masks: Tensor) -> Tensor:
        relevance = self.attribute(x, target, [layer]).concepts[layer]

        def maps(x: Tensor, target: Tensor, channels: Sequence[int]) -> Tensor:
            return self.conditional(x, target, layer, channels)

        return sums_by_maps(maps, x, target, relevance, masks)

    def transformer_parts(self, x: Tensor) -> tuple[TransformerPart, ...]:
        """Return what the model has of a transformer, as it is met in one forward pass of x."""
        flow = self.run(x, None, ()).flow
        met = {
            TransformerPart.ATTENTION: flow.attends,
            TransformerPart.LINEAR_ON_POSITIONS: flow.works_on_positions,
        }
        return tuple(part for part in TransformerPart if met[part])

    def heads(self, x: Tensor) -> dict[str, int]:
        """Return the heads of attention, named as a layer -> how many, met once in a pass of x."""
        met = self.run(x, None, ()).flow.heads
        return {name: counts[0] for name, counts in met.items() if len(counts) == 1}

    def operations(self, x: Tensor) -> tuple[tuple[str, str, int], ...]:
        """Return (operation, what holds for it, calls) of one forward pass, most calls first."""
        counts = self.run(x, None, ()).flow.operation_counts
        return tuple((name, rule, calls) for (name, rule), calls in counts.most_common())

    def run(self, x: Tensor, target: Tensor | None, layers: Sequence[str]) -> Pass:
        """Run the model on x (N, C, H, W) under observation; the pass then computes relevance.

        Raises RelevanceError when a layer does not exist, does not run exactly once or gives
        nothing that gradients reach, and when the logits do not depend on x.
        """
        assert self._restore is not None, "the engine is entered before use"
        for layer in layers:
            find_layer(self.model, layer)
        flow = Flow(OPERATIONS, self._rulebook, self._kernels, fast(x), self._names)
        flow.tapped = layers
        with self._observed(flow, layers), torch.enable_grad():
            image = flow.input()
            with flow, followed_inside(flow):
                output = self.model(image)
            logits = find_logits(output, self.num_classes)
        for layer in layers:
            self._check_tap(layer, flow)
        if not logits.requires_grad:
            raise RelevanceError(
                "the model's logits do not depend on its input in a way that gradients follow "
                "(a detach, a no_grad or a round trip through numpy); give the model itself"
            )
        return Pass(flow, logits, target)

    @contextmanager
    def _observed(self, flow: Flow, layers: Sequence[str]) -> Iterator[None]:
        """Let the modules' hooks report to this flow, and compute exactly."""
        self._flow, self._tapped = flow, tuple(layers)
        self._calls.clear()
        try:
            device = flow.leaf.device.type
            as_written = eager() if _compiled(self.model) else nullcontext()
            with torch.autocast(device, enabled=False), exact(), as_written:
                yield
        finally:
            self._flow, self._tapped = None, ()

    def _enter_module(self, name: str, module: nn.Module, inputs: object) -> None:
        if self._flow is not None:
            self._flow.modules.append((name, module))

    def _leave_module(self, name: str, module: nn.Module, inputs: object, output: object) -> None:
        if self._flow is None:
            return
        self._flow.modules.pop()
        if name in self._tapped:
            self._calls[name] += 1
            tensor = first_tensor(output)
            if tensor is not None:
                self._flow.tap(name, tensor)

    def _check_tap(self, layer: str, flow: Flow) -> None:
        calls = self._calls[layer]
        if has_heads(layer):
            calls = len(flow.heads.get(layer, ()))
            if not calls:
                others = ", ".join(list(flow.heads)[-3:])
                raise RelevanceError(
                    f"{layer.removesuffix(HEADS)} has no attention whose heads can be told apart; "
                    + (f"name one of the model's, such as {others}" if others else "name a layer")
                )
        if calls != 1:
            raise RelevanceError(
                f"layer {layer} runs {calls} times in one forward pass; expected a "
                "layer that runs once: name the block around it"
            )
        if layer not in flow.taps:
            raise RelevanceError(
                f"layer {layer} gives no tensor that gradients reach; name another layer"
            )


def _conditional(forward: Pass, layer: str, channels: Channels) -> Tensor:
    tap = forward.flow.taps[layer]
    count, chosen = tap.channels, of_each(channels, tap.images).to(tap.value.device)
    if bool(((chosen < -count) | (chosen >= count)).any()):
        raise RelevanceError(f"layer {layer} has {count} channels; asked for {int(chosen.max())}")
    weights = torch.eye(count, device=chosen.device)[chosen]
    return forward.conditional(layer, weights.transpose(0, 1)).maps


def _compiled(model: nn.Module) -> bool:
    """Whether part of the model is compiled, so that its operations would not be seen."""
    return any(type(module).__name__ == "OptimizedModule" for module in model.modules())
