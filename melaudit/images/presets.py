"""Presets: the preprocessing that weights declare, in the format of timm, Hugging Face or ours."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from melaudit.choices import Resize
from melaudit.errors import PreprocessingError
from melaudit.regular_file import read_regular

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
"""Per channel, on a scale of 0 to 1: the normalisation of torchvision's ImageNet models."""

_PIL_FILTERS = ("nearest", "lanczos", "bilinear", "bicubic", "box", "hamming")
"""In the order of Pillow's constants, which Hugging Face configs use."""

_OWN_KEYS = {"image_size", "mean", "std", "interpolation", "crop", "resize", "pad"}
_MAX_CONFIG_BYTES = 4 * 2**20
"""Chosen: a round figure, not measured."""


@dataclass(frozen=True)
class Preset:
    """The preprocessing that a set of weights declares.

    Without a crop, the whole image is resized to a square of `image_size`. With a crop, the shorter
    side is resized to `image_size`, and the model sees the central square of `crop` pixels.
    torchvision's resize 256, crop 224 is `image_size=256, crop=224`.
    """

    origin: str
    """Where the settings were read: "timm config of resnet50.a1_in1k"."""
    image_size: int
    """Pixels to which the image is resized; without a crop also the side of the model's input."""
    mean: tuple[float, ...]
    std: tuple[float, ...]
    """Per channel, on a scale of 0 to 1, as `mean` is."""
    interpolation: str = "bilinear"
    crop: int | None = None
    """Side of the centre crop, in pixels, which is the side of the model's input; None for no
    crop."""
    resize: Resize = Resize.STRETCH
    """Without a crop: how the whole image becomes a square."""
    pad: tuple[int, ...] = (0,)
    """The colour around a letterboxed image, 0 to 255: one number, or one per channel."""

    @property
    def input_size(self) -> int:
        """Side of the model's input in pixels."""
        return self.image_size if self.crop is None else self.crop


def preset_from_config(config: Mapping[str, Any], origin: str) -> Preset:
    """Read a timm config, a Hugging Face preprocessor config, or melaudit's own keys.

    melaudit's own: `{"image_size": 224, "mean": [...], "std": [...], "interpolation": "bilinear",
    "crop": null, "resize": "letterbox", "pad": 0}`, of which only `image_size` is required.
    `origin` is what messages call it.

    Raises PreprocessingError for a config of another format, or one that cannot be followed.
    """
    inner = config.get("pretrained_cfg")
    timm = inner if isinstance(inner, Mapping) else config
    try:
        if "input_size" in timm:
            return _from_timm(timm, origin)
        if "image_mean" in config or "do_normalize" in config:
            return _from_hugging_face(config, origin)
        if "image_size" in config and set(config) <= _OWN_KEYS:
            return _from_own(config, origin)
    except (TypeError, ValueError, KeyError, IndexError, AttributeError, OverflowError) as error:
        raise PreprocessingError(
            f"{origin} cannot be followed ({type(error).__name__}: {error}); give --image-size, "
            "--mean and --std as in training"
        ) from error
    raise PreprocessingError(
        f"{origin} is neither a timm config (input_size, mean, std, crop_pct) nor a Hugging Face "
        "preprocessor config (size, image_mean, image_std) nor melaudit's own "
        f"({', '.join(sorted(_OWN_KEYS))}); it has the keys {', '.join(map(str, config)) or 'none'}"
    )


def read_preset(path: Path) -> Preset:
    """Read a preset from a JSON file; see `preset_from_config` for the formats.

    Raises PreprocessingError if the file cannot be read or followed.
    """
    try:
        config = json.loads(read_regular(path, _MAX_CONFIG_BYTES))
    except OSError as error:
        raise PreprocessingError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise PreprocessingError(
            f"{path} is not JSON, or no regular file of 4 MiB at most: {error}"
        ) from error
    if not isinstance(config, dict):
        raise PreprocessingError(f"{path} holds no JSON object of settings")
    return preset_from_config(config, path.name)


def torchvision_preset(name: str) -> Preset:
    """Return the preset of a torchvision weights enum: "ResNet50_Weights.IMAGENET1K_V2".

    Nothing is downloaded. Raises PreprocessingError if torchvision has no such weights, or they are
    not those of an image classifier.
    """
    from torchvision.models import get_weight

    try:
        transforms = get_weight(name).transforms()
        return Preset(
            origin=f"torchvision {name}",
            image_size=int(transforms.resize_size[0]),
            mean=_channels(transforms.mean),
            std=_channels(transforms.std),
            interpolation=_interpolation(transforms.interpolation.value),
            crop=int(transforms.crop_size[0]),
        )
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise PreprocessingError(
            f"torchvision has no image classifier weights {name!r}; expected a name like "
            "ResNet50_Weights.IMAGENET1K_V2"
        ) from error


