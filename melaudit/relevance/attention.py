"""A model's own attention over channels, found by what the model computes.

Either the model returns the weights beside its logits, or they are a gate inside it: a number in
0..1 for each channel, computed from the image, that multiplies a feature map, as in
squeeze-and-excitation and gated attention. Both are recognised by their shape, their values and the
operation that made them, so no class name needs to be known. A learned scale, the same for every
image, is not attention.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils.hooks import RemovableHandle

from melaudit.errors import RelevanceError
from melaudit.relevance.model.intact import remember_state
from melaudit.relevance.model.layers import Edge, find_layer, first_tensor
from melaudit.relevance.model.outputs import find_logits, tensors
from melaudit.relevance.model.tokens import is_tokens

PRODUCTS = ("mul", "mul_", "multiply", "multiply_", "__mul__", "__rmul__", "__imul__")
"""Names of torch's functions that multiply element by element."""

SQUASHING = ("Sigmoid", "Hardsigmoid", "Softmax", "Hardtanh", "Clamp")
"""Operations that make a gate, by autograd's names; ReLU6 is a Hardtanh."""

RESHAPING = (
    *("View", "UnsafeView", "ReshapeAlias", "Unsqueeze", "Squeeze", "Expand", "Permute"),
    *("Transpose", "T", "Clone", "Alias", "ToCopy", "Slice", "Select"),
)
"""Operations that move values without changing them, by autograd's names."""

SUMS_TO_ONE = 1e-3
"""How far from 1 the sum of softmax weights may be (float16 models round)."""


@dataclass(frozen=True)
class Source:
    """Where in a forward pass the weights are: an output, or a factor of a product."""

    output: int | None = None
    """Which of the tensors that the model returns."""
    product: int | None = None
    """Which of the products of two tensors that the model computes."""
    factor: int = 0
    """Which of that product's two factors."""


@dataclass(frozen=True)
class Attention:
    """The weights a model gives to the channels of a layer."""

    weights: Tensor
    """(N, C) in 0..1."""
    where: str
    """Where they were found, in words for a reader."""
    source: Source = Source()
    """Where they were found, for `attention_record`."""


def attention(
    model: nn.Module, x: Tensor, layer: str, num_classes: int | None = None
) -> Attention | None:
    """Return the model's attention over the channels of a layer for x (N, C, H, W), if it has any.

    Weights among the model's outputs come first; then a gate that multiplies the layer's output;
    then the last gate before the layer with as many channels, as in the last squeeze-and-excitation
    block. The model is run once, in evaluation mode, and left as it was. Raises RelevanceError for
    a layer that does not exist.
    """
    find_layer(model, layer)
    gates = _GateFinder(layer, len(x))
    restore = remember_state(model)
    handles = gates.hooks(model)
    try:
        model.eval()
        model.requires_grad_(False)  # then only what depends on the image requires a gradient
        with torch.inference_mode(False), torch.enable_grad():
            image = x.detach().clone().requires_grad_()
            with gates:
                output = model(image)
    finally:
        for handle in handles:
            handle.remove()
        restore()
    if gates.channels < 2:
        return None
    returned = _returned(output, len(x), gates.channels, num_classes)
    return returned or gates.gate()


def join(chunks: Sequence[Attention | None]) -> Attention | None:
    """Return the attention of a whole batch, given that of its chunks; None if one has none."""
    found = [chunk for chunk in chunks if chunk is not None]
    if len(found) < len(chunks):
        return None
    return replace(found[0], weights=torch.cat([chunk.weights for chunk in found]))


def choose_channels(relevance: Tensor, attention: Tensor | None, count: int) -> list[int]:
    """Return the `count` channels to look at, by |relevance| (C,) times attention (C,) if any.

    The strongest one comes first; of equal ones, that with the lower number. Raises RelevanceError
    for attention of another shape.
    """
    strength = relevance.abs()
    if attention is not None:
        if attention.shape != relevance.shape:
            raise RelevanceError(
                f"attention is {tuple(attention.shape)} for relevance {tuple(relevance.shape)}; "
                "expected one weight per channel"
            )
        strength = strength * attention.to(strength)
    chosen: list[int] = strength.argsort(descending=True, stable=True)[:count].tolist()
    return chosen


def _returned(output: object, n: int, channels: int, num_classes: int | None) -> Attention | None:
    """Return the attention among a model's outputs."""
    returned = list(tensors(output))
    if len(returned) < 2:
        return None
    logits = find_logits(output, num_classes)
    for place, tensor in enumerate(returned):
        weights = per_channel(tensor, n, channels)
        if tensor is logits or weights is None or not _in_range(weights):
            continue
        sums = weights.sum(1)
        softmax = bool(((sums - 1).abs() < SUMS_TO_ONE).all())
        # Features after a ReLU may happen to lie in 0..1, so a gate must also be made as one.
        if softmax or _squashed(tensor):
            kind = "weights that sum to 1" if softmax else "gates between 0 and 1"
            where = f"returned beside the logits: {kind}, {channels} channels"
            return Attention(weights, where, Source(output=place))
    return None


