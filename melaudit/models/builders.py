"""Builders: the image classifiers that libraries build by name, without weights."""

from __future__ import annotations

import difflib
import functools
import math
import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from melaudit.errors import CheckpointError
from melaudit.models.libraries.interface import Library, Shapes
from melaudit.models.libraries.monai import Monai
from melaudit.models.libraries.timm import FIXED_OPTIONS, Timm, timm_names
from melaudit.models.libraries.torchvision import Torchvision
from melaudit.models.messages import first_line
from melaudit.models.weightless import PLACEHOLDER_CLASSES, Weightless
from melaudit.wording.names import visible


@dataclass(frozen=True)
class Signature:
    """What distinguishes an architecture: the names and shapes of its tensors."""

    shapes: Shapes
    """Shapes of the head begin with PLACEHOLDER_CLASSES."""

    @functools.cached_property
    def heads(self) -> tuple[str, ...]:
        """The modules whose weight has one row per class, in the order of the model.

        The first one counts. Heads that only training uses, such as the second one of inception,
        are not among them.
        """
        return tuple(
            key.removesuffix(".weight")
            for key, shape in self.shapes.items()
            if key.endswith(".weight") and shape[0] == PLACEHOLDER_CLASSES
        )


LIBRARIES: Mapping[str, Library] = {
    "torchvision": Torchvision(),
    "monai": Monai(),
    "timm": Timm(),
}
"""The libraries that build by name, in the order in which they are searched: timm takes longest."""


@dataclass(frozen=True)
class Builder:
    """A named architecture of a library, with its options."""

    library: str
    """"torchvision", "timm" or "monai"."""
    name: str
    options: tuple[tuple[str, Any], ...] = ()

    def __str__(self) -> str:
        return f"{self.library} {self.name}"

    def build(self, num_classes: int) -> nn.Module:
        """Build the model without weights: its parameters are on the meta device.

        Nothing is downloaded.
        """
        model = self._make_weightless(num_classes)
        state = model.state_dict()
        if any(t.is_meta for name, t in model.named_buffers() if name not in state):
            model = self._make_with_weights(num_classes)  # no checkpoint holds their values
        return model.eval()

    def signature(self) -> Signature:
        """Return the names and shapes of the tensors of the model with PLACEHOLDER_CLASSES."""
        return _signature(self)

    def bound_size(self) -> int | None:
        """Return the only side of images that the architecture accepts; None if any will do."""
        return LIBRARIES[self.library].bound_size(self.name, dict(self.options))

    def notes(self) -> tuple[str, ...]:
        """Return what the weights do not tell about how this architecture is run."""
        return LIBRARIES[self.library].notes(self.name)

    def _make_weightless(self, num_classes: int) -> nn.Module:
        try:
            with Weightless():
                return self._make(num_classes)
        except (RuntimeError, NotImplementedError):  # the model is run while it is built
            return self._make_with_weights(num_classes)

    def _make_with_weights(self, num_classes: int) -> nn.Module:
        """Build the model with random weights, and leave the random state unchanged."""
        with torch.random.fork_rng(devices=[]):
            return self._make(num_classes)

    def _make(self, num_classes: int) -> nn.Module:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            library = LIBRARIES[self.library]
            return library.make(self.name, num_classes, dict(self.options))


@functools.lru_cache(maxsize=4096)
def _signature(builder: Builder) -> Signature:
    try:
        model = builder._make_weightless(PLACEHOLDER_CLASSES)
    except Exception as error:  # a config can ask a library for anything
        raise CheckpointError(
            f"{builder} cannot be built ({type(error).__name__}: {first_line(error)}); expected an "
            "image classifier: give --arch or --factory"
        ) from error
    return Signature({key: tuple(value.shape) for key, value in model.state_dict().items()})


def candidates(library: str, shapes: Shapes) -> list[Builder]:
    """Return the classifiers of a library that weights of these shapes may belong to."""
    found = [Builder(library, name) for name in LIBRARIES[library].likely(shapes)]
    # One of timm's thousands cannot be built without options.
    return found if library != "timm" else [each for each in found if _buildable(each)]


