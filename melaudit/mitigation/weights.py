"""Sampling weights under which an artifact goes with no class, and the table that holds them.

An image is drawn at random, in proportion to its weight, again and again (`WeightedRandomSampler`).
The weights are such that every class is drawn equally often, and that the same share of the draws
of every class shows the artifact: half of them, unless images would be drawn too often for that. So
the label can no longer be told from the artifact. Balance over class and artifact is what makes
retraining help (Idrissi et al. 2022, "Simple data balancing achieves competitive worst-group-
accuracy").
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

import numpy as np
from numpy.typing import NDArray

from melaudit.errors import DatasetError
from melaudit.wording.names import safe_cell, visible

COLUMNS = ("image", "class", "artifact", "weight")
MAX_DRAWS = 20.0
"""How often an image is drawn in an epoch, on average, at most: what is seen more often is learned
by heart. Chosen: a round figure, not measured."""
UNKNOWN = -1

Codes = NDArray[np.int64]
Shares = NDArray[np.float64]


@dataclass(frozen=True)
class Balance:
    """Sampling weights of n images of K classes, and what comes of them."""

    weights: Shares
    """(n,) how often each image is drawn, on average, in an epoch of as many draws as there are
    images that count; 0 for those that do not."""
    counts: Codes
    """(K, 2) images of each class without the artifact, and with it."""
    draws: Shares
    """(K, 2) how often one of them is drawn in an epoch."""
    shares: Shares
    """(K,) share of the draws of each class that show the artifact; NaN for a class without
    images."""

    @property
    def even(self) -> bool:
        """Whether the artifact is drawn equally often in every class."""
        return bool(np.nanmax(self.shares) - np.nanmin(self.shares) < 1e-6)

    @property
    def images(self) -> int:
        """How many images have a label and are known to show the artifact, or not."""
        return int(self.counts.sum())

    @property
    def different(self) -> float:
        """How many different images an epoch shows, on average."""
        chance = self.weights / max(self.images, 1)
        return float((1 - (1 - np.minimum(chance, 1)) ** self.images).sum())


def balance(labels: Codes, shows: Codes, classes: int, max_draws: float = MAX_DRAWS) -> Balance:
    """Return weights of n images under which an artifact goes with no class.

    labels: (n,) class index, -1 if unknown; shows: (n,) 1 with the artifact, 0 without, -1 if
    unknown. No image is drawn more often than `max_draws` times an epoch on average; where a class
    has too few with the artifact, or without it, for half its draws, all classes show it less or
    more often. Where one class has too few with it and another too few without, the shares come as
    near to each other as that allows, and `even` is False. Raises DatasetError for fewer than two
    classes with images, ValueError for less than one draw.
    """
    if max_draws < 1:
        raise ValueError(f"got max_draws={max_draws}; expected 1 or more: images are drawn once")
    known = (labels >= 0) & (shows >= 0)
    cells = np.bincount(2 * labels[known] + shows[known], minlength=2 * classes)
    counts = cells.reshape(classes, 2).astype(np.int64)
    n, of_class = int(counts.sum()), counts.sum(1)
    there = of_class > 0
    if there.sum() < 2:
        raise DatasetError(
            f"{n} images have a label, of {int(there.sum())} of the {classes} classes; to balance "
            "an artifact over the classes, give labelled images of two classes or more"
        )
    drawn = _filled(max_draws * of_class / n)
    # Shares between which no image of the class is drawn too often.
    mass = np.where(there, drawn, 1.0)
    low = np.clip(1 - max_draws * counts[:, 0] / (n * mass), 0, 1)
    high = np.clip(max_draws * counts[:, 1] / (n * mass), 0, 1)
    most, least = float(high[there].min()), float(low[there].max())
    aim = np.clip(0.5, min(most, least), max(most, least))
    shares = np.where(there, np.clip(aim, low, high), np.nan)
    both = np.stack([1 - shares, shares], 1) * n * drawn[:, None]
    draws = np.divide(both, counts, out=np.zeros((classes, 2)), where=counts > 0)
    weights = np.zeros(len(labels))
    weights[known] = draws[labels[known], shows[known]]
    return Balance(weights, counts, draws, shares)


def _filled(limits: Shares) -> Shares:
    """Share 1 out (K,) as evenly as the limits (K,), which add up to 1 or more, allow."""
    out = np.zeros(len(limits))
    order = np.argsort(limits, kind="stable")
    for place, k in enumerate(order):
        out[k] = min(float(limits[k]), (1 - float(out.sum())) / (len(order) - place))
    return out


def weights_csv(
    ids: Sequence[str], labels: Codes, shows: Codes, classes: Sequence[str], weights: Shares
) -> bytes:
    """Return the table of n images: image, class, 1 or 0 for the artifact, weight.

    What is unknown is an empty cell. No cell is run as a formula by a spreadsheet.
    """
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    for name, label, shown, weight in zip(
        ids, labels.tolist(), shows.tolist(), weights.tolist(), strict=True
    ):
        of = safe_cell(classes[label]) if label >= 0 else ""
        writer.writerow((safe_cell(name), of, shown if shown >= 0 else "", f"{weight:.6g}"))
    return out.getvalue().encode("utf-8")


def sampling_weights(table: str | Path, files: Sequence[str | Path]) -> list[float]:
    """Return the weight of each image file of a data set, in its order, for WeightedRandomSampler.

    `table` is a `weights.csv` as an export wrote it, `files` are the paths of the images, relative
    or absolute; `[file for file, _ in dataset.samples]` of an ImageFolder. Raises DatasetError for
    a table that is none, a file that it does not name, and if no file has a weight above 0.
    """
    known = _read(Path(table))
    found = [_found(PurePath(file), known, Path(table)) for file in files]
    folders = {folder for folder, _ in found}
    if len(folders) > 1:
        first, second, *_ = sorted(map(str, folders))
        raise DatasetError(
            f"{table} is of the images of one folder, and these lie below {first!r} and "
            f"{second!r}; give the data set that was exported"
        )
    weights = [weight for _, weight in found]
    if not any(weights):
        raise DatasetError(f"none of {len(weights)} files has a weight above 0 in {table}")
    return weights


def _read(table: Path) -> dict[str, float]:
    """Return image -> weight."""
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            known = {row["image"]: float(row["weight"]) for row in reader}
        if not known:
            raise ValueError("no rows")
    except (OSError, KeyError, TypeError, ValueError, csv.Error) as error:
        raise DatasetError(
            f"{table} is no table of sampling weights ({error!r}); expected the columns "
            f"{', '.join(COLUMNS)}, as melaudit writes them"
        ) from error
    if not all(0 <= weight < float("inf") for weight in known.values()):
        raise DatasetError(f"{table} has weights that are no finite numbers from 0 on")
    return known


def _found(file: PurePath, known: dict[str, float], table: Path) -> tuple[PurePath, float]:
    """Return the folder of the data set, and the weight: the longest end of a path counts."""
    for start in range(len(file.parts)):
        weight = known.get(safe_cell(visible(PurePath(*file.parts[start:]).as_posix())))
        if weight is not None:
            return PurePath(*file.parts[:start]), weight
    raise DatasetError(
        f"{str(file)!r} is not in {table}; the table is of the images that were exported: give "
        "those, or export again"
    )
