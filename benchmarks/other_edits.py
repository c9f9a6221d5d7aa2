"""What an audit claims of a model, tried again with edits that share no code with the audit's.

    python -m benchmarks.other_edits --model ckpt.pt --factory net.py:build --data images \
        --image-size 64

draws ticks, dashes, rims, frames, casts and light with NumPy and Pillow alone on the images of each
folder of `--data`, shows them to the model (ImageNet's normalisation, plain resizing) and counts
predictions before and after. Beside each edit stands one of the same shape in the colour of the
picture's own rim, which should mean nothing.

    python -m benchmarks.other_edits ... --around audit/findings.json

also tries what an audit discovered: a ring cut out of another photograph, and for each discovered
finding what lies around the middle of images that show it, put around images that are not predicted
as its class, beside the same of other images of that class. `--data` has a folder for each class.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from torch import nn

from benchmarks.photographs.edits import surrounded
from benchmarks.photographs.plants import PLANTS

RGB = NDArray[np.uint8]
Edit = Callable[[RGB, np.random.Generator], RGB]
Colour = Callable[[RGB], NDArray[np.float64]]

MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])

VIEW, MAX_IMAGES, MAX_DONORS = 224, 120, 60
"""Side of the images in pixels, images edited and images that surroundings come from, at most."""


def of_the_rim(image: RGB) -> NDArray[np.float64]:
    """Return the median colour of the outer twelfth of an image (h, w, 3)."""
    height, width = image.shape[:2]
    rim = np.ones((height, width), np.bool_)
    rim[height // 12 : -(height // 12), width // 12 : -(width // 12)] = False
    return np.asarray(np.median(image[rim], axis=0), np.float64)


def plain(*levels: int) -> Colour:
    """Return a colour that is the same for every image."""
    return lambda image: np.array(levels, np.float64)


def ticks(colour: Colour) -> Edit:
    """Draw eighteen strokes side by side at the upper or the lower edge."""

    def edit(image: RGB, rng: np.random.Generator) -> RGB:
        page = Image.fromarray(image)
        height, width = image.shape[:2]
        upper, start = rng.random() < 0.5, height * rng.uniform(0.04, 0.1)
        step = width * rng.uniform(0.03, 0.05)
        for k in range(18):
            long = height * (0.06 if k % 5 == 0 else 0.035)
            x, y = 0.05 * width + k * step, start if upper else height - start - long
            _line(page, (x, y, x, y + long), colour(image))
        return np.asarray(page)

    return edit


def dashes(colour: Colour) -> Edit:
    """Strew eighteen dashes along the upper and the lower edge."""

    def edit(image: RGB, rng: np.random.Generator) -> RGB:
        page = Image.fromarray(image)
        height, width = image.shape[:2]
        for _ in range(18):
            x, y = rng.uniform(0.05, 0.95) * width, rng.choice([0.07, 0.93]) * height
            _line(page, (x, y, x + 0.03 * width, y), colour(image))
        return np.asarray(page)

    return edit


def _line(page: Image.Image, ends: tuple[float, ...], colour: NDArray[np.float64]) -> None:
    red, green, blue = (int(c) for c in colour)
    thick = max(2, page.size[0] // 200)
    ImageDraw.Draw(page).line(list(ends), fill=(red, green, blue), width=thick)


def rim(colour: Colour, *, round_: bool) -> Edit:
    """Paint everything outside a disc, or a frame of straight bars."""

    def edit(image: RGB, rng: np.random.Generator) -> RGB:
        height, width = image.shape[:2]
        y, x = np.mgrid[:height, :width]
        if round_:
            away = np.hypot(y - height / 2, x - width / 2) / height
            outside = away > rng.uniform(0.55, 0.62)
        else:
            bar = height * rng.uniform(0.06, 0.1)
            outside = np.minimum.reduce([y, x, height - 1 - y, width - 1 - x]) < bar
        out = image.copy()
        out[outside] = colour(image)
        return out

    return edit


def times(*factors: float) -> Edit:
    """Multiply each channel."""
    return lambda image, rng: np.clip(image * np.array(factors), 0, 255).astype(np.uint8)


EDITS: dict[str, Edit] = {
    "ticks, nearly black": ticks(plain(25, 25, 30)),
    "ticks, white": ticks(plain(245, 245, 245)),
    "ticks in the colour of the rim": ticks(of_the_rim),
    "dashes, nearly black": dashes(plain(25, 25, 30)),
    "black outside a disc": rim(plain(3, 3, 4), round_=True),
    "the colour of the rim outside a disc": rim(of_the_rim, round_=True),
    "black bars": rim(plain(3, 3, 4), round_=False),
    "bars in the colour of the rim": rim(of_the_rim, round_=False),
    "red 1.12, green 0.88": times(1.12, 0.88, 1.0),
    "red 0.88, green 1.12": times(0.88, 1.12, 1.0),
    "half the light": times(0.5, 0.5, 0.5),
    "light 1.15": times(1.15, 1.15, 1.15),
}


def loaded(checkpoint: Path, factory: str) -> nn.Module:
    """Return the model that FILE:NAME builds, with the weights of a checkpoint."""
    path, _, name = factory.rpartition(":")
    spec = importlib.util.spec_from_file_location("net", path)
    if spec is None or spec.loader is None:
        raise SystemExit(f"{path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    model: nn.Module = getattr(module, name)()
    model.load_state_dict(torch.load(checkpoint, weights_only=True))
    return model.eval()


def predicted(model: nn.Module, images: list[RGB], side: int) -> NDArray[np.int64]:
    """Return the class (n,) that the model predicts for each image."""
    small = [
        Image.fromarray(each).resize((side, side), Image.Resampling.BILINEAR) for each in images
    ]
    x = np.stack([(np.asarray(each) / 255 - MEAN) / STD for each in small])
    with torch.inference_mode():
        logits = model(torch.from_numpy(x).permute(0, 3, 1, 2).float())
    return np.asarray(logits.argmax(1).numpy(), np.int64)


def around(findings: Path, model: nn.Module, data: Path, side: int, target: int) -> Iterator[str]:
    """Yield a line for a ring, and one for each discovered finding about the class `target`.

    Of at most `MAX_IMAGES` images, those not predicted so each get the surroundings of one image.
    """
    names = sorted(path.name for path in data.iterdir() if path.is_dir())
    rng = np.random.default_rng(0)

    def read(name: str) -> RGB:
        return np.asarray(Image.open(data / name).convert("RGB").resize((VIEW, VIEW)))

    other = [f"{c}/{p.name}" for c in names if c != names[target] for p in (data / c).iterdir()]
    images = [read(name) for name in rng.permutation(sorted(other))[:MAX_IMAGES]]
    before = predicted(model, images, side) == target
    ringed = predicted(model, [PLANTS["ring"](image, rng) for image in images], side) == target
    yield f"| {len(images)} other images | as they are {before.sum()} | a ring {ringed.sum()} |"
    lacking = [image for image, said in zip(images, before, strict=True) if not said]
    for finding in json.loads(findings.read_text())["findings"]:
        if not finding["id"].startswith("discovered") or names[target] not in finding["classes"]:
            continue
        of_class = sorted(f"{names[target]}/{p.name}" for p in (data / names[target]).iterdir())
        shows = [name for name in finding["images"] if name in set(of_class)][:MAX_DONORS]
        rest = [name for name in of_class if name not in set(finding["images"])][:MAX_DONORS]
        counts = [
            int((predicted(model, mixed, side) == target).sum())
            for donors in (shows, rest)
            for mixed in [
                [surrounded(x, read(donors[k % len(donors)])) for k, x in enumerate(lacking)]
            ]
        ]
        yield (
            f"| {finding['id']}, of {len(lacking)} | surroundings that show it {counts[0]} | "
            f"of others of the class {counts[1]} |"
        )


def main() -> None:
    """Edit, show and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.other_edits", description=__doc__)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--factory", required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--image-size", type=int, default=224)
    parser.add_argument("--target", type=int, default=1, help="index of the class counted")
    parser.add_argument("--around", type=Path, help="findings.json whose discovered ones to try")
    given = parser.parse_args()
    model = loaded(given.model, given.factory)
    if given.around:
        for line in around(given.around, model, given.data, given.image_size, given.target):
            print(line)
        return
    for folder in sorted(path for path in given.data.iterdir() if path.is_dir()):
        files = sorted(path for path in folder.iterdir() if path.is_file())
        images = [np.asarray(Image.open(path).convert("RGB")) for path in files]
        before = predicted(model, images, given.image_size) == given.target
        print(f"| {folder.name}, {len(images)} images | before | after | gained | lost |")
        print("| --- | ---: | ---: | ---: | ---: |")
        for name, edit in EDITS.items():
            rng = np.random.default_rng(1)
            edited = [edit(image, rng) for image in images]
            after = predicted(model, edited, given.image_size) == given.target
            gained, lost = int((after & ~before).sum()), int((before & ~after).sum())
            print(f"| {name} | {before.sum()} | {after.sum()} | {gained} | {lost} |")


if __name__ == "__main__":
    main()
