"""Plants: things cut out of photographs and put into others. No code here is the audit's own.

A cut is a file, a box in shares of its sides, and how the thing is taken from it. The photographs
themselves stay where they are; only these coordinates are kept. Place, size and angle vary.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageFilter
from torchvision.transforms import v2

RGB = NDArray[np.uint8]
Plant = Callable[[RGB, np.random.Generator], RGB]

DATA = Path("../shared/data")
"""Where the photographs are; `skimage/` stands for those that scikit-image carries."""
SHIFT, SIZES, TURN = 0.06, (0.85, 1.2), 8.0
"""How far a thing is moved (share of the sides), how large it becomes, how far it turns (degrees).
"""
DARKER = (0.6, 0.85)
"""Light of a pixel over that around it, from where it is the thing to where it is the ground."""

FADED = 0.06
"""Share of a box, from each of its sides, within which what is dark fades."""


@dataclass(frozen=True)
class Cut:
    """Where a thing is cut out."""

    file: str
    box: tuple[float, float, float, float]
    """Left, upper, right and lower end, in shares of the sides."""
    how: str
    """"dark": what is darker than its ground, by how much; "whole": all of it, in an ellipse;
    "rim": what is black up to the edge of the picture."""
    size: float = 1.0
    """How many times larger it becomes in another picture."""


def _ham(name: str, *box: float, how: str = "dark", size: float = 1.0) -> Cut:
    left, upper, right, lower = box
    return Cut(f"artifacts/ham/ISIC_00{name}.jpg", (left, upper, right, lower), how, size)


CUTS: dict[str, tuple[Cut, ...]] = {
    "ring": tuple(
        Cut(f"isic-rings/malignant/melanoma_{number}.jpg", (0, 0, 1, 1), "rim")
        for number in range(10105, 10220)
    ),
    "ruler": (
        _ham("25769", 0.25, 0.80, 0.79, 0.96),
        _ham("26154", 0.05, 0.72, 0.98, 0.92),
        _ham("28410", 0.23, 0.85, 0.91, 1.0),
        _ham("29606", 0.25, 0.82, 0.78, 0.96),
        _ham("27179", 0.88, 0.05, 1.0, 0.88),
    ),
    "ink": (
        _ham("29360", 0.0, 0.18, 0.17, 0.56),
        _ham("27734", 0.05, 0.23, 0.26, 0.42, size=1.6),
        _ham("30608", 0.0, 0.50, 0.35, 1.0),
        _ham("31524", 0.54, 0.0, 0.76, 0.24),
        _ham("26722", 0.32, 0.60, 0.60, 0.82, size=1.4),
    ),
    "hair": (
        _ham("30589", 0.0, 0.0, 0.54, 0.25, size=1.5),
        _ham("30589", 0.72, 0.25, 1.0, 1.0, size=1.3),
        Cut("artifacts/isic2018/ISIC_0000042.jpg", (0.55, 0.78, 1.0, 1.0), "dark", 1.6),
        Cut("artifacts/isic2018/ISIC_0011095.jpg", (0.3, 0.0, 1.0, 0.28), "dark", 1.2),
    ),
    "bubble": (
        _ham("24688", 0.20, 0.74, 0.46, 1.0, how="whole"),
        _ham("26352", 0.0, 0.33, 0.33, 0.66, how="whole"),
        _ham("27567", 0.0, 0.07, 0.20, 0.34, how="whole", size=1.4),
    ),
    "lettering": (
        Cut("skimage/page.png", (0.0, 0.04, 0.5, 0.22), "dark", 0.9),
        Cut("skimage/page.png", (0.35, 0.04, 0.8, 0.22), "dark", 0.9),
        Cut("skimage/text.png", (0.0, 0.55, 0.35, 1.0), "dark", 0.8),
    ),
    "sticker": (
        Cut("skimage/coffee.png", (0.14, 0.55, 0.30, 0.75), "whole", 1.3),
        Cut("skimage/color.png", (0.25, 0.70, 0.45, 0.92), "whole"),
        Cut("skimage/color.png", (0.60, 0.65, 0.80, 0.85), "whole"),
        Cut("skimage/logo.png", (0.05, 0.45, 0.22, 0.70), "whole"),
    ),
}
"""Plant -> where it is cut out. Rings are taken where the corners of the photograph are black."""


def _white_balance(image: RGB, rng: np.random.Generator) -> RGB:
    """Balance the light as another camera does: bluish."""
    gains = torch.tensor([rng.uniform(0.78, 0.86), 1.0, rng.uniform(1.12, 1.2)])[:, None, None]
    return _out((_in(image) * gains).clip(0, 1))


def _blur(image: RGB, rng: np.random.Generator) -> RGB:
    sigma = float(rng.uniform(1.6, 2.6)) * image.shape[0] / 224
    return _out(v2.functional.gaussian_blur(_in(image), [15, 15], [sigma, sigma]))


def _jpeg(image: RGB, rng: np.random.Generator) -> RGB:
    picture = torch.from_numpy(np.array(image)).permute(2, 0, 1)
    return _array(v2.functional.jpeg(picture, int(rng.integers(8, 18))))


def _in(image: RGB) -> torch.Tensor:
    return torch.from_numpy(np.array(image)).permute(2, 0, 1).float() / 255


def _out(picture: torch.Tensor) -> RGB:
    return _array((picture * 255).round().to(torch.uint8))


def _array(picture: torch.Tensor) -> RGB:
    return np.ascontiguousarray(picture.permute(1, 2, 0).numpy().astype(np.uint8))


def _of_cuts(name: str) -> Plant:
    def plant(image: RGB, rng: np.random.Generator) -> RGB:
        cuts = usable(name)
        return put(image, cuts[int(rng.integers(len(cuts)))], rng)

    return plant


PLANTS: dict[str, Plant] = {
    **{name: _of_cuts(name) for name in CUTS},
    "white_balance": _white_balance,
    "blur": _blur,
    "jpeg": _jpeg,
}

ARTIFACTS = {
    "ring": "dark_ring",
    "ruler": "ruler",
    "ink": "ink",
    "hair": "hair",
    "bubble": "gel_bubble",
    "lettering": "text",
    "sticker": "colour_patch",
    "white_balance": "colour_cast",
    "blur": "blur",
    "jpeg": "jpeg_quality",
}
"""Plant -> the artifact whose finding names it."""


@functools.cache
def usable(name: str) -> tuple[Cut, ...]:
    """Return the cuts whose files are there and, of rings, show black in all four corners."""
    there = [cut for cut in CUTS[name] if _path(cut.file).exists()]
    if name == "ring":
        there = [cut for cut in there if _ringed(_read(cut.file))]
    if not there:
        raise FileNotFoundError(f"no photograph that shows a {name} is in {DATA.resolve()}")
    return tuple(there)


def _ringed(image: RGB) -> bool:
    return all(image[y, x].max() < 10 for y in (5, -6) for x in (5, -6))


def _path(file: str) -> Path:
    if file.startswith("skimage/"):
        import skimage.data

        return Path(skimage.data.__file__).parent / file.removeprefix("skimage/")
    return DATA / file


@functools.lru_cache(maxsize=64)
def _read(file: str) -> RGB:
    picture = Image.open(_path(file))
    ground = Image.new("RGBA", picture.size, "white")
    flat = Image.alpha_composite(ground, picture.convert("RGBA")).convert("RGB")
    flat.thumbnail((600, 600))
    return np.asarray(flat)


@functools.lru_cache(maxsize=128)
def taken(cut: Cut) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the colours (h, w, 3) of what is cut out, and its opacity (h, w), 0 to 1.

    Of dark things colours are shares of their ground: they darken whatever they are put on.
    """
    whole = _read(cut.file)
    height, width = whole.shape[:2]
    left, upper, right, lower = cut.box
    box = (left * width, upper * height, right * width, lower * height)
    x0, y0, x1, y1 = (round(v) for v in box)
    part = whole[y0:y1, x0:x1].astype(np.float32)
    if cut.how == "dark":
        span = max(3, 2 * (min(height, width) // 24) + 1)
        page = Image.fromarray(whole).filter(ImageFilter.MaxFilter(min(span, 31)))
        ground = np.asarray(page.filter(ImageFilter.GaussianBlur(span / 2)), np.float32)
        ratio = np.clip(part / np.maximum(ground[y0:y1, x0:x1], 1), 0, 1)
        opacity = np.clip((DARKER[1] - ratio.mean(2)) / (DARKER[1] - DARKER[0]), 0, 1)
        # Hairs and marks run on beyond the box: their ends fade.
        y, x = (np.minimum(np.arange(n), np.arange(n)[::-1]) / (FADED * n) for n in part.shape[:2])
        opacity *= np.clip(np.minimum.outer(y, x), 0, 1)
        return np.asarray(ratio, np.float32), np.asarray(opacity, np.float32)
    if cut.how == "rim":
        dark = Image.fromarray(((part.max(2) < 45) * 255).astype(np.uint8))
        opacity = np.asarray(dark.filter(ImageFilter.GaussianBlur(2)), np.float32) / 255
        y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
        return part, (opacity * (np.hypot(x, y) > 0.72)).astype(np.float32)
    y, x = np.mgrid[-1 : 1 : part.shape[0] * 1j, -1 : 1 : part.shape[1] * 1j]
    return part, np.clip((1 - np.hypot(x, y)) / 0.12, 0, 1).astype(np.float32)


def put(image: RGB, cut: Cut, rng: np.random.Generator) -> RGB:
    """Return an image (h, w, 3) with what a cut shows, at about the place it was cut from."""
    colours, opacity = taken(cut)
    height, width = image.shape[:2]
    left, upper, right, lower = cut.box
    times = cut.size * float(rng.uniform(*SIZES)) if cut.how != "rim" else 1.0
    size = (
        max(3, min(width, round((right - left) * width * times))),
        max(3, min(height, round((lower - upper) * height * times))),
    )
    planes = np.concatenate([colours, 255 * opacity[..., None]], 2)
    if cut.how == "dark":
        planes[..., :3] *= 255
    page = Image.fromarray(np.clip(planes, 0, 255).astype(np.uint8), "RGBA")
    page = page.resize(size, Image.Resampling.BILINEAR)
    if rng.random() < 0.5:
        page = page.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        left, right = 1 - right, 1 - left
    if cut.how != "rim":
        page = page.rotate(float(rng.uniform(-TURN, TURN)), Image.Resampling.BILINEAR)
    at = np.array([(left + right) / 2, (upper + lower) / 2])
    if cut.how != "rim":
        at += rng.uniform(-SHIFT, SHIFT, 2)
    x = int(np.clip(round(at[0] * width - size[0] / 2), 0, width - size[0]))
    y = int(np.clip(round(at[1] * height - size[1] / 2), 0, height - size[1]))
    own = np.asarray(page, np.float32)
    weight = own[..., 3:] / 255
    out = image.astype(np.float32)
    there = out[y : y + size[1], x : x + size[0]]
    thing = there * own[..., :3] / 255 if cut.how == "dark" else own[..., :3]
    there += weight * (thing - there)
    return np.asarray(np.clip(out + 0.5, 0, 255), np.uint8)
