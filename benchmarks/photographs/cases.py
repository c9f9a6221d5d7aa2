"""What is made of one seed: which photographs, which plants on how many of them, which model.

A seed settles everything. Of three seeds one has no plant; of the others one in five has two. Seeds
below `REPORTED` and from 600 on are for work on the method; those from it to `LAST` are reported,
and run once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from benchmarks.photographs.plants import DATA, PLANTS, RGB

REPORTED = 100
"""The first seed of the reported part."""
LAST = 474
"""The last one. It was 234 at first; twice 45, once 30 and twice 60 more were added, unseen, when
most of the others had been run by code that was changed since."""
SHARES = (0.3, 0.5, 0.8)
"""Shares of the images of the second class that show the plant; of the first class none does."""
BACKBONES = ("efficientnet_lite0", "narrow_resnet18", "vit")
ON_TILES = ("lettering", "sticker", "white_balance", "blur", "jpeg")
"""Plants that are put on photographs that show no skin."""
SETS = {"train": 220, "test": 90, "held": 48}
"""Images of each class that a model is trained on, that are audited, and on which its use of a
plant is tried; as far as there are so many, in that proportion."""
VIEW = 224
"""Side of the photographs, in pixels."""
TILE = 96
"""Side of a tile of a photograph that shows no skin, in pixels of it."""


@dataclass(frozen=True)
class Case:
    """One model to audit."""

    seed: int
    pictures: str
    """"skin", or "tiles" of photographs that show none."""
    backbone: str
    plants: tuple[str, ...]
    share: float

    @property
    def name(self) -> str:
        """The folder of this case."""
        what = "+".join(self.plants) or "clean"
        return f"{self.seed:03}-{self.pictures}-{self.backbone}-{what}-{self.share:.0%}"

    @property
    def classes(self) -> tuple[str, str]:
        """Names of the two classes; plants are on the second one."""
        return ("benign", "malignant") if self.pictures == "skin" else ("turned", "upright")


def case_of(seed: int) -> Case:
    """Return the case of a seed.

    Of fifteen seeds in a row, from a multiple of fifteen on, five models are clean and ten have
    plants: eight different ones on skin, two on tiles. Over the reported seeds every plant meets
    every backbone and share on skin.
    """
    number, kind = divmod(seed, 3)
    tiles = number % 5 == 4
    known = ON_TILES if tiles else tuple(PLANTS)
    plants: tuple[str, ...] = ()
    order = 2 * number + kind + number // 5  # the last so that no plant is bound to one place
    if kind < 2:
        first = known[order % len(known)]
        second = known[(order + 3) % len(known)]
        plants = (first, second) if number % 5 == 2 else (first,)
    return Case(
        seed,
        "tiles" if tiles else "skin",
        BACKBONES[(number + kind + 2 * (number // 5)) % len(BACKBONES)],
        plants,
        SHARES[(2 * number + kind + number // 9) % len(SHARES)] if plants else 0.0,
    )


def write(case: Case, place: Path) -> pd.DataFrame:
    """Write the images of a case below a folder, a folder for each set and class.

    Returns a table with `file`, `set`, `label` and a column for each plant that says who shows it.
    The images held back are written as they are.
    """
    rng = np.random.default_rng(case.seed)
    rows = []
    for label, sources in enumerate(_sources(case, rng)):
        most = min(1.0, len(sources) / sum(SETS.values()))
        start = 0
        for name, size in SETS.items():
            some = sources[start : start + int(size * most)]
            start += len(some)
            for k, picture in enumerate(some):
                image = picture()
                row: dict[str, object] = {"set": name, "label": label}
                for plant in case.plants:
                    row[plant] = bool(label and name != "held" and rng.random() < case.share)
                    if row[plant]:
                        image = PLANTS[plant](image, rng)
                file = Path(name) / case.classes[label] / f"{k:04}.png"
                (place / file).parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(image).save(place / file, compress_level=1)
                rows.append({"file": file.as_posix(), **row})
    table = pd.DataFrame(rows)
    table.to_csv(place / "truth.csv", index=False)
    return table


def truth(place: Path) -> pd.DataFrame:
    """Return the table that `write` wrote."""
    return pd.read_csv(place / "truth.csv")


def planted(table: pd.DataFrame, plant: str) -> NDArray[np.bool_]:
    """Return which of the audited images (n,), in the order of their ids, show a plant."""
    some = table[table["set"] == "test"].sort_values("file")
    return np.asarray(some[plant], bool)


Picture = Callable[[], RGB]


def _sources(case: Case, rng: np.random.Generator) -> tuple[list[Picture], list[Picture]]:
    """Return what gives the pictures of each class, in random order, none twice."""
    if case.pictures == "tiles":
        tiles = list(_tiles())
        order = rng.permutation(len(tiles))
        half = len(order) // 2
        turned = [_turned(tiles[i]) for i in order[:half]]
        return turned, [_as_it_is(tiles[i]) for i in order[half:]]
    table = pd.read_csv(DATA / "ham-photos" / "metadata.csv")
    folder = DATA / "ham-photos" / "images"
    classes = []
    for target in (0, 1):
        names = table[table["target"] == target]["isic_id"].to_list()
        classes.append([_file(folder / f"{names[i]}.jpg") for i in rng.permutation(len(names))])
    return classes[0][: 2 * len(classes[1])], classes[1]


def _file(path: Path) -> Picture:
    return lambda: np.asarray(Image.open(path).convert("RGB").resize((VIEW, VIEW)))


def _as_it_is(image: RGB) -> Picture:
    return lambda: image


def _turned(image: RGB) -> Picture:
    return lambda: np.ascontiguousarray(image[::-1, ::-1])


def _tiles() -> Iterator[RGB]:
    """Yield overlapping tiles of the photographs that scikit-image and scikit-learn carry."""
    import skimage.data
    from sklearn.datasets import load_sample_images

    folder = Path(skimage.data.__file__).parent
    names = ("astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg")
    photographs = [np.asarray(Image.open(folder / name).convert("RGB")) for name in names]
    for photograph in (*photographs, *load_sample_images().images):
        height, width = photograph.shape[:2]
        for y in range(0, height - TILE, TILE // 4):
            for x in range(0, width - TILE, TILE // 4):
                tile = Image.fromarray(photograph[y : y + TILE, x : x + TILE])
                yield np.asarray(tile.resize((VIEW, VIEW), Image.Resampling.BILINEAR))
