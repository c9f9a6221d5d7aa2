"""Builders: the image classifiers that torchvision and timm build by name, without weights."""

from __future__ import annotations

import difflib
import functools
import importlib.util
import math
import os
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from melaudit.errors import CheckpointError
from melaudit.models.messages import first_line
from melaudit.models.weightless import PLACEHOLDER_CLASSES, Weightless, consists_of
from melaudit.wording.names import visible

Shapes = Mapping[str, tuple[int, ...]]


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


_FAMILIES = (
    ("alexnet", "features.10.weight"),
    ("vgg", "features.0.weight"),
    ("squeezenet", "features.3.squeeze.weight"),
    ("resnet|resnext|wide_resnet", "layer1.0.conv1.weight"),
    ("densenet", "features.denseblock1.denselayer1.norm1.weight"),
    ("googlenet", "inception3a.branch1.conv.weight"),
    ("inception_v3", "Mixed_5b.branch1x1.conv.weight"),
    ("shufflenet", "stage2.0.branch1.0.weight"),
    ("mobilenet_v2", "features.1.conv.0.0.weight"),
    ("mobilenet_v3", "features.1.block.0.0.weight"),
    ("mnasnet", "layers.8.0.layers.0.weight"),
    ("efficientnet", "features.1.0.block.0.0.weight"),
    ("regnet", "trunk_output.block1.block1-0.f.a.0.weight"),
    ("convnext", "features.1.0.layer_scale"),
    ("swin", "features.1.0.attn.qkv.weight"),
    ("vit", "conv_proj.weight"),
    ("maxvit", "stem.0.0.weight"),
)
"""Names of torchvision's builders, and a key that only their models have: it saves building
them."""

_TRANSFORMING = ("googlenet", "inception_v3")
"""Architectures that transform their input if their weights are torchvision's."""

_FIXED_OPTIONS = {
    *("pretrained", "pretrained_cfg", "pretrained_cfg_overlay", "checkpoint_path", "cache_dir"),
    *("num_classes", "in_chans", "features_only", "scriptable", "exportable", "no_jit"),
}


@dataclass(frozen=True)
class Builder:
    """A named architecture of a library, with its options."""

    library: str
    """"torchvision" or "timm"."""
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
        if self.library == "torchvision":
            if self.name.startswith("vit_"):
                return int(dict(self.options).get("image_size", 224))
            return 224 if self.name == "maxvit_t" else None
        return _timm_bound_size(self)

    def notes(self) -> tuple[str, ...]:
        """Return what the weights do not tell about how this architecture is run."""
        if self.library == "torchvision" and self.name in _TRANSFORMING:
            return (
                f"{self.name} was built with transform_input=True, as torchvision does for "
                "pretrained weights; for one trained from scratch give --factory.",
            )
        return ()

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
            return self._call(num_classes)

    def _call(self, num_classes: int) -> nn.Module:
        options = dict(self.options)
        if self.library == "timm":
            made: nn.Module = _timm().create_model(
                self.name, pretrained=False, num_classes=num_classes, **options
            )
            return made
        from torchvision import models

        if self.name in _TRANSFORMING:
            # Pretrained weights use transform_input, and so do models fine-tuned from them.
            options |= {"aux_logits": False, "init_weights": False, "transform_input": True}
        model: nn.Module = models.get_model(
            self.name, weights=None, num_classes=num_classes, **options
        )
        return model


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


def torchvision_candidates(shapes: Shapes) -> list[Builder]:
    """Return torchvision's classifiers whose family has tensors of these names, in its own order.

    Builders of unknown families, from a later torchvision, are always among them.
    """
    found = []
    for name in torchvision_names():
        telltale = [key for names, key in _FAMILIES if re.fullmatch(rf"({names})[\d_a-z]*", name)]
        if not telltale or any(key in shapes for key in telltale):
            found.append(Builder("torchvision", name))
    return found


