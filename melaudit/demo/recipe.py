"""Build the whole demo in one folder: data with a planted ring, a trained model, settings.

train/ test/ planted.csv   the data
ckpt.pt                    the model
melaudit.toml              the settings of `melaudit run --model ckpt.pt`
demo.json                  how it was made; "complete" once everything else is there
"""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from melaudit.audit.prepare.configuration import SETTINGS_NAME
from melaudit.audit.prepare.provenance import versions
from melaudit.demo.dataset import CLASSES, TRUTH_NAME, DemoData, generate
from melaudit.demo.training import TrainingReport, train
from melaudit.errors import StoreError
from melaudit.publish import publish

MARKER_NAME = "demo.json"
CHECKPOINT_NAME = "ckpt.pt"


@dataclass(frozen=True)
class Recipe:
    """The sizes of a demo, and the shares of its classes that show a ring."""

    n_train: int
    n_test: int
    ring_malignant: float
    ring_benign: float
    image_size: int
    epochs: int


FULL = Recipe(1000, 400, ring_malignant=0.6, ring_benign=0.04, image_size=64, epochs=3)
QUICK = Recipe(480, 240, ring_malignant=0.6, ring_benign=0.04, image_size=64, epochs=5)


@dataclass(frozen=True)
class DemoResult:
    """The files of a demo, and how its training went."""

    checkpoint: Path
    settings: Path
    """The `melaudit.toml` beside the checkpoint."""
    data: DemoData
    training: TrainingReport


def build_demo(
    out: Path, *, quick: bool, seed: int, progress: Callable[[str], None] = lambda text: None
) -> DemoResult:
    """Make the demo in the folder `out`, or reuse a demo there that was made in the same way.

    `progress` is called with one line of text at a time. An older or unfinished demo is replaced.
    Raises StoreError if `out` holds anything else, or cannot be written.
    """
    return build(out, QUICK if quick else FULL, seed=seed, progress=progress)


def build(
    out: Path, recipe: Recipe, *, seed: int, progress: Callable[[str], None] = lambda text: None
) -> DemoResult:
    """Make a demo of any sizes; see `build_demo`."""
    made = {"melaudit": versions()["melaudit"], "seed": seed, "recipe": dataclasses.asdict(recipe)}
    try:
        marker = _marker(out)
        if marker is not None and _is_whole(out, marker, made):
            progress(f"{out} already holds this demo; it is used again")
            return _result(out, TrainingReport(**marker["training"]))
        _clear(out)
        _mark(out, {"complete": False, **made})
        training = _make(out, recipe, seed, progress)
        _mark(out, {"complete": True, **made, "training": dataclasses.asdict(training)})
    except OSError as error:
        raise StoreError(
            f"the demo cannot be made in {out}: {error}; give another --out"
        ) from error
    return _result(out, training)


def write_settings(out: Path, *, image_size: int) -> Path:
    """Write `melaudit.toml` into the demo's folder and return its path."""
    settings = {
        "data": "test",
        "classes": list(CLASSES),
        "positive": "malignant",
        "domain": "dermoscopy",
        "image_size": image_size,
        "out": "audit",
    }
    # A JSON value of these kinds is a TOML value too.
    lines = [f"{key} = {json.dumps(value)}\n" for key, value in settings.items()]
    path = out / SETTINGS_NAME
    text = "# Read by: melaudit run --model ckpt.pt\n" + "".join(lines)
    publish(path, text.encode())
    return path


def _make(out: Path, recipe: Recipe, seed: int, progress: Callable[[str], None]) -> TrainingReport:
    progress(f"drawing {recipe.n_train + recipe.n_test} images of skin lesions")
    data = generate(
        out,
        n_train=recipe.n_train,
        n_test=recipe.n_test,
        ring_malignant=recipe.ring_malignant,
        ring_benign=recipe.ring_benign,
        seed=seed,
    )
    progress(
        f"planted a black ring on {100 * recipe.ring_malignant:.0f} % of the malignant images and "
        f"{100 * recipe.ring_benign:.0f} % of the benign ones"
    )
    progress(f"training a ResNet-18 on {recipe.n_train} images, {recipe.epochs} epochs")
    training = train(
        data,
        out / CHECKPOINT_NAME,
        seed=seed,
        epochs=recipe.epochs,
        image_size=recipe.image_size,
        progress=lambda epoch, loss: progress(f"epoch {epoch} of {recipe.epochs}: loss {loss:.3f}"),
    )
    progress(
        f"trained in {training.seconds:.0f} s; accuracy {100 * training.accuracy_test:.1f} % on "
        f"the {recipe.n_test} images of the test half"
    )
    write_settings(out, image_size=recipe.image_size)
    return training


def _result(out: Path, training: TrainingReport) -> DemoResult:
    data = DemoData(out / "train", out / "test")
    return DemoResult(out / CHECKPOINT_NAME, out / SETTINGS_NAME, data, training)


def _marker(out: Path) -> dict[str, Any] | None:
    """Read how the demo in `out` was made; None if the folder is empty or does not exist.

    Raises StoreError if the folder holds something else.
    """
    try:
        marker = json.loads((out / MARKER_NAME).read_text(encoding="utf-8"))
    except FileNotFoundError:
        if out.is_dir() and any(out.iterdir()):
            raise StoreError(
                f"{out} holds other files, and no demo; give --out a new or empty folder"
            ) from None
        return None
    except ValueError:
        marker = None
    if not isinstance(marker, dict) or "recipe" not in marker:
        raise StoreError(f"{out / MARKER_NAME} is not a demo's; give --out a new or empty folder")
    return marker


def _is_whole(out: Path, marker: dict[str, Any], made: dict[str, Any]) -> bool:
    """Tell whether a demo was made with these parameters and still has all of its files."""
    if not marker.get("complete") or any(marker.get(key) != made[key] for key in made):
        return False
    if set(marker.get("training", ())) != {f.name for f in dataclasses.fields(TrainingReport)}:
        return False
    recipe = made["recipe"]
    counts = (recipe["n_train"] // 2 * 2, recipe["n_test"] // 2 * 2)
    found = tuple(sum(1 for _ in (out / half).rglob("*.jpg")) for half in ("train", "test"))
    names = (CHECKPOINT_NAME, SETTINGS_NAME, TRUTH_NAME)
    return found == counts and all((out / name).is_file() for name in names)


def _clear(out: Path) -> None:
    """Remove the files of an earlier demo, and nothing else."""
    out.mkdir(parents=True, exist_ok=True)
    for half in ("train", "test"):
        shutil.rmtree(out / half, ignore_errors=True)
    for name in (CHECKPOINT_NAME, SETTINGS_NAME, TRUTH_NAME):
        (out / name).unlink(missing_ok=True)


def _mark(out: Path, made: dict[str, Any]) -> None:
    publish(out / MARKER_NAME, (json.dumps(made, indent=2) + "\n").encode())
