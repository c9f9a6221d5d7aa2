"""Canonizers: what zennit needs to know of a network's BatchNorms and residual sums.

Zennit's rules hold where the next layer gets a layer's output as it is. A BatchNorm after a
convolution, and the plain `+` of a residual block, break that. During a run canonizers fold the
BatchNorm into the convolution and turn the sum into a module. A wrong canonizer changes the model's
outputs. A missing one multiplies relevance, by two at every residual sum.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from torch import nn
from torchvision.models.resnet import BasicBlock, Bottleneck
from zennit.canonizers import Canonizer, SequentialMergeBatchNorm
from zennit.core import collect_leaves
from zennit.torchvision import ResNetCanonizer
from zennit.types import BatchNorm, ConvolutionTranspose, Linear

from melaudit.errors import ConfigurationError, RelevanceError

CANONIZERS: dict[str, type[Canonizer]] = {
    "resnet": ResNetCanonizer,
    "sequential": SequentialMergeBatchNorm,
}
NAMES = ("auto", "none", *CANONIZERS)


def find_canonizer(name: str, model: nn.Module) -> Canonizer | None:
    """Return the canonizer of that name, or under "auto" the one that fits the model.

    Auto is `resnet` where there are torchvision's residual blocks; else `sequential` where every
    BatchNorm that is registered right after a convolution or linear layer fits it in size; else
    none.

    Raises ConfigurationError for an unknown name and RelevanceError for one that does not fit.
    """
    if name not in NAMES:
        raise ConfigurationError(
            f"there is no canonizer {name!r}; choose one of {', '.join(NAMES)}"
        )
    if name == "auto":
        name = _fitting(model)
    if name == "none":
        return None
    misfit = next(_misfits(model), None)
    if misfit:
        raise RelevanceError(
            f"the canonizer {name!r} cannot be applied: it merges each BatchNorm into the layer "
            f"registered before it, but {misfit}; use the canonizer none or the engine dataflow"
        )
    return CANONIZERS[name]()


def canonizer_name(canonizer: Canonizer | None) -> str:
    """Return the name a report gives to a canonizer."""
    return "no canonizer" if canonizer is None else type(canonizer).__name__


def _fitting(model: nn.Module) -> str:
    if next(_misfits(model), None):
        return "none"
    # The canonizer would replace the own forward of a subclass by that of the plain block.
    forwards = (BasicBlock.forward, Bottleneck.forward)
    if any(type(m).forward in forwards for m in model.modules()):
        return "resnet"
    return "sequential" if next(_merges(model), None) else "none"


def _merges(model: nn.Module) -> Iterator[tuple[Any, Any]]:
    """Yield the pairs that SequentialMergeBatchNorm would merge: registered next to each other."""
    for layer, norm in pairwise(collect_leaves(model)):
        if isinstance(layer, Linear) and isinstance(norm, BatchNorm):
            yield layer, norm


def _misfits(model: nn.Module) -> Iterator[str]:
    """Yield, for each merge that cannot be right, the reason."""
    names = {module: name for name, module in model.named_modules()}
    for layer, norm in _merges(model):
        axis = 1 if isinstance(layer, ConvolutionTranspose) else 0
        if layer.weight.shape[axis] != norm.num_features:
            yield (
                f"{names[norm]} has {norm.num_features} features and {names[layer]} gives "
                f"{layer.weight.shape[axis]}"
            )
        elif norm.weight is None or norm.running_var is None:
            yield f"{names[norm]} has no weights or no running statistics of its own"
