"""Recognition: find the architecture of a library that weights belong to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from torch import Tensor

from melaudit.errors import CheckpointError
from melaudit.models.builders import (
    LIBRARIES,
    Builder,
    candidates,
    configured_builder,
    named_builder,
    resized,
)
from melaudit.models.checkpoint import Weights
from melaudit.models.confined import Answer, confined
from melaudit.models.fences import Limits
from melaudit.models.fitting import Fit, fit
from melaudit.models.libraries.interface import Shapes
from melaudit.models.libraries.monai import Monai, of_monai
from melaudit.models.messages import shown
from melaudit.models.state_dicts import prefixes
from melaudit.wording.names import visible

_Value = TypeVar("_Value")

_TO_BUILD = Limits(memory=4 * 2**30, seconds=20)
"""To build a model without numbers. Chosen: timm's largest takes about 3 seconds; a few are built
with numbers, up to 2 GiB of them."""


@dataclass(frozen=True)
class Naming:
    """How names in weights become those of an architecture."""

    prefix: str
    """What every name began with, or every name of the trunk; a wrapper added it."""
    head: str = ""
    """The name under which a wrapper keeps the head, beside the trunk; "" for none."""
    place: str = ""
    """The module of the architecture that this head stands for."""

    def __call__(self, tensors: Mapping[str, _Value]) -> dict[str, _Value]:
        """Return tensors, or their shapes, under the names of the architecture."""
        return {self._renamed(key): value for key, value in tensors.items()}

    def _renamed(self, key: str) -> str:
        if self.head and key.startswith(f"{self.head}."):
            return self.place + key.removeprefix(self.head)
        return key.removeprefix(self.prefix)

    def notes(self) -> tuple[str, ...]:
        """Return what was made of the names, for the reader."""
        if self.head:
            return (
                f"The head was kept beside the model, under {self.head!r}, and the model under "
                f"{self.prefix!r}: images were taken to go through one and then the other.",
            )
        return (
            (f"All names began with {self.prefix!r}, which was taken off.",) if self.prefix else ()
        )


@dataclass(frozen=True)
class Match:
    """An architecture, and how the weights compare with it."""

    builder: Builder
    naming: Naming
    """What became of the names in the weights."""
    fit: Fit


def recognise(path: Path, weights: Weights, arch: str | None) -> tuple[Match, tuple[str, ...]]:
    """Return the architecture that the weights fit, and a note if they fit several.

    It is the one that `arch` names; else the one that a folder's config names; else the one whose
    names and shapes equal those of the weights, of the first library that has one.

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
    found: list[Match] = []
    for library in LIBRARIES:
        found += _compared(weights, partial(candidates, library))
        if any(match.fit.fits or match.fit.channels for match in found):
            break
    return _chosen(path, found, weights, None)


def _built(builder: Builder) -> Answer:
    return {}, {"tensors": len(builder.signature().shapes)}


def _compared(weights: Weights, sought: Callable[[Shapes], list[Builder]]) -> list[Match]:
    """Compare the weights with the candidates for their names, under each name they may have.

    The search ends with the first naming under which any candidate fits.
    """
    found: list[Match] = []
    shapes = shapes_of(weights.tensors)
    for prefix in prefixes(shapes):
        plain = Naming(prefix)(shapes)
        here = [_matched(builder, Naming(prefix), plain) for builder in sought(plain)]
        if any(match.fit.fits for match in here):
            return here
        found += here
    for prefix, head in _heads_apart(shapes):
        trunk = {key: shape for key, shape in shapes.items() if key.startswith(prefix)}
        put = [_put(builder, prefix, head, shapes) for builder in sought(Naming(prefix)(trunk))]
        fitting = [match for match in put if match is not None]
        if fitting:
            return fitting
    return found


def _heads_apart(shapes: Shapes) -> Iterator[tuple[str, str]]:
    """Yield (prefix of the trunk, name of the head) where a wrapper keeps the two side by side.

    A LightningModule with `self.backbone` and `self.head` does, below the prefixes of all names.
    The head is linear: its weights are matrices.
    """
    for outer in prefixes(shapes):
        firsts = Counter(key.removeprefix(outer).partition(".")[0] for key in shapes)
        if len(firsts) != 2:
            continue
        trunk, head = (f"{outer}{name}" for name, _ in firsts.most_common())
        weights = {
            len(shape)
            for key, shape in shapes.items()
            if key.startswith(f"{head}.") and key.endswith(".weight")
        }
        if weights == {2}:
            yield f"{trunk}.", head


def _put(builder: Builder, prefix: str, head: str, shapes: Shapes) -> Match | None:
    """Return the match with the head in the architecture's own place, or in what holds that."""
    for own in builder.signature().heads[:1]:
        parts = own.split(".")
        for depth in range(len(parts), 0, -1):
            naming = Naming(prefix, head, ".".join(parts[:depth]))
            match = _matched(builder, naming, naming(shapes))
            if match.fit.fits:
                return match
    return None


def _matched(builder: Builder, naming: Naming, shapes: Shapes) -> Match:
    builder = resized(builder, shapes)
    return Match(builder, naming, fit(builder, shapes))


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
    own = "--factory FILE.py:FUNCTION, the function that builds your model"
    shapes = shapes_of(weights.tensors)
    if any(len(shape) == 5 for shape in shapes.values()):
        return (
            "is of a network for volumes (its convolutions have three dimensions); expected one "
            "for images: give --factory with a model that takes images (N, 3, H, W)"
        )
    if sought is None and of_monai(shapes) and not Monai().names():
        return "is of a network of MONAI: pip install 'melaudit[monai]'"
    if not matches:
        keys = ", ".join(visible(key) for key in list(weights.tensors)[:4])
        return (
            f"is of no architecture known here (its {len(weights.tensors)} tensors are {keys} "
            f"...); give --arch NAME for a model of torchvision, timm or MONAI, or {own}"
        )
    closest = max(matches, key=lambda match: match.fit.likeness)
    channels = closest.fit.channels
    if channels is not None:
        return (
            f"is a {closest.builder} for images of {channels} channels; expected 3 (RGB) or 1 "
            "(grey), the only ones that are read here: give --factory with a model that takes RGB "
            "and makes its other channels in its own forward, as torch.cat([x, extra(x)], 1)"
        )
    under = f" under {closest.naming.prefix!r}" if closest.naming.prefix else ""
    if sought is None:
        return (
            "fits no architecture of torchvision, timm or MONAI; the closest is "
            f"{closest.builder}{under}, but {closest.fit.differences()}. Give {own}"
        )
    torchvision = partial(candidates, "torchvision")
    fitting = [match for match in _compared(weights, torchvision) if match.fit.fits]
    advice = f"--arch {fitting[0].builder.name}, which fits" if fitting else own
    return f"does not fit {closest.builder}: {closest.fit.differences()}; give {advice}"


def _partly(weights: Weights) -> list[Match]:
    """Compare only the weights under the most frequent first name with known architectures."""
    firsts = Counter(key.split(".")[0] for key in weights.tensors)
    prefix = f"{firsts.most_common(1)[0][0]}."
    naming = Naming(prefix)
    shapes = naming(shapes_of(weights.tensors))
    found = candidates("torchvision", shapes)
    return [Match(builder, naming, fit(builder, shapes)) for builder in found]


def shapes_of(tensors: Mapping[str, Tensor]) -> Shapes:
    """Return name -> shape."""
    return {key: tuple(tensor.shape) for key, tensor in tensors.items()}
