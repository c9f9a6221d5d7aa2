"""Recognition: find the architecture of torchvision or timm that weights belong to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from torch import Tensor

from melaudit.errors import CheckpointError
from melaudit.models.builders import (
    Builder,
    Shapes,
    configured_builder,
    named_builder,
    resized,
    timm_candidates,
    torchvision_candidates,
)
from melaudit.models.checkpoint import Weights
from melaudit.models.confined import Answer, confined
from melaudit.models.fences import Limits
from melaudit.models.fitting import Fit, fit
from melaudit.models.messages import shown
from melaudit.models.state_dicts import prefixes
from melaudit.wording.names import visible

_TO_BUILD = Limits(memory=4 * 2**30, seconds=20)
"""To build a model without numbers. Chosen: timm's largest takes about 3 seconds; a few are built
with numbers, up to 2 GiB of them."""


@dataclass(frozen=True)
class Match:
    """An architecture, and how the weights compare with it."""

    builder: Builder
    prefix: str
    """The prefix of every name in the weights, which a wrapper added."""
    fit: Fit


def recognise(path: Path, weights: Weights, arch: str | None) -> tuple[Match, tuple[str, ...]]:
    """Return the architecture that the weights fit, and a note if they fit several.

    It is the one that `arch` names; else the one that a folder's config names; else the one of
    torchvision, or if none fits of timm, whose names and shapes equal those of the weights.

    Raises CheckpointError if none fits, with the closest one and what differs.
    """
    if arch:
        named = named_builder(arch)
        return _chosen(path, _compared(weights, lambda _: [named]), weights, arch)
    if weights.config.keys() & {"architecture", "architectures"}:
        configured = configured_builder(weights.config, path)
        # Its options come from the file, and could ask for a model without end.
        confined(partial(_built, configured), shown(path), _TO_BUILD)
        return _chosen(path, _compared(weights, lambda _: [configured]), weights, configured.name)
    found = _compared(weights, torchvision_candidates)
    if not any(match.fit.fits or match.fit.channels for match in found):
        found += _compared(weights, timm_candidates)
    return _chosen(path, found, weights, None)


def _built(builder: Builder) -> Answer:
    return {}, {"tensors": len(builder.signature().shapes)}


def _compared(weights: Weights, candidates: Callable[[Shapes], list[Builder]]) -> list[Match]:
    """Compare the weights, without each possible prefix, with the candidates for these names.

    The search ends with the first prefix under which any candidate fits.
    """
    found: list[Match] = []
    for prefix in prefixes(weights.tensors):
        shapes = shapes_of(without(weights.tensors, prefix))
        here = [_matched(builder, prefix, shapes) for builder in candidates(shapes)]
        if any(match.fit.fits for match in here):
            return here
        found += here
    return found


def _matched(builder: Builder, prefix: str, shapes: Shapes) -> Match:
    builder = resized(builder, shapes)
    return Match(builder, prefix, fit(builder, shapes))


def _chosen(
    path: Path, matched: list[Match], weights: Weights, sought: str | None
) -> tuple[Match, tuple[str, ...]]:
    """Return the match to use, and a note if several fit; raise CheckpointError if none does."""
    fitting = [match for match in matched if match.fit.fits]
    own = [match for match in fitting if not match.fit.replaced] or fitting
    if own:
        if len(own) == 1:
            return own[0], ()
        others = ", ".join(str(match.builder) for match in own[1:9])
        more = f" and {len(own) - 9} more" if len(own) > 9 else ""
        note = (
            f"The weights fit several architectures alike; {own[0].builder} was taken, and {others}"
            f"{more} would fit too. --arch says which it is."
        )
        return own[0], (note,)
    raise CheckpointError(
        f"{visible(str(path))} {_misfit(matched or _partly(weights), weights, sought)}"
    )


def _misfit(matches: list[Match], weights: Weights, sought: str | None) -> str:
    """Say why the weights fit nothing, what they are closest to, and what to do."""
    own = "--factory module:function, the function that builds your model"
    if not matches:
        keys = ", ".join(visible(key) for key in list(weights.tensors)[:4])
        return (
            f"is of no architecture known here (its {len(weights.tensors)} tensors are {keys} "
            f"...); give --arch NAME for a model of torchvision or timm, or {own}"
        )
    closest = max(matches, key=lambda match: match.fit.likeness)
    channels = closest.fit.channels
    if channels is not None:
        return (
            f"is a {closest.builder} for images of {channels} channels; expected 3 (RGB) or 1 "
            "(grey), the only ones that are read here: give --factory with a model that takes RGB "
            "and makes its other channels in its own forward, as torch.cat([x, extra(x)], 1)"
        )
    under = f" under {closest.prefix!r}" if closest.prefix else ""
    if sought is None:
        return (
            "fits no architecture of torchvision or timm; the closest is "
            f"{closest.builder}{under}, but {closest.fit.differences()}. Give {own}"
        )
    fitting = [match for match in _compared(weights, torchvision_candidates) if match.fit.fits]
    advice = f"--arch {fitting[0].builder.name}, which fits" if fitting else own
    return f"does not fit {closest.builder}: {closest.fit.differences()}; give {advice}"


def _partly(weights: Weights) -> list[Match]:
    """Compare only the weights under the most frequent first name with known architectures."""
    firsts = Counter(key.split(".")[0] for key in weights.tensors)
    prefix = f"{firsts.most_common(1)[0][0]}."
    shapes = shapes_of(without(weights.tensors, prefix))
    candidates = torchvision_candidates(shapes)
    return [Match(builder, prefix, fit(builder, shapes)) for builder in candidates]


def shapes_of(tensors: Mapping[str, Tensor]) -> Shapes:
    """Return name -> shape."""
    return {key: tuple(tensor.shape) for key, tensor in tensors.items()}


def without(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Return name without a prefix -> tensor."""
    return {key.removeprefix(prefix): tensor for key, tensor in tensors.items()}