@dataclass(frozen=True)
class _Product:
    """A gate times a feature map."""

    weights: Tensor
    """(N, C)."""
    signal: Edge
    """Where the feature map was made."""
    module: str
    """The innermost module that was running."""
    early: bool
    """Whether the layer had not returned its output yet."""
    source: Source


@dataclass(eq=False)
class _GateFinder(TorchFunctionMode):
    """Notes every product of a gate and a feature map while a model runs."""

    layer: str
    n: int
    channels: int = 0
    output: Edge | None = None
    """Where the layer's output was made; None before that."""
    products: list[_Product] = field(default_factory=list)
    running: list[str] = field(default_factory=list)
    """The modules that are running, the innermost last."""
    calls: int = 0
    """How many products of two tensors there were."""

    def __post_init__(self) -> None:
        super().__init__()

    def hooks(self, model: nn.Module) -> list[RemovableHandle]:
        """Put hooks on the model that follow which modules run; return them."""
        handles = []
        for name, module in model.named_modules():

            def enter(module: nn.Module, inputs: object, name: str = name) -> None:
                self.running.append(name)

            def leave(module: nn.Module, inputs: object, output: object, name: str = name) -> None:
                self.running.pop()
                tensor = first_tensor(output)
                if name == self.layer and tensor is not None and _has_channels(tensor):
                    self.channels, self.output = tensor.shape[1], _origin(tensor)

            handles.append(module.register_forward_pre_hook(enter))
            handles.append(module.register_forward_hook(leave))
        return handles

    def __torch_function__(
        self,
        func: Any,
        types: object,
        args: Sequence[Any] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        if is_product(func, args):
            for factor in (0, 1):
                self._note(args[factor], args[1 - factor], Source(None, self.calls, factor))
            self.calls += 1
        return func(*args, **(kwargs or {}))

    def _note(self, gate: Tensor, signal: Tensor, source: Source) -> None:
        if signal.ndim not in (3, 4) or gate.ndim != signal.ndim or not signal.requires_grad:
            return
        n, channels, *space = signal.shape
        weights = per_channel(gate, n, channels)
        if n != self.n or torch.Size(space).numel() < 2 or weights is None:
            return
        if _squashed(gate) and _in_range(weights):
            name = self.running[-1] if self.running else ""
            early = self.output is None
            self.products.append(_Product(weights, _origin(signal), name, early, source))

    def gate(self) -> Attention | None:
        """Return the gate that acts on the layer's channels, if there is one."""
        fitting = [p for p in self.products if p.weights.shape[1] == self.channels]
        behind = [p for p in fitting if not p.early and p.signal == self.output]
        for found, place in ((behind[:1], "behind"), ([p for p in fitting if p.early], "before")):
            if found:
                name = found[-1].module or "the model's own forward"
                where = f"a gate in {name}, {place} the output of {self.layer}"
                words = f"{where}: {self.channels} channels"
                return Attention(found[-1].weights, words, found[-1].source)
        return None


def is_product(func: object, args: Sequence[object]) -> bool:
    """Whether a call of one of torch's functions multiplies two tensors."""
    named = getattr(func, "__name__", "") in PRODUCTS
    return named and len(args) >= 2 and all(isinstance(factor, Tensor) for factor in args[:2])


def per_channel(tensor: Tensor, n: int, channels: int) -> Tensor | None:
    """Return (N, C), (N, C, 1[, 1]) or an expansion of these as (N, C); None for other tensors."""
    if tensor.ndim not in (2, 3, 4) or tensor.shape[:2] != (n, channels):
        return None
    if not tensor.is_floating_point():
        return None
    if any(tensor.shape[i] > 1 and tensor.stride(i) != 0 for i in range(2, tensor.ndim)):
        return None
    weights = tensor.detach()
    while weights.ndim > 2:
        weights = weights[..., 0]
    return weights


def _has_channels(tensor: Tensor) -> bool:
    """Whether a layer's output is a map; no gate weighs the channels of tokens."""
    return tensor.ndim == 4 and not is_tokens(tensor.shape)


def _in_range(weights: Tensor) -> bool:
    """Whether all weights are in 0..1, and none is NaN."""
    return bool(((weights >= 0) & (weights <= 1)).all())


def _origin(tensor: Tensor) -> Edge:
    """Return where the tensor's values were made, before any operation that only reshapes them."""
    node, output = tensor.grad_fn, tensor.output_nr
    while node is not None and _operation(node) in RESHAPING:
        node, output = node.next_functions[0]
    return node, output


def _squashed(tensor: Tensor) -> bool:
    """Whether an operation that makes a gate was the last to change the tensor's values.

    A constant factor may follow: hard sigmoids are also written as relu6(x + 3) / 6.
    """
    node = _origin(tensor)[0]
    while node is not None and _operation(node) in (*RESHAPING, "Div", "Mul"):
        signals = [n for n, _ in getattr(node, "next_functions", ()) if n is not None]
        if len(signals) != 1:
            return False
        node = signals[0]
    return _operation(node) in SQUASHING


def _operation(node: object) -> str:
    """Return the name of a graph node's operation: "Sigmoid" for SigmoidBackward0."""
    return type(node).__name__.partition("Backward")[0]
