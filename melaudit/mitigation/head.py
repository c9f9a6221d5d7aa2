"""The last linear layer of a model, found by running it, and what goes into it.

A model is features and, last of all, a linear map from them to the logits. Whether that holds is
not read off names: the model runs on a few images, and a layer counts as its head only if the
logits are what this layer makes of its own input. Then everything about other weights of the head
can be reckoned from the features, without running the model again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from melaudit.errors import CheckpointError
from melaudit.relevance.model.outputs import find_logits

Matrix = NDArray[np.float64]
Vector = NDArray[np.float64]

MAX_MISFIT = 1e-3
"""How far, relative to the largest logit, the logits may be from what the layer makes of its input.
Chosen: some hundred times the rounding of float32; not measured."""


@dataclass(frozen=True)
class Head:
    """A linear layer with O outputs, of which K logits are made."""

    name: str
    """Of the module: "fc"."""
    weight: Matrix
    """(O, d)."""
    bias: Vector
    """(O,)."""
    mix: Matrix
    """(K, O): logits are `mix` times the layer's outputs, less `shift`."""
    shift: Vector
    """(K,) what the user's threshold takes off each logit."""

    def logits(self, features: NDArray[np.floating]) -> NDArray[np.float32]:
        """Return the logits (n, K) for features (n, d)."""
        outputs = features.astype(np.float64) @ self.weight.T + self.bias
        made: NDArray[np.float32] = (outputs @ self.mix.T - self.shift).astype(np.float32)
        return made

    def with_margins(self, slopes: Matrix, offsets: Vector) -> Head:
        """Return the head with other logits: slopes (K, d) and offsets (K,), threshold included.

        Of the layer's outputs only what the logits are made of changes: the least change that does.
        """
        back = np.linalg.pinv(self.mix)
        now = self.mix @ self.weight, self.mix @ self.bias - self.shift
        return replace(
            self,
            weight=self.weight + back @ (slopes - now[0]),
            bias=self.bias + back @ (offsets - now[1]),
        )

    @property
    def slopes(self) -> Matrix:
        """(K, d): of each logit along each feature."""
        return self.mix @ self.weight

    @property
    def offsets(self) -> Vector:
        """(K,): each logit where all features are 0."""
        out: Vector = self.mix @ self.bias - self.shift
        return out


def find_head(model: nn.Module, x: Tensor, num_outputs: int, shift: Sequence[float] = ()) -> Head:
    """Return the head of a model, by running it on images x (N, C, H, W), at least 2.

    num_outputs: its logits; shift: what was taken off each of them. Raises CheckpointError for a
    model whose logits are not what its last linear layer makes of its input.
    """
    calls: list[tuple[str, nn.Module, Tensor]] = []
    with _watching(
        model, _linear(model), lambda name, layer, given: calls.append((name, layer, given))
    ):
        with torch.no_grad():
            logits = find_logits(model.eval()(x), num_outputs)
    taken = _numbers(logits)
    offset = np.array(shift or (0.0,) * taken.shape[1])
    for name, layer, given in reversed(calls):
        found = _head_of(name, layer, given, taken + offset)
        if found is not None:
            return replace(found, shift=offset)
    last = f"its last linear layer, {calls[-1][0]}, is followed by more" if calls else "it has none"
    raise CheckpointError(
        f"the logits of the model are not what a linear layer makes of its input ({last}), so "
        "there is no last layer to fit anew; train again with the artifact in images of every "
        "class instead"
    )


@contextmanager
def features_of(model: nn.Module, head: Head) -> Iterator[Callable[[Tensor], NDArray[np.float32]]]:
    """Yield a function from images (N, C, H, W) to the features (N, d) that the head gets."""
    layer = model.get_submodule(head.name)
    seen: list[Tensor] = []
    with _watching(
        model, [(head.name, layer)], lambda _, layer, given: seen.append(_pooled(layer, given))
    ):

        def look(x: Tensor) -> NDArray[np.float32]:
            seen.clear()
            with torch.no_grad():
                model(x)
            found: NDArray[np.float32] = seen[-1].float().cpu().numpy()
            return found

        yield look


def _linear(model: nn.Module) -> list[tuple[str, nn.Module]]:
    """Return the layers that are linear in each position: Linear, and convolutions of 1 x 1."""
    return [
        (name, module)
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear)
        or (isinstance(module, nn.Conv2d) and set(module.kernel_size) == {1} and module.groups == 1)
    ]


@contextmanager
def _watching(
    model: nn.Module,
    layers: Sequence[tuple[str, nn.Module]],
    note: Callable[[str, nn.Module, Tensor], None],
) -> Iterator[None]:
    """Note the input of each layer whenever it runs."""

    def hook(name: str) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
        def called(layer: nn.Module, given: tuple[Tensor, ...]) -> None:
            if given and isinstance(given[0], Tensor):
                note(name, layer, given[0].detach())

        return called

    handles = [layer.register_forward_pre_hook(hook(name)) for name, layer in layers]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _pooled(layer: nn.Module, given: Tensor) -> Tensor:
    """Return the input of a layer averaged over its positions: (N, d)."""
    if isinstance(layer, nn.Conv2d):
        return given.flatten(2).mean(2)
    return given if given.ndim == 2 else given.flatten(1, -2).mean(1)


def _head_of(
    name: str, layer: nn.Module, given: Tensor, logits: NDArray[np.float64]
) -> Head | None:
    """Return the layer as the head if the logits (N, K) are what it makes of its input."""
    n = len(logits)
    if given.ndim < 2 or len(given) != n:
        return None
    weight = _numbers(layer.get_parameter("weight")).reshape(-1, _pooled(layer, given).shape[1])
    has_bias = layer.bias is not None
    bias = _numbers(layer.get_parameter("bias")) if has_bias else np.zeros(len(weight))
    outputs = _numbers(_pooled(layer, given)) @ weight.T + bias
    tolerance = MAX_MISFIT * max(float(np.abs(logits).max()), 1e-6)
    for mix in _mixes(logits.shape[1], len(weight)):
        misfit = outputs @ mix.T - logits
        if logits.shape[1] > 1:  # a log-softmax takes the same off all logits of an image
            misfit = misfit - misfit.mean(1, keepdims=True)
        if float(np.abs(misfit).max()) <= tolerance:
            return Head(name, weight, bias, mix, np.zeros(logits.shape[1]))
    return None


def _mixes(logits: int, outputs: int) -> Iterator[Matrix]:
    """Yield the ways (K, O) in which K logits may be made of O outputs.

    All of them; one of several labels; the odds of one of two classes.
    """
    each = np.eye(outputs)
    if logits == outputs:
        yield each
    elif logits == 1:
        yield from (row[None] for row in each)
        if outputs == 2:
            yield from (each[[k]] - each[[1 - k]] for k in (1, 0))


def _numbers(values: Tensor) -> NDArray[np.float64]:
    array: NDArray[np.float64] = values.detach().double().cpu().numpy()
    return array
