"""A copy of a model that runs forward faster: BatchNorms are folded, and weights are packed.

In evaluation mode a BatchNorm scales and shifts each channel by fixed numbers, which the weights of
the convolution before it can do as well (Jacob et al. 2018, section 3.2). The copy says the same up
to rounding, and is run forward by a quarter faster: each BatchNorm reads and writes all that its
convolution gave. Which one follows which is seen in a pass, not told from names. How weights are
packed says the module `packing`.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils.hooks import RemovableHandle

from melaudit.errors import RelevanceError, ends_the_run
from melaudit.relevance.layout import fast
from melaudit.relevance.model.intact import copied
from melaudit.relevance.model.outputs import find_logits, tensors
from melaudit.relevance.model.packing import pack

MAX_DIFFERENCE = 1e-4
"""Share of the largest logit by which those of the copy may differ, else it is not used. A ResNet50
differs by 4e-7, a pair that does not belong together by far more."""
TRIED = 2
"""Images, of random numbers, on which copy and model are compared."""


@dataclass(frozen=True)
class Folded:
    """A model with BatchNorms folded away, and weights packed where that can be."""

    model: nn.Module
    """In evaluation mode. Layers have the names that they have in the model it is a copy of."""
    changed: frozenset[str]
    """Layers that give something else than in the model: what the BatchNorm behind them gave."""


def folded(model: nn.Module, x: Tensor, num_classes: int | None = None) -> Folded | None:
    """Return a copy with BatchNorms folded; None where there are none, or it says something else.

    x (N, C, H, W) tells the size of images; the copy is held against the model on random numbers,
    always the same, of that size. The model is run in the mode it is in, which has to be that of
    evaluation, with no engine on it, and is left as it was.
    """
    try:
        return _folded(model, _random(x), num_classes)
    except Exception as error:  # whatever a model does that a copy cannot
        if ends_the_run(error):
            raise
        return None


def _folded(model: nn.Module, x: Tensor, num_classes: int | None) -> Folded | None:
    with torch.no_grad():
        watch = _Watch()
        with _watched(model, watch), watch:
            own = find_logits(model(x), num_classes)
        pairs = watch.pairs()
        if not pairs:
            return None
        other = copied(model)
        modules = dict(other.named_modules())
        for first, second in pairs.items():
            _fold(modules[first], modules[second])
            parent, _, name = second.rpartition(".")
            setattr(other.get_submodule(parent), name, nn.Identity())
        other.eval()
        changed = frozenset(name for name, first in watch.gave.items() if first in pairs)
        for made in (_packed(other, x), other):
            if made is not None and _says(made, x, own, num_classes):
                return Folded(made, changed)
    return None


def _packed(model: nn.Module, x: Tensor) -> nn.Module | None:
    """Return a model with its weights packed; None where they cannot be."""
    try:
        other = copied(model)
        return other if pack(other, x) else None
    except Exception as error:  # whatever a model does that needs its weights as they were
        if ends_the_run(error):
            raise
        return None


def _says(model: nn.Module, x: Tensor, own: Tensor, num_classes: int | None) -> bool:
    """Tell whether a copy says of x (N, C, H, W) what the model itself said, (N, K)."""
    try:
        said = find_logits(model(x), num_classes)
    except Exception as error:  # as above
        if ends_the_run(error):
            raise
        return False
    difference = (said - own).abs().max()
    return said.shape == own.shape and bool(difference <= MAX_DIFFERENCE * own.abs().max())


def _random(x: Tensor) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(TRIED, *x.shape[1:], generator=generator, dtype=x.dtype)
    return fast(values.to(x.device))


class _Watch(TorchFunctionMode):
    """Sees which convolution's output goes into which BatchNorm, and nowhere else."""

    def __init__(self) -> None:
        super().__init__()
        self._from: dict[int, str] = {}
        """Id of what a convolution gave -> its name."""
        self._alive: list[Tensor] = []
        """So that no id is given twice."""
        self._calls: Counter[str] = Counter()
        self._uses: Counter[str] = Counter()
        """How often an operation took what a convolution gave."""
        self._into: dict[str, str] = {}
        """Convolution -> the BatchNorm that took what it gave."""
        self.gave: dict[str, str] = {}
        """Layer -> the convolution whose output it gives."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Count the operations that make something of what a convolution gave."""
        found = func(*args, **(kwargs or {}))
        if any(True for _ in tensors(found)):  # not those that ask for its shape
            taken = {id(each) for each in tensors((args, kwargs or {}))}
            for identity in taken & self._from.keys():
                self._uses[self._from[identity]] += 1
        return found

    def convolved(self, name: str, module: nn.Module, inputs: Any, output: Any) -> None:
        """Note what a convolution gave."""
        self._calls[name] += 1
        if isinstance(output, Tensor):
            self._from[id(output)] = name
            self._alive.append(output)

    def ended(self, name: str, module: nn.Module, inputs: Any, output: Any) -> None:
        """Note that a layer gave what a convolution gave."""
        for each in tensors(output):
            if id(each) in self._from:
                self.gave[name] = self._from[id(each)]

    def normalised(self, name: str, module: nn.Module, inputs: Any) -> None:
        """Note what a BatchNorm takes."""
        self._calls[name] += 1
        if len(inputs) == 1 and id(inputs[0]) in self._from:
            self._into[self._from[id(inputs[0])]] = name

    def pairs(self) -> dict[str, str]:
        """Return convolution -> BatchNorm, of those that run once and belong to each other only."""
        return {
            first: second
            for first, second in self._into.items()
            if self._calls[first] == self._calls[second] == 1 and self._uses[first] == 1
        }


@contextlib.contextmanager
def _watched(model: nn.Module, watch: _Watch) -> Iterator[None]:
    """Have plain convolutions and BatchNorms report to the watch.

    Those that carry hooks, or are of a class of their own (a parametrised one among them), may do
    more than their weights say.
    """
    handles: list[RemovableHandle] = []
    try:
        for name, module in model.named_modules():
            hooked = module._forward_hooks or module._forward_pre_hooks
            if not hooked and "forward" not in vars(module):
                if type(module) is nn.Conv2d:
                    seen = partial(watch.convolved, name)
                    handles.append(module.register_forward_hook(seen))
                elif type(module) is nn.BatchNorm2d and module.running_mean is not None:
                    seen = partial(watch.normalised, name)
                    handles.append(module.register_forward_pre_hook(seen))
            handles.append(module.register_forward_hook(partial(watch.ended, name)))
        yield
    finally:
        for handle in handles:
            handle.remove()


def _fold(convolution: nn.Module, norm: nn.Module) -> None:
    """Give a convolution the weights that do what it and the BatchNorm did."""
    if not isinstance(convolution, nn.Conv2d) or not isinstance(norm, nn.BatchNorm2d):
        raise RelevanceError("the copy has other modules than the model")
    assert norm.running_mean is not None and norm.running_var is not None
    own = convolution.weight
    scale = (norm.running_var.double() + norm.eps).rsqrt()
    if norm.weight is not None:
        scale = scale * norm.weight.double()
    shift = -norm.running_mean.double()
    if convolution.bias is not None:
        shift = shift + convolution.bias.double()
    shift = shift * scale
    if norm.bias is not None:
        shift = shift + norm.bias.double()
    weight = fast((own.double() * scale[:, None, None, None]).to(own.dtype))
    convolution.weight = nn.Parameter(weight, requires_grad=False)
    convolution.bias = nn.Parameter(shift.to(own.dtype), requires_grad=False)