@functools.cache
def torchvision_names() -> tuple[str, ...]:
    """Return the names of torchvision's image classifiers."""
    from torchvision import models

    return tuple(models.list_models(module=models))


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
    library, colon, name = arch.strip().rpartition(":")
    name = name.replace("-", "_") if library != "timm" else name
    if colon and library not in ("torchvision", "timm"):
        raise CheckpointError(
            f"--arch {arch!r} names the unknown library {library!r}; expected a name of "
            "torchvision's, or timm:NAME; for a model of your own give --factory module:function"
        )
    known = torchvision_names()
    if library != "timm" and name in known:
        return Builder("torchvision", name)
    if library != "timm" and name.lower() in known:
        return Builder("torchvision", name.lower())
    if library != "torchvision":
        names = timm_names()
        if name in names:
            return Builder("timm", name)
        if library == "timm" and not names:
            raise CheckpointError(f"--arch {arch!r} needs timm: pip install 'melaudit[timm]'")
        known += tuple(f"timm:{n}" for n in names)
    close = difflib.get_close_matches(name, known, 4, 0.5)
    close += [f"timm:{n}" for n in difflib.get_close_matches(name, timm_names(), 2, 0.7)]
    near = f"; close to it are {', '.join(dict.fromkeys(close))}" if close else ""
    raise CheckpointError(
        f"--arch {arch!r} is no classifier of torchvision or timm{near}. For a model of your own "
        "give --factory module:function"
    )


@functools.cache
def timm_names() -> tuple[str, ...]:
    """Return the names of timm's models; none if it is not installed."""
    if importlib.util.find_spec("timm") is None:
        return ()
    return tuple(_timm().list_models())


def timm_candidates(shapes: Shapes) -> list[Builder]:
    """Return timm's classifiers that consist of these shapes, the shortest names first."""
    found = []
    among = frozenset(shapes.values())
    for name in sorted(timm_names(), key=lambda name: (len(name), name)):
        config = _timm().get_pretrained_cfg(name, allow_unregistered=True)
        first = getattr(config, "first_conv", None)
        names = first if isinstance(first, list | tuple) else [first]
        if any(f"{name}.weight" in shapes for name in names):
            builder = Builder("timm", name)
            build = functools.partial(builder._make, PLACEHOLDER_CLASSES)
            if consists_of(build, among) and _buildable(builder):
                found.append(builder)
    return found


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
            "NAME or --factory module:function"
        )
    if not timm_names():
        raise CheckpointError(f"{shown} is a model of timm: pip install 'melaudit[timm]'")
    if name not in timm_names():
        close = ", ".join(difflib.get_close_matches(name, timm_names(), 4)) or "nothing"
        raise CheckpointError(
            f"{shown}/config.json names {visible(name)!r}, which this timm does not know; close to "
            f"it is {close}: upgrade timm, or give --factory module:function"
        )
    arguments = config.get("model_args")
    options = arguments.items() if isinstance(arguments, Mapping) else ()
    plain = {str(key): _plain(v, shown) for key, v in options if key not in _FIXED_OPTIONS}
    return Builder("timm", name, tuple(plain.items()))


def _plain(value: Any, shown: str) -> Any:
    """Return an option as numbers, texts and tuples of these, so that builders can be compared."""
    if isinstance(value, Mapping):
        raise CheckpointError(
            f"{shown}/config.json has an option in model_args that is a mapping; expected numbers, "
            "texts or lists: give --factory module:function"
        )
    return tuple(_plain(each, shown) for each in value) if isinstance(value, list) else value


def _timm_bound_size(builder: Builder) -> int | None:
    config = _timm().get_pretrained_cfg(builder.name, allow_unregistered=True)
    size = dict(builder.options).get("img_size")
    if size is not None:
        return int(size[0] if isinstance(size, tuple) else size)
    fixed = getattr(config, "fixed_input_size", False)
    return int(config.input_size[-1]) if fixed else None


def _timm() -> Any:
    os.environ.setdefault("HF_HUB_OFFLINE", "1")  # read when huggingface_hub is imported
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import timm

    return timm
