"""The image classifiers of MONAI, as it builds them for images of two dimensions."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from typing import Any

from torch import nn

from melaudit.models.libraries.interface import Shapes

_DENSENETS = ("DenseNet121", "DenseNet169", "DenseNet201", "DenseNet264")
_RESNETS = ("resnet10", "resnet18", "resnet34", "resnet50", "resnet101", "resnet152")
_SENETS = (
    *("SENet154", "SEResNet50", "SEResNet101", "SEResNet152"),
    *("SEResNext50", "SEResNext101"),
)
_EFFICIENTNETS = tuple(f"efficientnet-b{size}" for size in range(9))

_FAMILIES = (
    ("features.denseblock1.denselayer1.layers.norm1.weight", _DENSENETS),
    ("layer2.0.downsample.0.bias", _RESNETS),
    ("layer1.0.conv1.conv.weight", _SENETS),
    ("_blocks.0.0._depthwise_conv.weight", _EFFICIENTNETS),
)
"""A key that models of MONAI alone have, and their names: without the bias of its shortcuts a
ResNet of MONAI has the names and shapes of torchvision's, and other strides."""


class Monai:
    """MONAI's classifiers, by the names of its classes and functions: "DenseNet121"."""

    extra = "monai"

    def names(self) -> tuple[str, ...]:
        """Return the names of MONAI's classifiers; none if it is not installed."""
        if importlib.util.find_spec("monai") is None:
            return ()
        return tuple(name for _, names in _FAMILIES for name in names)

    def make(self, name: str, num_classes: int, options: Mapping[str, Any]) -> nn.Module:
        """Build a classifier for RGB images, with what MONAI does unless it is told otherwise."""
        from monai.networks import nets

        model: Any
        if name in _DENSENETS:
            model = getattr(nets, name)(spatial_dims=2, in_channels=3, out_channels=num_classes)
        elif name in _RESNETS:
            build = getattr(nets, name)
            model = build(spatial_dims=2, n_input_channels=3, num_classes=num_classes)
        elif name in _SENETS:
            model = getattr(nets, name)(spatial_dims=2, in_channels=3, num_classes=num_classes)
        else:
            model = nets.EfficientNetBN(
                name, pretrained=False, spatial_dims=2, in_channels=3, num_classes=num_classes
            )
            model.set_swish(memory_efficient=False)  # one whose operations can be seen
        built: nn.Module = model
        return built

    def bound_size(self, name: str, options: Mapping[str, Any]) -> int | None:
        """Return None: all of them are convolutional."""
        return None

    def notes(self, name: str) -> tuple[str, ...]:
        """Return what MONAI's options may change without a trace in the weights."""
        if name in _RESNETS:
            return (
                f"{name} was built with MONAI's own strides (conv1_t_stride=1) and shortcuts; for "
                "one with others give --factory.",
            )
        return ()

    def likely(self, shapes: Shapes) -> tuple[str, ...]:
        """Return the classifiers of the family that has tensors of these names."""
        if not self.names():
            return ()
        return tuple(name for key, names in _FAMILIES if key in shapes for name in names)


def of_monai(shapes: Shapes) -> bool:
    """Tell whether tensors have names that only MONAI gives."""
    return any(key in shapes for key, _ in _FAMILIES)
