"""Whether a model is a function of one image: what it says must not depend on anything else.

The bare model is run before anything explains it: twice on one batch, then on each image alone, on
the batch in reverse order, and on copies of one image. All must agree. Operations that may be why
they do not are noted, with the module that calls them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from melaudit.relevance.forward import Forward
from melaudit.relevance.watching import Called, watching

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
    causes = _Causes()
    with watching(forward.model, causes.note):
        first = forward.logits(x)
    again = forward.logits(x)
    scale = float(first.abs().max().clamp_min(torch.finfo(first.dtype).tiny))

    def difference(other: Tensor) -> float:
        apart = float((other - first).abs().max()) / scale
        return apart if apart == apart else 0.0  # NaN in both is another fault, told elsewhere

    apart = difference(again)
    if apart > MAX_DIFFERENCE:
        return Unrepeatable(True, apart, len(x), tuple(causes.random))
    alone = torch.cat([forward.logits(image[None]) for image in x])
    turned = forward.logits(x.flip(0)).flip(0)
    copies = forward.logits(x[:1].expand(COPIES, -1, -1, -1).contiguous())
    among = torch.cat([copies[:1], first[1:]])
    apart = max(difference(alone), difference(turned), difference(among))
    if apart > MAX_DIFFERENCE:
        return Unrepeatable(False, apart, len(x), tuple(causes.batched))
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


class _Causes:
    """The operations that make a model depend on more than the image, once each."""

    def __init__(self) -> None:
        self.random: dict[str, None] = {}
        self.batched: dict[str, None] = {}

    def note(self, call: Called) -> None:
        """Note a call that is one of them."""
        func, args, kwargs = call.function, call.args, call.kwargs
        if func in _RANDOM or (func in _DROPOUTS and _argument(args, kwargs, _DROPOUTS[func])):
            self.random[call.place] = None
        elif func is functional.batch_norm and (
            _argument(args, kwargs, 5, False)
            or _argument(args, kwargs, 1, None, "running_mean") is None
        ):
            self.batched[f"batch statistics of {call.place}"] = None
        elif call.name in ("softmax", "log_softmax") and (
            _argument(args, kwargs, 1, None, "dim") == 0
        ):
            self.batched[f"{call.place} over the images (dim=0)"] = None


def _argument(
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    place: int,
    default: Any = True,
    name: str = "training",
) -> Any:
    """Return an argument of a call, by name or place."""
    return kwargs.get(name, args[place] if len(args) > place else default)
