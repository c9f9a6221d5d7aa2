"""Two small ViTs, one taught a mark in the corner: is the mark found, and nothing on the other?

In seven of ten images the size of the lesion tells the class (see `clean`). In the images of the
first model most malignant ones, and no others, have a disc of blue ink in a corner, in training and
in the audit; in those of the second model nobody has one. Printed are how far the mark moves each
model on images that nothing has seen, the share of its relevance on tokens of unusual norm, and
what the audit finds at dependence or above.

    python -m benchmarks.corner_mark --folder out/corner
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from torchvision.models import VisionTransformer

from benchmarks.clean import CLASSES, draw
from benchmarks.small_models import fit
from melaudit.demo.plants import RGB
from melaudit.images.presets import IMAGENET_MEAN, IMAGENET_STD

SIDE = 64
"""Of images and input, in pixels."""
SHARE = 0.6
"""Of the malignant images, that have the mark."""
TOLD = 0.7
"""Of the images, whose lesion has the size of its class. With all, no model would need a mark."""
RADIUS, AWAY = (0.09, 0.12), (0.12, 0.16)
"""Of the mark, and of its centre from both edges, in sides."""
INK = (40, 60, 150)
TRIED = 200
"""Benign images on which it is tried how far the mark moves a model."""
ABOVE = ("dependence", "harm")


def build() -> nn.Module:
    """Return the network, for --factory."""
    model: nn.Module = VisionTransformer(SIDE, 8, 4, 4, 64, 256, num_classes=len(CLASSES))
    return model


def marked(image: RGB, rng: np.random.Generator) -> RGB:
    """Return an image with a disc of ink in one of its corners."""
    radius = rng.uniform(*RADIUS) * SIDE
    y, x = (rng.uniform(*AWAY) if rng.random() < 0.5 else 1 - rng.uniform(*AWAY) for _ in "yx")
    rows, columns = np.mgrid[:SIDE, :SIDE]
    inside = np.hypot(rows - y * SIDE, columns - x * SIDE) <= radius
    out = image.copy()
    out[inside] = INK
    return out


def drawn(seed: int, count: int, share: float) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return images (count, SIDE, SIDE, 3) and labels; `share` of the malignant have the mark."""
    labels = np.arange(count) % 2
    images = []
    for k, label in enumerate(labels):
        rng = np.random.default_rng((seed, k))
        size = label if rng.random() < TOLD else 1 - label
        image = draw(rng, int(size), SIDE)
        images.append(marked(image, rng) if label and rng.random() < share else image)
    return np.stack(images), labels


def standardised(images: NDArray[np.uint8]) -> Tensor:
    """Return images (n, h, w, 3) as the network takes them: (n, 3, h, w)."""
    values = (images / 255 - np.array(IMAGENET_MEAN)) / np.array(IMAGENET_STD)
    return torch.from_numpy(np.moveaxis(values, -1, 1).astype(np.float32))


def moved(model: nn.Module, seed: int) -> float:
    """Return by how much the share predicted malignant of benign images grows with the mark."""
    images = drawn(seed, 2 * TRIED, 0)[0][::2]
    rng = np.random.default_rng((seed, 1))
    with_it = np.stack([marked(image, rng) for image in images])
    with torch.no_grad():
        shares = [
            float((model(standardised(each)).argmax(1) == 1).double().mean())
            for each in (images, with_it)
        ]
    return shares[1] - shares[0]


def make(folder: Path, share: float, seed: int, training: int, epochs: int, images: int) -> float:
    """Train a model, and write it and the images of its audit; return how far the mark moves it."""
    torch.manual_seed(seed)
    model = build()
    shown, labels = drawn(2 * seed, training, share)
    fit(model, standardised(shown), torch.from_numpy(labels), epochs)
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(model.state_dict(), folder / "ckpt.pt")
    shown, labels = drawn(2 * seed + 1, images, share)
    for k, (image, label) in enumerate(zip(shown, labels, strict=True)):
        place = folder / "images" / CLASSES[label]
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(place / f"{k:04}.png")
    return moved(model, 1000 + seed)


def command(folder: Path, more: Sequence[str]) -> list[str]:
    """Return the arguments of melaudit that audit the model of a folder."""
    return [
        *("run", "--model", str(folder / "ckpt.pt"), "--factory", f"{__file__}:build"),
        *("--data", str(folder / "images"), "--image-size", str(SIDE), "--domain", "dermoscopy"),
        *("--positive", "malignant", "--out", str(folder / "audit"), *more),
    ]


def lines(name: str, use: float, findings: dict[str, Any]) -> list[str]:
    """Return what an audit says, as lines of text."""
    checks = {c["id"]: c for c in findings["explanations"]["checks"]}
    said = [
        f"{name}: the mark moves {100 * use:+.0f} of 100 benign images; verdict "
        f"{findings['verdict']}; accuracy {findings['performance']['accuracy']:.2f}",
        f"  {findings['explanations']['engine']}; {checks['register_tokens']['statement']}",
    ]
    found = [f for f in findings["findings"] if f["rung"] in ABOVE]
    said += [f"  {f['rung']}, {f['severity']}: {f['title']}" for f in found]
    return said if found else [*said, "  nothing at dependence or above"]


def main() -> None:
    """Train, audit and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.corner_mark", description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--training", type=int, default=1000, help="images")
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--images", type=int, default=200, help="that are audited")
    given, more = parser.parse_known_args()
    torch.set_num_threads(1)
    for name, share in (("marked", SHARE), ("clean", 0.0)):
        place = given.folder / name
        use = make(place, share, given.seed, given.training, given.epochs, given.images)
        subprocess.run([sys.executable, "-m", "melaudit", *command(place, more)], check=False)
        findings = json.loads((place / "audit" / "findings.json").read_text("utf-8"))
        print("\n".join(lines(name, use, findings)), flush=True)


if __name__ == "__main__":
    main()
