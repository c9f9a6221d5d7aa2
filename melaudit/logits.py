"""What the logits of a classifier say, also where a model of two classes has a single one.

A single logit z speaks for class 1: the model decides for class 1 where z > 0, the log-odds of
class 1 are z, and what explains class 0 is -z. Nothing else in the package treats it apart. All
functions take and return tensors or arrays alike.
"""

from __future__ import annotations

from typing import Any, TypeVar

from numpy.typing import NDArray
from torch import Tensor

Logits = TypeVar("Logits", Tensor, NDArray[Any])
"""(N, K) logits of N images: K classes, or K = 1 for two classes."""


def one_logit(logits: Tensor | NDArray[Any]) -> bool:
    """Whether logits (N, K) are single ones: then one class's map is the other's negated."""
    return int(logits.shape[1]) == 1


def predictions(logits: Logits) -> Logits:
    """Return the class (N,) int64 that logits (N, K) decide for, the first one of equals."""
    return (logits[:, 0] > 0) * 1 if one_logit(logits) else logits.argmax(1)


def per_class(logits: Logits) -> Logits:
    """Return logits (N, C) with a column for each class: a single logit z becomes (0, z).

    Their softmax and their log-odds are the model's. What has several columns is returned as it is.
    """
    if not one_logit(logits):
        return logits
    pair = logits[:, [0, 0]]
    pair[:, 0] = 0
    return pair


def explained(logits: Logits, target: Logits | int) -> Logits:
    """Return what is explained for the classes `target`, (N,) or one: the target's own logit (N,).

    A single logit z is explained as z for class 1 and as -z for class 0.
    """
    rows = list(range(len(logits)))
    if not one_logit(logits):
        return logits[rows, target]
    signed = logits[:, [0, 0]]
    signed[:, 0] *= -1
    return signed[rows, target]
