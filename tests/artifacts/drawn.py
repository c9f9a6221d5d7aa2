"""Skin drawn by the tests, and the ranking of two sets of scores."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from melaudit.artifacts import Artifact

RGB = NDArray[np.uint8]
FAIR, TAN, DARK = (214, 170, 150), (176, 124, 96), (92, 62, 50)


def skin_with_lesion(size: int = 240, colour: tuple[int, int, int] = TAN, seed: int = 0) -> RGB:
    """A mottled colour with a brown spot in the middle, both without anything thin."""
    rng = np.random.default_rng(seed)
    mottle = ndimage.gaussian_filter(rng.normal(0, 1, (size, size)), size / 25)
    shade = 1 + 0.03 * mottle / mottle.std() + rng.normal(0, 0.012, (size, size))
    y, x = np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j]
    spot = 1 / (1 + np.exp(np.clip((np.hypot(1.2 * x, y) - 0.35) / 0.03, -30, 30)))
    picture = np.array(colour) * shade[..., None]
    return np.asarray((picture * (1 - 0.5 * spot[..., None])).clip(0, 255), np.uint8)


def reporting_half(folder: Path, column: str, seed: int = 0) -> tuple[list[RGB], list[bool]]:
    """The labelled images that no constant was chosen on: see benchmarks/artifacts.py."""
    with (folder / "labels.csv").open() as file:
        rows = list(csv.DictReader(file))
    labels = [name for name in rows[0] if name not in ("image", "class")]
    kinds = ["".join(row[name] for name in labels) for row in rows]
    rng = np.random.default_rng(seed)
    dealt: list[int] = []
    for kind in sorted(set(kinds)):
        dealt += list(rng.permutation([k for k, other in enumerate(kinds) if other == kind]))
    images, truth = [], []
    for k in dealt[1::2]:
        images.append(np.asarray(Image.open(folder / rows[k]["image"]).convert("RGB")))
        truth.append(rows[k][column] == "1")
    return images, truth


def ranked(artifact: Artifact, images: list[RGB], truth: list[bool]) -> tuple[float, float]:
    """The share of pairs in the right order, and the share of false alarms, counted one by one."""
    scores = [artifact.find(image) for image in images]
    yes = [found.score for found, label in zip(scores, truth, strict=True) if label]
    no = [found for found, label in zip(scores, truth, strict=True) if not label]
    wins = sum((a > b.score) + 0.5 * (a == b.score) for a in yes for b in no)
    return wins / (len(yes) * len(no)), sum(found.present for found in no) / len(no)
