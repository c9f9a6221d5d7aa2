"""Whether a model is a function of one image: what it says must not depend on anything else.

The bare model is run before anything explains it: twice on one batch, then on each image alone, on
the batch in reverse order, and on copies of one image. All must agree. Operations that may be why
they do not are noted, with the module that calls them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from melaudit.relevance.forward import Forward

MAX_DIFFERENCE = 1e-3
"""Share of the largest logit by which logits of one image may differ. Chosen: a round figure above
the rounding of float32, and below what was seen on small networks: dropout .49 and .77 in two runs
of one model, batch statistics .16."""

COPIES = 3
"""Of the first image, in a batch of their own. Chosen: a round figure, not measured."""


@dataclass(frozen=True)
class Unrepeatable:
    """How a model's logits depend on more than the image."""

    random: bool
    """Whether two runs on the same batch differ; else it is the other images that matter."""
    difference: float
    """The largest one between logits of the same image, as a share of the largest logit."""
    images: int
    causes: tuple[str, ...]
    """Operations that can be why, each with the module that calls it: "dropout in head"."""


def unrepeatable(model: nn.Module, x: Tensor, num_classes: int) -> Unrepeatable | None:
    """Return how logits of images x (N, C, H, W) depend on more than the image; None if on nothing.

    Raises RelevanceError for a model that fails on the images.
    """
    forward = Forward(model, num_classes)
    with _watching(forward.model) as watch:
        first = forward.logits(x)
    again = forward.logits(x)
    scale = float(first.abs().max().clamp_min(torch.finfo(first.dtype).tiny))

    def difference(other: Tensor) -> float:
        apart = float((other - first).abs().max()) / scale
        return apart if apart == apart else 0.0  # NaN in both is another fault, told elsewhere

    apart = difference(again)
    if apart > MAX_DIFFERENCE:
        return Unrepeatable(True, apart, len(x), tuple(watch.random))
    alone = torch.cat([forward.logits(image[None]) for image in x])
    turned = forward.logits(x.flip(0)).flip(0)
    copies = forward.logits(x[:1].expand(COPIES, -1, -1, -1).contiguous())
    among = torch.cat([copies[:1], first[1:]])
    apart = max(difference(alone), difference(turned), difference(among))
    if apart > MAX_DIFFERENCE:
        return Unrepeatable(False, apart, len(x), tuple(watch.batched))
    return None


_DROPOUTS = {
    functional.dropout: 2,
    functional.dropout1d: 2,
    functional.dropout2d: 2,
    functional.dropout3d: 2,
    functional.alpha_dropout: 2,
    functional.feature_alpha_dropout: 2,
    torch.dropout: 2,
}
"""Dropout -> the place of `training` among its arguments."""

_RANDOM = frozenset(
    {
        *(torch.rand, torch.randn, torch.randint, torch.randperm, torch.normal, torch.bernoulli),
        *(torch.rand_like, torch.randn_like, torch.randint_like, torch.multinomial),
        *(Tensor.bernoulli_, Tensor.normal_, Tensor.uniform_, Tensor.random_, Tensor.exponential_),
        *(Tensor.bernoulli, Tensor.multinomial, functional.gumbel_softmax),
    }
)


class _Watch(TorchFunctionMode):
    """Note the operations that make a model depend on more than the image, once each."""

    def __init__(self) -> None:
        super().__init__()
        self.inside: list[str] = []
        """Names of the modules that are running, the innermost last."""
        self.random: dict[str, None] = {}
        self.batched: dict[str, None] = {}

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        name = getattr(func, "__name__", str(func)).strip("_")
        place = f"{name} in {self.inside[-1] if self.inside else 'the model'}"
        if func in _RANDOM or (func in _DROPOUTS and _argument(args, kwargs, _DROPOUTS[func])):
            self.random[place] = None
        elif func is functional.batch_norm and (
            _argument(args, kwargs, 5, False)
            or _argument(args, kwargs, 1, None, "running_mean") is None
        ):
            self.batched[f"batch statistics of {place}"] = None
        elif name in ("softmax", "log_softmax") and _argument(args, kwargs, 1, None, "dim") == 0:
            self.batched[f"{place} over the images (dim=0)"] = None
        return func(*args, **kwargs)


def _argument(
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    place: int,
    default: Any = True,
    name: str = "training",
) -> Any:
    """Return an argument of a call, by name or place."""
    return kwargs.get(name, args[place] if len(args) > place else default)


@contextlib.contextmanager
def _watching(model: nn.Module) -> Iterator[_Watch]:
    """Watch what the model calls, and in which of its modules."""
    watch = _Watch()
    handles = []
    for name, module in model.named_modules():
        title = f"{name} ({type(module).__name__})" if name else type(module).__name__

        def enter(_: nn.Module, __: object, title: str = title) -> None:
            watch.inside.append(title)

        def leave(_: nn.Module, __: object, ___: object) -> None:
            watch.inside.pop()

        handles.append(module.register_forward_pre_hook(enter))
        handles.append(module.register_forward_hook(leave))
    try:
        with watch:
            yield watch
    finally:
        for handle in handles:
            handle.remove()
