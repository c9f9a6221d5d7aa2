"""The logits in whatever a model returns, found by shape, and where relevance starts."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from melaudit.errors import RelevanceError
from melaudit.logits import explained, per_class


def find_logits(output: object, num_classes: int | None = None) -> Tensor:
    """Return the logits (N, K) among the tensors a model returned.

    Tensors under a key `logits` of a mapping or dataclass, however deep, are looked at first, then
    all in order. The first float tensor (N, K) is taken, or with `num_classes` the first that has
    as many columns (one column will do for two classes). If there is none, (N, K, 1, 1) becomes
    (N, K), and the (N,) of a model with one logit becomes (N, 1).

    Raises RelevanceError with the shapes of all tensors when none fits.
    """
    found = list(tensors(output))
    candidates = [candidate.logits for candidate in candidate_outputs(output)]
    if num_classes is None:
        fitting = candidates
    else:
        widths = (2, 1) if num_classes == 2 else (num_classes,)
        fitting = [t for width in widths for t in candidates if t.shape[1] == width]
    if fitting:
        return fitting[0]
    wanted = "(N, K)" if num_classes is None else f"(N, {num_classes})"
    shapes = ", ".join(str(tuple(t.shape)) for t in found)
    shapes = shapes or f"no tensor but {type(output).__name__}"
    raise RelevanceError(
        f"the model returned {shapes}; expected float logits of shape {wanted}, N images by K "
        "outputs: return the logits, or name the number of classes the model was trained on"
    )


@dataclass(frozen=True, eq=False)
class CandidateOutput:
    """A tensor among those that a model returned which could be its logits."""

    name: str
    """Keys and places that lead to it: "diagnosis", "1", "heads.0"; "" for the output itself."""
    under_logits: bool
    """Whether it is under a key `logits`."""
    logits: Tensor
    """(N, K)"""


def candidate_outputs(output: object) -> list[CandidateOutput]:
    """Return the tensors that a model returned and that could be its logits, the likeliest first.

    (N, K, 1, 1) becomes (N, K), and the (N,) of a model with one logit becomes (N, 1).
    """
    found = sorted(_walk(output, "", named=False), key=lambda each: not each[1])
    floats = [(name, named, t) for name, named, t in found if t.is_floating_point()]
    shaped = [(name, named, t) for name, named, t in floats if t.ndim == 2]
    shaped += [(n, named, t.flatten(1)) for n, named, t in floats if t.shape[2:] == (1, 1)]
    shaped += [(name, named, t[:, None]) for name, named, t in floats if t.ndim == 1]
    if len(found) == 1:  # a squeezed single logit of a single image; beside others it is a loss
        shaped += [(name, named, t.reshape(1, 1)) for name, named, t in floats if t.ndim == 0]
    return [CandidateOutput(*each) for each in shaped]


def probabilities(logits: Tensor, shift: Sequence[float] = ()) -> Tensor:
    """Return the probabilities (N, C) that logits (N, K) stand for: their softmax, in float32.

    C is K, but 2 for K = 1, where the logit speaks for class 1. `shift` (K,) is what a threshold
    took off the logits, and is added again.
    """
    logits = logits.float()
    if shift:
        logits = logits + logits.new_tensor(shift)
    return per_class(logits).softmax(1)


def start_relevance(logits: Tensor, target: Tensor) -> Tensor:
    """Return the relevance (N, K) put in at the logits (N, K) to explain the classes target (N,).

    The target's logit starts with its own value, so positive relevance is evidence for the class
    whatever the logit's sign; all others start with zero. A single logit z starts as z for class 1
    and as -z for class 0.

    Raises RelevanceError when the targets do not fit the logits.
    """
    n, k = logits.shape
    if target.shape != (n,) or target.is_floating_point():
        raise RelevanceError(
            f"targets are {target.dtype} of shape {tuple(target.shape)} for {n} images; "
            "expected one class index per image"
        )
    classes = max(k, 2)
    if n and not 0 <= int(target.min()) <= int(target.max()) < classes:
        raise RelevanceError(
            f"targets lie in {int(target.min())} to {int(target.max())} but the model tells "
            f"{classes} classes apart; expected 0 to {classes - 1}"
        )
    target = target.long()
    column = target.clamp(max=k - 1)  # a single logit is the only column, whatever the class
    return torch.zeros_like(logits).scatter(1, column[:, None], explained(logits, target)[:, None])


def tensors(output: object) -> Iterator[Tensor]:
    """Yield the tensors in nested containers, those under `logits`, however deep, first."""
    found = list(_walk(output, "", named=False))
    yield from (tensor for _, named, tensor in found if named)
    yield from (tensor for _, named, tensor in found if not named)


def _walk(output: object, name: str, named: bool) -> Iterator[tuple[str, bool, Tensor]]:
    """Yield (name, whether it is under a key `logits`, tensor) for all tensors in containers."""
    if isinstance(output, Tensor):
        yield name, named, output
        return
    inner: Iterable[tuple[object, object]] = ()
    if isinstance(output, Mapping):
        inner = output.items()
    elif dataclasses.is_dataclass(output) and not isinstance(output, type):
        inner = [(f.name, getattr(output, f.name)) for f in dataclasses.fields(output)]
    elif isinstance(output, tuple) and hasattr(output, "_fields"):
        inner = zip(output._fields, output, strict=True)
    elif isinstance(output, tuple | list):
        inner = enumerate(output)
    for key, value in inner:
        yield from _walk(value, f"{name}.{key}" if name else str(key), named or key == "logits")
