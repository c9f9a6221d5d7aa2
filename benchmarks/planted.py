"""Planted shortcuts: drawn data in which an artifact goes with a class, and models trained on it.

Everything is drawn by `melaudit.demo`, whose artifacts share no code with those that an audit puts
in. What is made is kept in a folder and used again by the same command.

Run as `python -m benchmarks.planted --folder FOLDER` it makes the models alone, without auditing
any: one for each artifact, contamination and seed, and clean ones beside them.
"""

from __future__ import annotations

import argparse
import itertools
import json
import multiprocessing
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import nn
from torchvision import models

from melaudit.demo.dataset import CLASSES, HARMLESS, DemoData, Planting, write
from melaudit.demo.plants import RGB, Plant, ink, lettering, ring, ruler, sticker, tint
from melaudit.demo.training import train
from melaudit.images.preprocessing import resolve


def bold_ruler(image: RGB, rng: np.random.Generator) -> RGB:
    """Etch a scale whose ticks a model of 64 x 64 pixels can see."""
    return ruler(image, rng, weight=0.022)


def tall_lettering(image: RGB, rng: np.random.Generator) -> RGB:
    """Burn digits into a corner that a model of 64 x 64 pixels can see."""
    return lettering(image, rng, heights=(0.15, 0.2))


PLANTS: dict[str, Plant] = {
    "dark_ring": ring,
    "colour_patch": sticker,
    "ruler": bold_ruler,
    "ink": ink,
    "text": tall_lettering,
    "colour_cast": tint,
}
"""Artifact -> what draws it."""

LONGER = {"ruler": 2.4, "text": 2.4}
"""Artifact -> how many times longer a model is trained, since small print is learned slowly."""

FAMILIES: dict[str, Callable[..., nn.Module]] = {
    "resnet18": models.resnet18,
    "regnet_x_400mf": models.regnet_x_400mf,
    "googlenet": lambda num_classes: models.googlenet(
        num_classes=num_classes, aux_logits=False, init_weights=False
    ),
}

TRIED = 60
"""Images on which it is tried whether a model uses its plant."""


@dataclass(frozen=True)
class Case:
    """One model to audit."""

    artifact: str
    """What was planted; "none" for nothing."""
    contamination: float
    """Share of the malignant images, in training and test, that show it; no benign one does."""
    seed: int
    family: str

    @property
    def name(self) -> str:
        """The folder of this case."""
        return f"{self.artifact}-{self.contamination:.0%}-{self.family}-{self.seed}"


@dataclass(frozen=True)
class Made:
    """A case, made."""

    checkpoint: Path
    test: Path
    accuracy: float
    use: float
    """Change of the share called malignant when its own plant is drawn on test images."""
    planted: NDArray[np.bool_]
    """(n,) test images that show it, in the order of their ids."""
    ids: tuple[str, ...]


def make(
    case: Case,
    folder: Path,
    n_train: int,
    n_test: int,
    side: int,
    epochs: int,
    device: str = "cpu",
) -> Made:
    """Draw the data, train the model, and try whether it uses what was planted."""
    place = folder / case.name
    sizes = {"n_train": n_train, "n_test": n_test, "side": side, "epochs": epochs}
    marker = place / "made.json"
    if not marker.exists() or json.loads(marker.read_text())["sizes"] != sizes:
        data = write(place, {"train": n_train, "test": n_test}, plantings(case), seed=case.seed)
        trained = train(
            data,
            place / "ckpt.pt",
            seed=case.seed,
            epochs=round(epochs * LONGER.get(case.artifact, 1)),
            image_size=side,
            device=device,
            build=lambda: FAMILIES[case.family](num_classes=len(CLASSES)),
        )
        use = _use(case, place, side)
        made = {"sizes": sizes, "accuracy": trained.accuracy_test, "use": use, **asdict(case)}
        marker.write_text(json.dumps(made))
    known = json.loads(marker.read_text())
    ids, planted = truth(case, place)
    return Made(place / "ckpt.pt", place / "test", known["accuracy"], known["use"], planted, ids)


