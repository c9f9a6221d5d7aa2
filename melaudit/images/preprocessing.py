"""Preprocessing: from a decoded image to the input of the model."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from melaudit.choices import Resize
from melaudit.errors import PreprocessingError
from melaudit.images.imagefile import FULL_WHITE
from melaudit.images.presets import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    Preset,
    read_preset,
    torchvision_preset,
)

_DEFAULT_SIZE = 224
"""Side in pixels that is assumed if nothing says it: that of most models trained on ImageNet."""
_MAX_SIZE = 4096
"""Largest side of an input in pixels. Chosen: a round figure, not measured."""
_MAX_PIXELS = 2**26
"""Pixels of the resized image before its crop; a strip of 1 x 100,000 pixels would need far more.
Chosen: a round figure, not measured."""

_FILTERS = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
    "box": Image.Resampling.BOX,
    "hamming": Image.Resampling.HAMMING,
}


@dataclass(frozen=True)
class Preprocessing:
    """Resize, crop if asked, scale to 0..1 and normalise: the same for every image.

    The result equals, bit for bit, a torchvision v2 pipeline on a Pillow image: `Resize`,
    `CenterCrop`, `ToImage`, `ToDtype(float32, scale=True)`, `Normalize`. Models are trained on
    Pillow images, and resizing tensors gives slightly different pixels.
    """

    image_size: tuple[int, int]
    """(height, width) to which the whole image is resized; with a crop, both are the length of the
    shorter side."""
    mean: tuple[float, ...]
    std: tuple[float, ...]
    """Per channel, on a scale of 0 to 1, as `mean` is."""
    interpolation: str
    crop: int | None
    """Side of the centre crop that the model sees, in pixels; None for the whole image."""
    origin: str
    """Where the settings came from, for the reader."""
    channels: int = 3
    resize: Resize = Resize.STRETCH
    """Without a crop: how the whole image becomes the model's input."""
    pad: tuple[int, ...] = (0,)
    """The colour around a letterboxed image, 0 to 255: one number, or one per channel."""
    white: int = FULL_WHITE
    """The value that is white in grey images of 16 bits."""
    warnings: tuple[str, ...] = ()
    """What was assumed or left out, one sentence each for the report."""

    @property
    def input_size(self) -> tuple[int, int]:
        """(height, width) of the model's input."""
        return self.image_size if self.crop is None else (self.crop, self.crop)

    @property
    def reframes(self) -> bool:
        """Whether the model sees another part or shape than the whole image, stretched.

        Then maps lie on `frame`, not on the image.
        """
        return self.crop is not None or self.resize is Resize.LETTERBOX

    def apply(self, image: NDArray[np.uint8]) -> Tensor:
        """Turn an RGB image (h, w, 3) of any size into the model's input, float32 (C, H, W).

        C is `channels`: 3, or 1 for grey, which is that of `Image.convert("L")` (ITU-R 601).

        Raises PreprocessingError for an array of another shape or type, and for an image so
        elongated that it would not fit into memory after resizing its shorter side.
        """
        tensor = torch.from_numpy(self.frame(image)).permute(2, 0, 1)[: self.channels]
        # The order of operations decides the last bit; this is the order of torchvision.
        scaled = tensor.contiguous().to(torch.float32).mul_(1.0 / 255)
        mean = torch.tensor(self.mean, dtype=torch.float32).view(-1, 1, 1)
        std = torch.tensor(self.std, dtype=torch.float32).view(-1, 1, 1)
        return scaled.sub_(mean).div_(std)

    def frame(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return the pixels that the model sees (H, W, 3), uint8: `apply` before normalisation.

        The three channels are equal where the model sees grey.

        Raises PreprocessingError as `apply` does.
        """
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or not image.size:
            raise PreprocessingError(
                f"an image has shape {image.shape} and type {image.dtype}, expected (height, "
                "width, 3) and uint8"
            )
        picture = Image.fromarray(np.ascontiguousarray(image))
        if self.channels == 1:  # before it is resized, as in training loaders
            grey = self._move(picture.convert("L"), image.shape[:2], _FILTERS[self.interpolation])
            return np.repeat(np.array(grey)[..., None], 3, axis=2)
        return np.array(self._move(picture, image.shape[:2], _FILTERS[self.interpolation]))

    def project(
        self, mask: NDArray[Any], size: tuple[int, int] | None = None
    ) -> NDArray[np.float32]:
        """Move a mask (h, w) as `apply` moves the pixels: coverage (H, W), float32, 0 to 1.

        `size` is the (height, width) of the image as decoded, for a mask of a shrunk view of it.
        """
        coverage = Image.fromarray(np.ascontiguousarray(mask, dtype=np.float32))
        # Bicubic and Lanczos filters have negative lobes; a coverage below 0 has no meaning.
        smooth = self.interpolation in ("nearest", "box", "hamming")
        kernel = _FILTERS[self.interpolation if smooth else "bilinear"]
        moved = np.array(self._move(coverage, size or mask.shape, kernel), dtype=np.float32)
        return moved.clip(0.0, 1.0, out=moved)

    def describe(self) -> str:
        """Describe in one line what is done to an image, and where that was taken from."""
        height, width = self.image_size
        if self.crop is None:
            shape = f"whole image resized to {width} x {height}"
            if self.resize is Resize.LETTERBOX:
                colour = ", ".join(map(str, self.pad))
                shape = (
                    f"longer side resized to {width}, the ratio kept and the rest padded with "
                    f"{colour} to {width} x {height}"
                )
        else:
            shape = f"shorter side resized to {height}, centre {self.crop} x {self.crop} kept"
        mean, std = (", ".join(f"{v:.4g}" for v in values) for values in (self.mean, self.std))
        grey = ", in grey" if self.channels == 1 else ""
        if self.white != FULL_WHITE:
            grey += f", {self.white} of 16-bit grey taken for white"
        return f"{shape} ({self.interpolation}){grey}, mean {mean}, std {std}; from {self.origin}"

    def _move(
        self, picture: Image.Image, size: tuple[int, ...], kernel: Image.Resampling
    ) -> Image.Image:
        """Resize and crop a picture that shows an image of `size` (height, width)."""
        if self.crop is None and self.resize is Resize.LETTERBOX:
            return self._letterboxed(picture, size, kernel)
        if self.crop is None:
            return _resized(picture, self.image_size, kernel)
        short, long = min(size), max(size)
        side = self.image_size[0]
        longer = int(side * long / short)
        if side * longer > _MAX_PIXELS:
            raise PreprocessingError(
                f"an image of {size[1]} x {size[0]} pixels is too elongated to resize its shorter "
                f"side to {side}"
            )
        height, width = (side, longer) if size[0] <= size[1] else (longer, side)
        top, left = round((height - self.crop) / 2.0), round((width - self.crop) / 2.0)
        resized = _resized(picture, (height, width), kernel)
        return resized.crop((left, top, left + self.crop, top + self.crop))

    def _letterboxed(
        self, picture: Image.Image, size: tuple[int, ...], kernel: Image.Resampling
    ) -> Image.Image:
        """Resize a picture of an image of `size` (height, width) to fit, centred on padding.

        What is no picture of pixels, such as the coverage of a mask, is padded with 0.
        """
        height, width = self.image_size
        scale = min(height / size[0], width / size[1])
        inner = max(1, round(size[0] * scale)), max(1, round(size[1] * scale))
        pad = tuple(self.pad * 3)[:3]
        grey = round(0.299 * pad[0] + 0.587 * pad[1] + 0.114 * pad[2])
        fill: int | tuple[int, ...] = pad if picture.mode == "RGB" else 0
        fill = grey if picture.mode == "L" else fill
        whole = Image.new(picture.mode, (width, height), fill)
        place = ((width - inner[1]) // 2, (height - inner[0]) // 2)
        whole.paste(_resized(picture, inner, kernel), place)
        return whole


def _resized(picture: Image.Image, size: tuple[int, int], kernel: Image.Resampling) -> Image.Image:
    return picture.resize((size[1], size[0]), kernel)


def resolve(
    preset: Preset | None,
    *,
    image_size: int | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    crop: int | None = None,
    bound_size: int | None = None,
    spec: str = "auto",
    channels: int = 3,
    resize: Resize | None = None,
    pad: Sequence[float] | None = None,
) -> Preprocessing:
    """Choose the preprocessing from what the weights declare and what the user says.

    `spec` names the source: `auto` (the weights' own preset, else the mean and std of ImageNet),
    `weights` (the preset, which must exist), `weights:ENUM` (torchvision's), `imagenet`, or a JSON
    file. The other options override the source. `bound_size` is the only input side that the
    architecture accepts, in pixels, if there is only one; `channels` are those of its images, 3 or
    1. A grey model is given the average of a source's three values. `resize` and `pad` say how an
    image becomes a square, and what is around it. `auto` never crops by itself,
    because a crop hides the border of an image; every other source is followed exactly.

    Raises PreprocessingError if options contradict each other or the architecture.
    """
    source = _source(preset, spec)
    size, cut, origin, warnings = _geometry(source, spec, image_size, crop, bound_size)
    seen = size if cut is None else cut
    if bound_size is not None and seen != bound_size:
        raise PreprocessingError(
            f"the model takes images of {bound_size} x {bound_size} pixels only, and {origin} "
            f"gives {seen} x {seen}; pass --image-size {bound_size}"
        )
    base_mean, base_std = (source.mean, source.std) if source else (IMAGENET_MEAN, IMAGENET_STD)
    by_user = [name for name, v in (("--mean", mean), ("--std", std)) if v is not None]
    if len(by_user) < 2:
        rest = source.origin if source else "ImageNet"
        others = [name for name in ("--mean", "--std") if name not in by_user]
        taken = " and ".join(others).replace("--", "")
        assumed = "" if source or spec == "imagenet" else ", assumed"
        origin += f"; {taken} of {rest}{assumed}"
    if by_user:
        origin += f"; {' and '.join(by_user)}"
        single = [n for n, v in (("--mean", mean), ("--std", std)) if v and len(v) == 1]
        if single and channels == 3:
            origin += f" ({' and '.join(single)} for each of the three channels)"
    shape, colour = _shape(source, cut, resize, pad)
    interpolation = source.interpolation if source else "bilinear"
    if interpolation not in _FILTERS:
        raise PreprocessingError(
            f"{origin} asks for the interpolation {interpolation!r}, expected one of "
            f"{', '.join(_FILTERS)}"
        )
    return Preprocessing(
        image_size=(size, size),
        mean=_per_channel(base_mean if mean is None else mean, "--mean", channels),
        std=_per_channel(base_std if std is None else std, "--std", channels),
        interpolation=interpolation,
        crop=cut,
        origin=origin,
        channels=channels,
        resize=shape,
        pad=colour,
        warnings=warnings,
    )


def _source(preset: Preset | None, spec: str) -> Preset | None:
    """Return the preset that the user asked for; None for ImageNet's, or if there is none."""
    if spec == "auto":
        return preset
    if spec == "imagenet":
        return None
    if spec == "weights":
        if preset is None:
            raise PreprocessingError(
                "--preprocess weights: the checkpoint declares no preprocessing; name "
                "torchvision's, as in weights:ResNet50_Weights.IMAGENET1K_V2, or a JSON file"
            )
        return preset
    if spec.startswith("weights:"):
        return torchvision_preset(spec.removeprefix("weights:"))
    if spec.lower().endswith(".json"):
        return read_preset(Path(spec))
    raise PreprocessingError(
        f"--preprocess {spec!r} is not known; expected auto, weights, weights:ENUM, imagenet or "
        "the path of a JSON file"
    )


def _geometry(
    source: Preset | None,
    spec: str,
    image_size: int | None,
    crop: int | None,
    bound_size: int | None,
) -> tuple[int, int | None, str, tuple[str, ...]]:
    """Return size, crop, origin and warnings; they come from the first source that has a size."""
    warnings: tuple[str, ...] = ()
    cut = crop
    if image_size is not None:
        size, origin = image_size, "--image-size" + (" and --crop" if crop is not None else "")
    elif crop is not None:
        larger = source is not None and source.image_size >= crop
        size = source.image_size if source and larger else crop
        origin = f"{source.origin} and --crop" if source and larger else "--crop"
    elif source is None:
        size = bound_size or _DEFAULT_SIZE
        origin = "the size the model is bound to" if bound_size else "a default size"
        if not bound_size:
            warnings = (
                f"Nobody said how large the model's images are: {size} x {size} pixels are "
                "assumed. Pass --image-size as in training.",
            )
    elif spec == "auto" and bound_size is not None and source.input_size != bound_size:
        size, origin = bound_size, "the size the model is bound to"
        warnings = (
            f"{source.origin} declares images of {source.input_size} pixels, the model takes "
            f"{bound_size}: {bound_size} is used.",
        )
    elif spec == "auto" and source.crop is not None:
        size, origin = source.crop, source.origin
        warnings = (
            f"{source.origin} declares a centre crop of {source.crop} from {source.image_size} "
            "pixels; the audit shows the model the whole image instead, because a crop hides the "
            "border. Pass --preprocess weights if the model is used with the crop.",
        )
    else:
        size, cut, origin = source.image_size, source.crop, source.origin
    for value in (size, size if cut is None else cut):
        if not 1 <= value <= _MAX_SIZE:
            raise PreprocessingError(
                f"{origin} asks for {value} pixels, expected 1 to {_MAX_SIZE}; give another "
                "--image-size or --crop"
            )
    if cut is not None and cut > size:
        raise PreprocessingError(
            f"{origin} asks for a crop of {cut} from a shorter side of {size} pixels, which would "
            "add a black frame; give --image-size at least as large as --crop"
        )
    return size, cut, origin, warnings


def _shape(
    source: Preset | None,
    crop: int | None,
    resize: Resize | None,
    pad: Sequence[float] | None,
) -> tuple[Resize, tuple[int, ...]]:
    """Return how an image becomes a square, and the colour of what is around it."""
    shape = resize or (source.resize if source and crop is None else Resize.STRETCH)
    if shape is Resize.LETTERBOX and crop is not None:
        raise PreprocessingError(
            f"--resize letterbox keeps the whole image, and a crop of {crop} does not; give "
            "--resize or --crop"
        )
    if pad is not None and shape is not Resize.LETTERBOX:
        raise PreprocessingError("--pad is the colour of a letterbox; add --resize letterbox")
    colour = tuple(pad) if pad is not None else source.pad if source else (0,)
    if len(colour) not in (1, 3) or not all(0 <= value <= 255 for value in colour):
        shown = ",".join(f"{value:g}" for value in colour)
        raise PreprocessingError(f"--pad {shown}: expected one or three numbers from 0 to 255")
    return shape, tuple(map(round, colour))


def _per_channel(values: Sequence[float], option: str, channels: int) -> tuple[float, ...]:
    """Return one value per channel, checked.

    A single value is repeated; three equal or different ones become their average for one channel.
    """
    numbers = tuple(float(v) for v in values)
    shown = ",".join(f"{v:g}" for v in numbers)
    if len(numbers) == 1:
        numbers *= channels
    if len(numbers) not in (3, channels) or not all(math.isfinite(v) for v in numbers):
        wanted = "three numbers" if channels == 3 else "one number"
        raise PreprocessingError(f"{option} {shown or 'is empty'}: expected {wanted}")
    if len(numbers) != channels:
        numbers = (sum(numbers) / len(numbers),)
    if option == "--std" and min(numbers) <= 0:
        raise PreprocessingError(f"{option} {shown}: a standard deviation must be above 0")
    if max(numbers) > 2:
        hint = ",".join(f"{v / 255:.4g}" for v in numbers)
        raise PreprocessingError(
            f"{option} {shown} is on a scale of 0 to 255; give it on 0 to 1: {hint}"
        )
    return numbers