def resized(builder: Builder, shapes: Shapes) -> Builder:
    """Return the builder for the image size that the position embedding in the weights is for."""
    for position, patch, option in (
        ("encoder.pos_embedding", "conv_proj.weight", "image_size"),
        ("pos_embed", "patch_embed.proj.weight", "img_size"),
    ):
        found, kernel = shapes.get(position, ()), shapes.get(patch, ())
        own = builder.signature().shapes.get(position, ())
        side = builder.bound_size()
        if not len(found) == len(own) == 3 or len(kernel) != 4 or found == own or not side:
            continue
        # The number of tokens that are not patches, such as the class token, does not change.
        patches = found[1] - own[1] + (side // kernel[3]) ** 2
        across = math.isqrt(max(patches, 0))
        if across > 0 and across**2 == patches:
            options = {**dict(builder.options), option: across * kernel[3]}
            return Builder(builder.library, builder.name, tuple(options.items()))
    return builder


def named_builder(arch: str) -> Builder:
    """Return the builder that --arch names: resnet50, torchvision:resnet50 or timm:resnet50.

    Raises CheckpointError for an unknown name, and lists names close to it.
    """
    asked, colon, name = arch.strip().rpartition(":")
    if colon and asked not in LIBRARIES:
        raise CheckpointError(
            f"--arch {arch!r} names the unknown library {asked!r}; expected a name of "
            "torchvision's, timm:NAME or monai:NAME; for a model of your own give --factory "
            "FILE.py:FUNCTION"
        )
    searched = (asked,) if colon else tuple(LIBRARIES)
    for library in searched:
        for spelt in (name, name.replace("-", "_"), name.replace("-", "_").lower()):
            if spelt in LIBRARIES[library].names():
                return Builder(library, spelt)
    if colon and not LIBRARIES[asked].names():
        raise CheckpointError(f"--arch {arch!r} needs {asked}: pip install 'melaudit[{asked}]'")
    own = [n if lib == "torchvision" else f"{lib}:{n}" for lib, n in _all_names(searched)]
    close = difflib.get_close_matches(name, own, 4, 0.5)
    for library in LIBRARIES:
        near = difflib.get_close_matches(name, LIBRARIES[library].names(), 2, 0.7)
        close += [n if library == "torchvision" else f"{library}:{n}" for n in near]
    said = f"; close to it are {', '.join(dict.fromkeys(close))}" if close else ""
    raise CheckpointError(
        f"--arch {arch!r} is no classifier of torchvision, timm or MONAI{said}. For a model of "
        "your own give --factory FILE.py:FUNCTION"
    )


def _all_names(libraries: Iterable[str]) -> Iterator[tuple[str, str]]:
    for library in libraries:
        for name in LIBRARIES[library].names():
            yield library, name


def _buildable(builder: Builder) -> bool:
    try:
        builder.signature()
    except CheckpointError:
        return False
    return True


def configured_builder(config: Mapping[str, Any], path: Path) -> Builder:
    """Return the builder that a folder's config.json names in timm's format.

    Raises CheckpointError if it names none: there is no builder for models of transformers, and
    code that a config points to is never run.
    """
    name = config.get("architecture")
    shown = visible(str(path))
    if not isinstance(name, str):
        classes = config.get("architectures")
        what = (
            f"the transformers model {classes[0]!r}"
            if isinstance(classes, list) and classes
            else "no architecture"
        )
        raise CheckpointError(
            f'{shown}/config.json names {what}; expected timm\'s key "architecture": give --arch '
            "NAME or --factory FILE.py:FUNCTION"
        )
    if not timm_names():
        raise CheckpointError(f"{shown} is a model of timm: pip install 'melaudit[timm]'")
    if name not in timm_names():
        close = ", ".join(difflib.get_close_matches(name, timm_names(), 4)) or "nothing"
        raise CheckpointError(
            f"{shown}/config.json names {visible(name)!r}, which this timm does not know; close to "
            f"it is {close}: upgrade timm, or give --factory FILE.py:FUNCTION"
        )
    arguments = config.get("model_args")
    options = arguments.items() if isinstance(arguments, Mapping) else ()
    plain = {str(key): _plain(v, shown) for key, v in options if key not in FIXED_OPTIONS}
    return Builder("timm", name, tuple(plain.items()))


def _plain(value: Any, shown: str) -> Any:
    """Return an option as numbers, texts and tuples of these, so that builders can be compared."""
    if isinstance(value, Mapping):
        raise CheckpointError(
            f"{shown}/config.json has an option in model_args that is a mapping; expected numbers, "
            "texts or lists: give --factory FILE.py:FUNCTION"
        )
    return tuple(_plain(each, shown) for each in value) if isinstance(value, list) else value
