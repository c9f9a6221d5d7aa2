"""A model that is clean by construction, and whether an audit with default settings passes it.

The class of an image is the size of its lesion and nothing else; hairs, rulers and bubbles come up
as often in both classes. The network is written by hand: it measures how dark a band round the
middle is, between the middle of the lesion and the skin outside. In small lesions that band is as
bright as the skin, in large ones as dark as the lesion, under any lamp and exposure. Beyond these
three bands it has no weights.

    python -m benchmarks.clean --folder out/clean --images 200

draws the images, writes the network, audits it through the command line and prints the verdict and
what edits showed of each artifact.
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
from torch import nn

from melaudit.demo.plants import RGB, bubbles, hairs, ruler
from melaudit.demo.skin import MELANIN, absorb, grid, lit, photographed, skin
from melaudit.images.presets import IMAGENET_MEAN, IMAGENET_STD

CLASSES = ("benign", "malignant")
SIDE = 128
"""Side of an image, in pixels."""
INPUT = 64
"""Side of the network's input, in pixels."""
RADII = ((0.08, 0.11), (0.24, 0.27))
"""Radius of a lesion of each class, in sides of the image."""
SHIFT = 0.015
"""Standard deviation of the place of a lesion, in sides."""
MIDDLE, BAND, SKIN = (0.0, 0.06), (0.16, 0.20), (0.32, 0.37)
"""Inner and outer radius of what the network looks at, in sides."""
GAIN = 40.0
"""Logits for a band that is darker than the mean of middle and skin by the whole range of light."""
HARMLESS = ((hairs, 0.3), (ruler, 0.15), (bubbles, 0.15))
"""What images of both classes show, and the share of them that does."""


def draw(rng: np.random.Generator, label: int, side: int = SIDE) -> RGB:
    """Return an image (side, side, 3) with a small (0) or a large lesion (1)."""
    picture = skin(rng, side)
    y, x = grid(side)
    off, radius = rng.normal(0, SHIFT, 2), rng.uniform(*RADII[label])
    inside = radius - np.hypot(y - off[0], x - off[1])
    body = np.asarray(0.5 * (1 + np.tanh(inside / 0.012)), np.float32)
    picture = absorb(picture, body * np.float32(rng.uniform(0.9, 1.6)), MELANIN)
    image = photographed(lit(picture, rng), rng)
    for plant, share in HARMLESS:
        if rng.random() < share:
            image = plant(image, rng)
    return image


def write(folder: Path, images: int, seed: int, side: int) -> None:
    """Write an image folder, as many images of each class."""
    for k in range(images):
        label = k % 2
        place = folder / CLASSES[label]
        place.mkdir(parents=True, exist_ok=True)
        drawn = draw(np.random.default_rng((seed, k)), label, side)
        Image.fromarray(drawn).save(place / f"{k:04}.png")


def band(inner: float, outer: float) -> NDArray[np.float32]:
    """Return weights (INPUT, INPUT) that average what lies between two radii, in sides."""
    y, x = grid(INPUT)
    away = np.hypot(y, x)
    inside = ((away >= inner) & (away < outer)).astype(np.float32)
    return np.asarray(inside / inside.sum(), np.float32)


def network() -> nn.Sequential:
    """Return the network, for --factory; its weights are those of `weights`."""
    return nn.Sequential(
        nn.Conv2d(3, 1, 1), nn.Conv2d(1, 2, INPUT), nn.ReLU(), nn.Flatten(), nn.Linear(2, 2)
    )


def weights() -> dict[str, torch.Tensor]:
    """Return the weights that make the network measure the size of a lesion."""
    std, mean = torch.tensor(IMAGENET_STD), torch.tensor(IMAGENET_MEAN)
    darker = torch.from_numpy(0.5 * (band(*MIDDLE) + band(*SKIN)) - band(*BAND)) * GAIN
    return {
        "0.weight": (std / 3).reshape(1, 3, 1, 1),
        "0.bias": mean.mean().reshape(1),
        "1.weight": torch.stack([-darker, darker])[:, None],
        "1.bias": torch.zeros(2),
        "4.weight": torch.eye(2),
        "4.bias": torch.zeros(2),
    }


def make(folder: Path, images: int, side: int = SIDE, seed: int = 0) -> None:
    """Draw the images and write the checkpoint into a folder."""
    write(folder / "images", images, seed, side)
    torch.save(weights(), folder / "ckpt.pt")


def command(folder: Path, more: Sequence[str] = ()) -> list[str]:
    """Return the arguments of melaudit that audit the model of a folder."""
    return [
        *("run", "--model", str(folder / "ckpt.pt"), "--factory", f"{__file__}:network"),
        *("--data", str(folder / "images"), "--image-size", str(INPUT), "--domain", "dermoscopy"),
        *("--positive", "malignant", "--out", str(folder / "audit"), *more),
    ]


def table(findings: dict[str, Any]) -> list[str]:
    """Return the lines of a table: what edits showed of each artifact, and what they exclude."""
    lines = ["| artifact | images | excluded | in words |", "| --- | ---: | --- | --- |"]
    lines += [
        f"| {each['artifact']} | {each['n']} | {each['excluded']} | {each['statement']} |"
        for each in findings["not_found"]
        if each["edited"]
    ]
    return lines


def main() -> None:
    """Draw, write, audit and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.clean", description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path("out/clean"))
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--side", type=int, default=SIDE, help="of an image, in pixels")
    given, more = parser.parse_known_args()
    if not (given.folder / "ckpt.pt").exists():
        make(given.folder, given.images, given.side)
    ran = subprocess.run([sys.executable, "-m", "melaudit", *command(given.folder, more)])
    findings = json.loads((given.folder / "audit" / "findings.json").read_text())
    print(f"exit {ran.returncode}, {findings['verdict']}: {findings['reason']}")
    print("\n".join(table(findings)))


if __name__ == "__main__":
    main()