def load(case: Case, checkpoint: Path) -> nn.Module:
    """Return the trained model of a case."""
    model = FAMILIES[case.family](num_classes=len(CLASSES))
    model.load_state_dict(torch.load(checkpoint, weights_only=True))
    return model.eval()


def plantings(case: Case) -> tuple[Planting, ...]:
    """Return what is planted: harmless things on both classes alike, and the artifact on one."""
    if case.artifact == "none":
        return HARMLESS
    plant = PLANTS[case.artifact]
    others = tuple(p for p in HARMLESS if case.artifact != p.name)
    return (*others, Planting(plant, benign=0.0, malignant=case.contamination))


def _use(case: Case, place: Path, side: int) -> float:
    """Draw the plant on benign test images and count how many more are called malignant."""
    if case.artifact == "none":
        return 0.0
    model = load(case, place / "ckpt.pt")
    preprocessing = resolve(None, image_size=side)
    rng = np.random.default_rng(case.seed)
    before, after = [], []
    for path in sorted((place / "test" / "benign").glob("*.jpg"))[:TRIED]:
        image = np.asarray(Image.open(path))
        before.append(preprocessing.apply(image))
        after.append(preprocessing.apply(PLANTS[case.artifact](image, rng)))
    with torch.no_grad():
        called = [int(model(torch.stack(x)).argmax(1).sum()) for x in (before, after)]
    return (called[1] - called[0]) / len(before)


def truth(case: Case, place: Path) -> tuple[tuple[str, ...], NDArray[np.bool_]]:
    """Return the ids of the test images, in order, and which (n,) show the plant."""
    table = pd.read_csv(DemoData(place / "train", place / "test").truth)
    table = table[table["file"].str.startswith("test/")].sort_values("file")
    ids = tuple(table["file"].str.removeprefix("test/"))
    column = PLANTS[case.artifact].__name__ if case.artifact != "none" else ""
    shown = table[column] if column in table else np.zeros(len(table))
    return ids, np.asarray(shown, bool)


def cases(
    seeds: Iterable[int], artifacts: Iterable[str], contaminations: Iterable[float], clean: int
) -> Iterator[Case]:
    """Yield the cases, so that any first part of them covers all artifacts and families.

    A contamination of 0 gives `clean` clean models for each seed.
    """
    families = itertools.cycle(FAMILIES)
    for seed in seeds:
        for share in contaminations:
            if share == 0:
                for more in range(clean):
                    yield Case("none", 0.0, 100 * seed + more, next(families))
                continue
            for artifact in artifacts:
                yield Case(artifact, share, seed, next(families))
            next(families)  # so that an artifact meets another family at the next share


def main() -> None:
    """Make the models that are missing."""
    options = _options()
    options.folder.mkdir(parents=True, exist_ok=True)
    every = cases(options.seeds, PLANTS, options.contaminations, options.clean)
    tasks = [(case, options) for case in every]
    with multiprocessing.get_context("spawn").Pool(options.jobs, one_thread) as pool:
        for case, made in pool.imap_unordered(_made, tasks):
            print(f"{case.name:34} accuracy {made.accuracy:.2f}  use {made.use:.2f}", flush=True)


def one_thread() -> None:
    """Have a process of many keep to one thread."""
    torch.set_num_threads(1)


def _made(task: tuple[Case, argparse.Namespace]) -> tuple[Case, Made]:
    case, given = task
    made = make(case, given.folder, given.train, given.test, given.side, given.epochs, given.device)
    return case, made


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.planted",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--folder", type=Path, default=Path("out/detection"))
    parser.add_argument("--contaminations", nargs="+", type=float, default=[0.0, 0.2, 0.5, 0.8])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--clean", type=int, default=5, help="clean models for each seed")
    parser.add_argument("--train", type=int, default=480, help="images to train on")
    parser.add_argument("--test", type=int, default=200, help="images to try use on, half of them")
    parser.add_argument("--side", type=int, default=64, help="of the model's input, in pixels")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--device", default="cpu", help="to train on")
    parser.add_argument("--jobs", type=int, default=2)
    return parser.parse_args()


if __name__ == "__main__":
    main()
