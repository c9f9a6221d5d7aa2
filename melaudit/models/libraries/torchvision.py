"""The image classifiers of torchvision."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from typing import Any

from torch import nn

from melaudit.models.libraries.interface import Shapes

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


class Torchvision:
    """torchvision's classifiers, by the names of its builders: "resnet50"."""

    extra = ""

    def names(self) -> tuple[str, ...]:
        """Return the names of torchvision's image classifiers."""
        return torchvision_names()

    def make(self, name: str, num_classes: int, options: Mapping[str, Any]) -> nn.Module:
        """Build a classifier, without the heads that only training uses."""
        from torchvision import models

        options = dict(options)
        if name in _TRANSFORMING:
            # Pretrained weights use transform_input, and so do models fine-tuned from them.
            options |= {"aux_logits": False, "init_weights": False, "transform_input": True}
        model: nn.Module = models.get_model(name, weights=None, num_classes=num_classes, **options)
        return model

    def bound_size(self, name: str, options: Mapping[str, Any]) -> int | None:
        """Return the side that transformers with learned positions accept."""
        if name.startswith("vit_"):
            return int(options.get("image_size", 224))
        return 224 if name == "maxvit_t" else None

    def notes(self, name: str) -> tuple[str, ...]:
        """Return what is assumed of the models that may transform their input."""
        if name in _TRANSFORMING:
            return (
                f"{name} was built with transform_input=True, as torchvision does for "
                "pretrained weights; for one trained from scratch give --factory.",
            )
        return ()

    def likely(self, shapes: Shapes) -> tuple[str, ...]:
        """Return the classifiers of the family that has tensors of these names.

        Builders of unknown families, from a later torchvision, are always among them.
        """
        found = []
        for name in torchvision_names():
            of = [key for names, key in _FAMILIES if re.fullmatch(rf"({names})[\d_a-z]*", name)]
            if not of or any(key in shapes for key in of):
                found.append(name)
        return tuple(found)


@functools.cache
def torchvision_names() -> tuple[str, ...]:
    """Return the names of torchvision's image classifiers."""
    from torchvision import models

    return tuple(models.list_models(module=models))
