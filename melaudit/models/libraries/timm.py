"""The image classifiers of timm."""

from __future__ import annotations

import functools
import importlib.util
import os
import warnings
from collections.abc import Mapping
from typing import Any

from torch import nn

from melaudit.models.libraries.interface import Shapes
from melaudit.models.weightless import PLACEHOLDER_CLASSES, consists_of

FIXED_OPTIONS = {
    *("pretrained", "pretrained_cfg", "pretrained_cfg_overlay", "checkpoint_path", "cache_dir"),
    *("num_classes", "in_chans", "features_only", "scriptable", "exportable", "no_jit"),
}
"""Options that a folder's config has no say in: some read files, others change what is audited."""


class Timm:
    """timm's models, by its names: "vit_tiny_patch16_224"."""

    extra = "timm"

    def names(self) -> tuple[str, ...]:
        """Return the names of timm's models; none if it is not installed."""
        return timm_names()

    def make(self, name: str, num_classes: int, options: Mapping[str, Any]) -> nn.Module:
        """Build a model."""
        model: nn.Module = _timm().create_model(
            name, pretrained=False, num_classes=num_classes, **options
        )
        return model

    def bound_size(self, name: str, options: Mapping[str, Any]) -> int | None:
        """Return the side in the options, or the one of an architecture that accepts no other."""
        config = _timm().get_pretrained_cfg(name, allow_unregistered=True)
        size = options.get("img_size")
        if size is not None:
            return int(size[0] if isinstance(size, tuple) else size)
        fixed = getattr(config, "fixed_input_size", False)
        return int(config.input_size[-1]) if fixed else None

    def notes(self, name: str) -> tuple[str, ...]:
        """Return nothing: names of timm say all."""
        return ()

    def likely(self, shapes: Shapes) -> tuple[str, ...]:
        """Return the classifiers that consist of these shapes, the shortest names first."""
        found = []
        among = frozenset(shapes.values())
        for name in sorted(timm_names(), key=lambda name: (len(name), name)):
            config = _timm().get_pretrained_cfg(name, allow_unregistered=True)
            first = getattr(config, "first_conv", None)
            names = first if isinstance(first, list | tuple) else [first]
            if any(f"{name}.weight" in shapes for name in names):
                build = functools.partial(self.make, name, PLACEHOLDER_CLASSES, {})
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    if consists_of(build, among):
                        found.append(name)
        return tuple(found)


@functools.cache
def timm_names() -> tuple[str, ...]:
    """Return the names of timm's models; none if it is not installed."""
    if importlib.util.find_spec("timm") is None:
        return ()
    return tuple(_timm().list_models())


def _timm() -> Any:
    os.environ.setdefault("HF_HUB_OFFLINE", "1")  # read when huggingface_hub is imported
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import timm

    return timm