def _from_timm(config: Mapping[str, Any], origin: str) -> Preset:
    channels, height, width = config["input_size"]
    if channels != 3:
        raise ValueError(f"takes {channels} channels, not 3")
    side = _square(height, width)
    share = float(config.get("crop_pct") or 0.875)
    # timm's other modes ("squash", "border") keep the whole image at the usual crop_pct of 1.
    mode = config.get("crop_mode", "center")
    crops = mode == "center"
    mean = _channels(config.get("mean", IMAGENET_MEAN))
    return Preset(
        origin=origin,
        image_size=math.floor(side / share) if crops else side,
        mean=mean,
        std=_channels(config.get("std", IMAGENET_STD)),
        interpolation=_interpolation(config.get("interpolation", "bicubic")),
        crop=side if crops else None,
        # "border" keeps the ratio and pads with the mean colour.
        resize=Resize.LETTERBOX if mode == "border" else Resize.STRETCH,
        pad=tuple(min(255, max(0, round(255 * value))) for value in mean),
    )


def _from_hugging_face(config: Mapping[str, Any], origin: str) -> Preset:
    size = config.get("size", 224)
    side: int
    crop: int | None = None
    if config.get("do_flip_channel_order"):
        raise ValueError("it turns RGB into BGR, and models are shown RGB here")
    shortest = size.get("shortest_edge") if isinstance(size, Mapping) else None
    if isinstance(size, int) and "crop_pct" in config:  # the older form of the next rule
        shortest = size
    if shortest is None:
        side = _hugging_face_side(size)
    else:
        side = int(shortest)
        if "crop_pct" in config and side < 384:  # the rule of ConvNextImageProcessor
            side, crop = int(side / config["crop_pct"]), side
    if config.get("do_center_crop") and "crop_size" in config:
        crop = _hugging_face_side(config["crop_size"])
    elif shortest is not None and "crop_pct" not in config:
        raise ValueError("it keeps the ratio of an image without a crop, and models see squares")
    # Pixels are multiplied by the factor, then normalised; a preset is on a scale of 0 to 1.
    factor = float(config.get("rescale_factor", 1 / 255)) if config.get("do_rescale", True) else 1.0
    if config.get("rescale_offset"):
        raise ValueError("rescale_offset is not supported")
    normalises = config.get("do_normalize", True)
    scale = 255 * factor
    mean = _channels(config["image_mean"]) if normalises else (0.0, 0.0, 0.0)
    std = _channels(config["image_std"]) if normalises else (1.0, 1.0, 1.0)
    if normalises and config.get("include_top"):  # EfficientNetImageProcessor divides again
        std = tuple(s * s for s in std)
    return Preset(
        origin=origin,
        image_size=side,
        mean=tuple(m / scale for m in mean) if scale != 1 else mean,
        std=tuple(s / scale for s in std) if scale != 1 else std,
        interpolation=_interpolation(config.get("resample", 2)),
        crop=crop,
    )


def _from_own(config: Mapping[str, Any], origin: str) -> Preset:
    crop = config.get("crop")
    return Preset(
        origin=origin,
        image_size=int(config["image_size"]),
        mean=_channels(config.get("mean", IMAGENET_MEAN)),
        std=_channels(config.get("std", IMAGENET_STD)),
        interpolation=_interpolation(config.get("interpolation", "bilinear")),
        crop=None if crop is None else int(crop),
        resize=_resize(config.get("resize", Resize.STRETCH)),
        pad=_colour(config.get("pad", 0)),
    )


def _resize(name: Any) -> Resize:
    if name not in list(Resize):
        raise ValueError(f"resize is {name!r}, expected {' or '.join(Resize)}")
    return Resize(name)


def _colour(value: Any) -> tuple[int, ...]:
    """Read the colour of padding; ValueError for anything but 1 or 3 numbers from 0 to 255."""
    numbers = tuple(int(v) for v in (value if isinstance(value, list | tuple) else [value]))
    if len(numbers) not in (1, 3) or not all(0 <= n <= 255 for n in numbers):
        raise ValueError(f"pad is {value}, expected 1 or 3 numbers from 0 to 255")
    return numbers


def _hugging_face_side(size: Any) -> int:
    if isinstance(size, Mapping):
        return _square(size["height"], size["width"])
    if isinstance(size, list | tuple):
        return _square(*size)
    return int(size)


def _square(height: int, width: int) -> int:
    if height != width:
        raise ValueError(f"asks for {height} x {width} pixels, and only squares are supported")
    return int(height)


def _channels(values: Any) -> tuple[float, ...]:
    values = [values] * 3 if isinstance(values, int | float) else list(values)
    if len(values) != 3:
        raise ValueError(f"{len(values)} channels, expected 3")
    return tuple(float(v) for v in values)


def _interpolation(name: Any) -> str:
    if isinstance(name, int):
        return _PIL_FILTERS[name]
    lower = str(name).lower()
    if lower == "random":  # timm's training setting; it evaluates with bilinear
        return "bilinear"
    if lower not in _PIL_FILTERS:
        raise ValueError(f"unknown interpolation {lower!r}")
    return lower
