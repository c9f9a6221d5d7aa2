"""The data of the demo: an ImageFolder of drawn lesions, with artifacts planted in chosen shares.

Every picture is drawn from (seed, half, class, number) only, so the order and number of the others
do not change it. Beside the folders, `planted.csv` lists which picture shows what.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from melaudit.demo.lesion import lesion
from melaudit.demo.plants import RGB, Plant, bubbles, hairs, ring, ruler
from melaudit.demo.skin import lit, photographed, skin

CLASSES = ("benign", "malignant")
SIZE = 160
"""Side of a picture in pixels."""
ATYPIA = {"benign": (-1.2, 1.0), "malignant": (1.2, 1.0)}
"""Mean and standard deviation of the atypia; the classes overlap, so that lesions do not decide
everything."""
JPEG_QUALITY = 90
TRUTH_NAME = "planted.csv"


@dataclass(frozen=True)
class Planting:
    """An artifact and the share of each class that shows it."""

    plant: Plant
    benign: float
    malignant: float
    """Shares from 0 to 1; they are exact except for rounding."""

    @property
    def name(self) -> str:
        """The column of `planted.csv`: the name of the plant function."""
        return self.plant.__name__


HARMLESS = (Planting(hairs, 0.3, 0.3), Planting(bubbles, 0.15, 0.15), Planting(ruler, 0.15, 0.15))
"""Artifacts that all dermoscopy shows, equally often in both classes."""


@dataclass(frozen=True)
class DemoData:
    """The folders of the two halves; each holds one folder per class."""

    train: Path
    test: Path

    @property
    def truth(self) -> Path:
        """The table of what was planted: file, class and one column per artifact."""
        return self.train.parent / TRUTH_NAME


@dataclass(frozen=True)
class _Order:
    """One picture that is to be drawn."""

    path: Path
    key: tuple[int, ...]
    label: str
    plants: tuple[Plant, ...]


def generate(
    out: Path,
    *,
    n_train: int,
    n_test: int,
    ring_malignant: float,
    ring_benign: float,
    seed: int,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> DemoData:
    """Write a training and a test half, with black rings in these shares of the classes.

    `n_train` and `n_test` count both classes together, half each. Both halves are drawn in the same
    way. `progress(done, total)` is called after every picture. Raises ValueError for a share
    outside 0 to 1, or fewer than one picture per class.
    """
    rings = Planting(ring, benign=ring_benign, malignant=ring_malignant)
    halves = {"train": n_train, "test": n_test}
    return write(out, halves, (*HARMLESS, rings), seed=seed, progress=progress)


def write(
    out: Path,
    halves: dict[str, int],
    plantings: Sequence[Planting],
    *,
    seed: int,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> DemoData:
    """Write halves of these sizes ("train", "test") with artifacts planted, in this order.

    Raises ValueError for a share outside 0 to 1, or fewer than one picture per class.
    """
    orders = [
        order
        for half, name in enumerate(("train", "test"))
        for order in _orders(out / name, half, halves[name] // 2, plantings, seed)
    ]
    for folder in {order.path.parent for order in orders}:
        folder.mkdir(parents=True, exist_ok=True)
    # Most time is spent in transforms and JPEG coding, which release the interpreter lock.
    with ThreadPoolExecutor(2) as pool:
        for done, _ in enumerate(pool.map(_draw_file, orders), start=1):
            progress(done, len(orders))
    data = DemoData(out / "train", out / "test")
    with data.truth.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["file", "class", *(planting.name for planting in plantings)])
        for order in orders:
            shown = [int(planting.plant in order.plants) for planting in plantings]
            table.writerow([order.path.relative_to(out).as_posix(), order.label, *shown])
    return data


def _orders(
    folder: Path, half: int, n: int, plantings: Sequence[Planting], seed: int
) -> list[_Order]:
    """Plan n pictures per class; each artifact goes to an exact number of them, at random."""
    if n < 1:
        raise ValueError(f"{folder.name} needs at least 2 images, one per class")
    orders = []
    for index, label in enumerate(CLASSES):
        chosen = []
        for number, planting in enumerate(plantings):
            share = planting.malignant if label == "malignant" else planting.benign
            if not 0 <= share <= 1:
                raise ValueError(f"share of {planting.name} is {share}, expected 0 to 1")
            lot = np.random.default_rng((seed, half, index, number)).permutation(n)
            chosen.append(set(lot[: round(share * n)].tolist()))
        orders += [
            _Order(
                folder / label / f"{label}_{i:05d}.jpg",
                (seed, half, index, i, 0),
                label,
                tuple(p.plant for p, lot in zip(plantings, chosen, strict=True) if i in lot),
            )
            for i in range(n)
        ]
    return orders


def draw(key: tuple[int, ...], label: str, plants: Sequence[Plant] = (), size: int = SIZE) -> RGB:
    """Draw one picture of a class (size, size, 3); the lesion depends on `key` only."""
    rng = np.random.default_rng(key)
    atypia = rng.normal(*ATYPIA[label])
    image = photographed(lit(lesion(skin(rng, size), rng, atypia), rng), rng)
    for plant in plants:
        image = plant(image, rng)
    return image


def _draw_file(order: _Order) -> None:
    image = Image.fromarray(draw(order.key, order.label, order.plants))
    image.save(order.path, quality=JPEG_QUALITY)
