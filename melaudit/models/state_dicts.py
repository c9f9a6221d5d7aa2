"""State dicts: find the weights in what was saved, and check that they can be used."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping

import torch
from torch import Tensor

from melaudit.errors import CheckpointError
from melaudit.wording.names import visible

RAW = (
    *("state_dict", "model_state_dict", "model_state", "model", "net", "network", "net_state_dict"),
    *("weights", "module", "params", "model_weights", "classifier", "student", "generator"),
)
"""Keys under which training scripts keep the weights, the most specific first."""
AVERAGED = (
    *("state_dict_ema", "model_ema", "ema_state_dict", "model_ema_state_dict", "ema_model", "ema"),
    *("params_ema", "swa_state_dict", "swa_model", "averaged_model", "teacher"),
)
"""Keys of weights that were averaged during training."""

_LOSS_TENSORS = ("weight", "pos_weight", "alpha")
_COUNT_OF_AVERAGES = "n_averaged"
_MAX_DEPTH = 4
"""Mappings within mappings that are searched."""
_MAX_PREFIXES = 6
"""Prefixes that are removed one after the other. Chosen: round figures, not measured."""
_MAX_WEIGHTS = 20_000
"""Tensors of one model. Chosen: a round figure; no model of torchvision or timm comes near."""
_MAX_GROWTH, _SLACK_BYTES = 4, 64 * 2**20
"""Bytes that tensors may have: so many times their file, plus slack for shared storages and small
files. Chosen: round figures, not measured."""


def unwrap(loaded: object, name: str) -> tuple[dict[str, Tensor], str, tuple[str, ...]]:
    """Return the state_dict in what was loaded, the path of keys to it, and notes.

    `name` is the file's, for messages. Raises CheckpointError if there are no weights.
    """
    # The parameters of a user's module may have any name; then the mapping holds nothing else.
    found = _search(loaded, _MAX_DEPTH) or _search(loaded, _MAX_DEPTH, plain=True)
    if found is None:
        raise CheckpointError(f"{name} holds no weights of a model: {_contents(loaded)}")
    path, inner = found
    tensors = {str(k): v for k, v in inner.items() if isinstance(v, Tensor)}
    notes = []
    if path:
        notes.append(
            f"The weights were found under {visible('.'.join(path))!r}{_others(loaded, path)}."
        )
    if tensors.get(_COUNT_OF_AVERAGES, torch.ones(2)).numel() == 1 < len(tensors):
        del tensors[_COUNT_OF_AVERAGES]
        notes.append("These are averaged weights, of torch's AveragedModel.")
    dropped = [key for key in tensors if _weighs_a_loss(key) and tensors[key].ndim <= 1]
    if dropped and len(dropped) < len(tensors):
        notes.append(f"Left out, as weights of a loss: {', '.join(map(visible, dropped))}.")
        tensors = {key: value for key, value in tensors.items() if key not in dropped}
    rest = [visible(str(k)) for k, v in inner.items() if not isinstance(v, Tensor)]
    if rest:
        notes.append(f"Left out, as no tensors: {', '.join(rest[:5])}{' ...' * (len(rest) > 5)}.")
    return tensors, ".".join(path), tuple(notes)


def _weighs_a_loss(key: str) -> bool:
    first, last = key.partition(".")[0], key.rpartition(".")[2]
    of_a_loss = "loss" in first or first in ("criterion", "ce") or first.endswith("_criterion")
    return of_a_loss and last in _LOSS_TENSORS and "." in key


def _search(
    loaded: object, depth: int, seen: set[int] | None = None, plain: bool = False
) -> tuple[tuple[str, ...], Mapping[object, object]] | None:
    """Return the path to a state_dict and the state_dict, or None; no mapping is searched twice."""
    seen = set() if seen is None else seen
    if not isinstance(loaded, Mapping) or depth == 0 or id(loaded) in seen:
        return None
    seen.add(id(loaded))
    if _is_plain(loaded) if plain else _is_state_dict(loaded):
        return (), loaded
    for key in (*RAW, *AVERAGED):
        found = _search(loaded.get(key), depth - 1, seen, plain)
        if found is not None:
            return (key, *found[0]), found[1]
    # A single mapping of weights is taken whatever its key; among several, nothing decides.
    others = [
        (key, found)
        for key, value in loaded.items()
        if isinstance(key, str)
        and "optim" not in key.lower()
        and (found := _search(value, depth - 1, seen, plain)) is not None
    ]
    if len(others) != 1:
        return None
    ((name, (path, inner)),) = others
    return (name, *path), inner


def _is_state_dict(candidate: Mapping[object, object]) -> bool:
    """Tell whether most entries of a mapping are names to tensors."""
    tensors = [k for k, v in candidate.items() if isinstance(k, str) and isinstance(v, Tensor)]
    named = [key for key in tensors if key.endswith(("weight", "bias"))]
    return bool(named) and len(tensors) * 2 > len(candidate)


def _is_plain(candidate: Mapping[object, object]) -> bool:
    """Tell whether a mapping holds names and tensors and nothing else."""
    return bool(candidate) and all(
        isinstance(k, str) and isinstance(v, Tensor) for k, v in candidate.items()
    )


def _others(loaded: object, path: tuple[str, ...]) -> str:
    """Say which other weights there were beside the chosen ones."""
    if not isinstance(loaded, Mapping):
        return ""
    others = [
        str(key)
        for key, value in loaded.items()
        if key != path[0] and "optim" not in str(key).lower() and _search(value, _MAX_DEPTH - 1)
    ]
    if not others:
        return ""
    shown = ", ".join(map(visible, others[:5]))
    averaged = [key for key in others if key in AVERAGED]
    if averaged and path[0] not in AVERAGED:
        return f"; averaged weights were there too ({shown}) and not used"
    return f"; others were there too ({shown}) and not used"


def _contents(loaded: object) -> str:
    if not isinstance(loaded, Mapping):
        return f"it is a {type(loaded).__name__}; expected a mapping from names to tensors"
    keys = [str(key) for key in loaded]
    shown = ", ".join(map(visible, keys[:8])) + (" ..." if len(keys) > 8 else "")
    if {"state", "param_groups"} <= set(keys) or (
        keys and all(re.search("optim|sched|scaler|epoch|step", key, re.I) for key in keys)
    ):
        return f"it is the state of an optimizer ({shown}); save model.state_dict() as well"
    return (
        f"it has the keys {shown or 'none'}; expected names to tensors, or one of "
        f"{', '.join(RAW[:6])} that holds them"
    )


def sound_tensors(
    found: Mapping[str, Tensor], name: str, file_bytes: int
) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """Return the tensors as float32 (integers unchanged), and notes on what was converted.

    `file_bytes` is the size of their file. Raises CheckpointError for tensors that are far larger
    than it or of a type that no classifier has, for numbers that are not finite, and for negative
    variances.
    """
    if len(found) > _MAX_WEIGHTS:
        raise CheckpointError(
            f"{name} holds {len(found):,} tensors of weights; expected at most {_MAX_WEIGHTS:,}, "
            "more than any classifier has"
        )
    max_bytes = _MAX_GROWTH * file_bytes + _SLACK_BYTES
    if sum(t.numel() * t.element_size() for t in found.values()) > max_bytes:
        raise CheckpointError(
            f"{name} declares tensors far larger than the file itself; it is damaged or hostile"
        )
    tensors: dict[str, Tensor] = {}
    kinds: set[str] = set()
    for key, tensor in found.items():
        if tensor.layout is not torch.strided or tensor.is_quantized or tensor.is_complex():
            kind = "quantized" if tensor.is_quantized else f"{tensor.layout} {tensor.dtype}"
            raise CheckpointError(
                f"{name} has the {kind} tensor {visible(key)}; expected plain floats: save the "
                "model before quantizing, pruning or converting it"
            )
        if tensor.device.type != "cpu":
            raise CheckpointError(f"{name} has no numbers for {visible(key)} ({tensor.device})")
        plain = tensor.detach()
        if plain.is_floating_point() and plain.dtype is not torch.float32:
            kinds.add(str(plain.dtype).removeprefix("torch."))
            plain = plain.to(torch.float32)
        plain = plain.contiguous()
        if plain.is_floating_point() and not torch.isfinite(plain).all():
            raise CheckpointError(
                f"{name} has NaN or infinite numbers in {visible(key)}: its training diverged, or "
                "the file is damaged"
            )
        if key.endswith("running_var") and plain.numel() and plain.min() < 0:
            raise CheckpointError(
                f"{name} has a negative variance in {visible(key)}: the file is damaged"
            )
        tensors[key] = plain
    if not kinds:
        return tensors, ()
    return tensors, (f"Weights were converted from {', '.join(sorted(kinds))} to float32.",)


def prefixes(keys: Collection[str]) -> Iterator[str]:
    """Yield the prefixes that all keys share, "" first; a wrapper may have added them.

    DataParallel (module.), torch.compile (_orig_mod.), Lightning and a user's own modules (model.,
    backbone., cnn.) add one to every name of the model that they hold.
    """
    prefix = ""
    yield prefix
    for _ in range(_MAX_PREFIXES):
        parts = {key[len(prefix) :].partition(".")[:2] for key in keys}
        if len(parts) != 1:
            return
        ((first, dot),) = parts
        if not dot:
            return
        prefix += first + dot
        yield prefix
