"""A head of several layers, rebuilt from the names and shapes of its weights."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

from torch import nn

from melaudit.models.libraries.interface import Shapes


@dataclass(frozen=True)
class HeadLayer:
    """One layer of a Sequential that has weights."""

    index: int
    """Its place in the Sequential."""
    inputs: int
    outputs: int
    """Both the number of features for a layer that normalises."""
    kind: str
    """"linear", "batch_norm" or "layer_norm"."""
    bias: bool

    def build(self) -> nn.Module:
        """Return the layer without trained weights."""
        if self.kind == "linear":
            return nn.Linear(self.inputs, self.outputs, bias=self.bias)
        if self.kind == "batch_norm":
            return nn.BatchNorm1d(self.outputs)
        return nn.LayerNorm(self.outputs)


def stacked_layers(found: Shapes, place: str) -> tuple[HeadLayer, ...]:
    """Return the layers with weights of the Sequential in a place, in order.

    Empty unless there are two linear layers or more, and each takes what the one before gives.
    """
    inner = {k.removeprefix(f"{place}."): s for k, s in found.items() if k.startswith(f"{place}.")}
    names = {key.partition(".")[0] for key in inner}
    if not all(name.isdecimal() for name in names):
        return ()
    layers = []
    for index in sorted(map(int, names)):
        weight = inner.get(f"{index}.weight", ())
        bias = f"{index}.bias" in inner
        if len(weight) == 2:
            layers.append(HeadLayer(index, weight[1], weight[0], "linear", bias))
        elif len(weight) == 1 and bias:
            kind = "batch_norm" if f"{index}.running_mean" in inner else "layer_norm"
            layers.append(HeadLayer(index, weight[0], weight[0], kind, bias))
        else:
            return ()
    chained = all(a.outputs == b.inputs for a, b in itertools.pairwise(layers))
    several = sum(layer.kind == "linear" for layer in layers) > 1
    return tuple(layers) if chained and several and layers[-1].kind == "linear" else ()


def stack(layers: tuple[HeadLayer, ...]) -> nn.Sequential:
    """Build the Sequential: an activation is ReLU, and what else has no weights does nothing.

    Between two linear layers the first place that has no weights is the activation. A layer that
    normalises may stand before or after it.
    """
    places = {layer.index: layer for layer in layers}
    built: list[nn.Module] = []
    open_to_activation = False
    for index in range(layers[-1].index + 1):
        layer = places.get(index)
        if layer is not None:
            built.append(layer.build())
        elif open_to_activation:
            built.append(nn.ReLU())
            open_to_activation = False
        else:
            built.append(nn.Identity())
        if layer is not None and layer.kind == "linear":
            open_to_activation = True
    return nn.Sequential(*built).eval()


def described_stack(layers: tuple[HeadLayer, ...]) -> str:
    """Return the layers of the Sequential in words: Linear, ReLU, Linear."""
    names = [type(module).__name__ for module in stack(layers)]
    return ", ".join(name for name in names if name != "Identity")
