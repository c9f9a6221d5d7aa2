"""The demo's data: an ImageFolder of drawn lesions, with artifacts planted in chosen shares.

Every picture is drawn from (seed, half, class, number) alone, so neither order nor number of the
others changes it. Beside the folders, `planted.csv` tells what was put into which picture.
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
"""Mean and spread of the lesions' atypia; the overlap keeps the lesions from telling all."""
QUALITY = 90
"""Of the JPEG files."""
TRUTH_NAME = "planted.csv"


@dataclass(frozen=True)
class Planting:
    """An artifact and how much of each class shows it."""

    plant: Plant
    benign: float
    malignant: float
    """Shares, 0 to 1; kept exactly but for rounding."""

    @property
    def name(self) -> str:
        """The column of `planted.csv`: the plant function's own name."""
        return self.plant.__name__


HARMLESS = (Planting(hairs, 0.3, 0.3), Planting(bubbles, 0.15, 0.15), Planting(ruler, 0.15, 0.15))
"""What dermoscopy pictures show anyway, on both classes alike."""


@dataclass(frozen=True)
class DemoData:
    """Where the two halves are; each holds a folder per class."""

    train: Path
    test: Path

    @property
    def truth(self) -> Path:
        """The table of what was planted where: file, class and one column per artifact."""
        return self.train.parent / TRUTH_NAME


@dataclass(frozen=True)
class _Order:
    """One picture to draw."""

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
    """Write a training and a test half with black rings in the given shares of the classes.

    `n_train` and `n_test` count both classes together, half each; `progress(done, total)` is told
    after every picture. Both halves are drawn alike. Raises ValueError for a share outside 0 to 1
    or fewer than one picture per class.
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
    """Write halves of the given sizes ("train", "test") with any artifacts planted, in that order.

    Raises ValueError for a share outside 0 to 1 or fewer than one picture per class.
    """
    orders = [
        order
        for half, name in enumerate(("train", "test"))
        for order in _orders(out / name, half, halves[name] // 2, plantings, seed)
    ]
    for folder in {order.path.parent for order in orders}:
        folder.mkdir(parents=True, exist_ok=True)
    # Most of the time goes into transforms and JPEG coding, which let other threads run.
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
    """Plan n pictures per class, sharing out every artifact at random and in exact number."""
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
    """Draw one picture of a class; the lesion depends on `key` alone, not on what is planted."""
    rng = np.random.default_rng(key)
    atypia = rng.normal(*ATYPIA[label])
    image = photographed(lit(lesion(skin(rng, size), rng, atypia), rng), rng)
    for plant in plants:
        image = plant(image, rng)
    return image


def _draw_file(order: _Order) -> None:
    image = Image.fromarray(draw(order.key, order.label, order.plants))
    image.save(order.path, quality=QUALITY)
