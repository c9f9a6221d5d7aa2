"""Pictures that are not dermoscopy, small models trained on them, and what an audit says of each.

Chest radiographs whose side marker goes with the label in training and the same with markers that
mean nothing; slices of a head; ten kinds of small photographs. All are drawn by
`benchmarks.pictures`; the marker is drawn here and shares no code with the one an audit puts in.

    python -m benchmarks.fields --folder out/fields

makes what is missing, audits each model through the command line and prints what was found. With
--finders it prints the tables of docs/domains.md instead: how well the artifacts of radiographs are
found on drawn pictures, and what drawn pictures are taken for; with --photographs, what the
photographs that come with scikit-image and scikit-learn look like, to tints and darkness as well.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from torch import nn

from benchmarks.pictures import RGB, TILE_CLASSES, head, radiograph, tile
from melaudit.artifacts.search.photometry import photometry
from melaudit.domains import domain, domains
from melaudit.images.preprocessing import resolve

SIDE = 128
"""Side of a radiograph, in pixels."""
INPUT = 64
"""Side of the models' input, in pixels."""
BATCH, RATE = 32, 3e-3
LONGER = 512
"""Longer side, in pixels, to which photographs are reduced."""


def network(classes: int) -> nn.Sequential:
    """Return a small CNN: three convolutions with normalisation, their maxima, a linear head."""
    layers: list[nn.Module] = []
    for low, high in ((3, 16), (16, 32), (32, 48)):
        layers += [nn.Conv2d(low, high, 3, padding=1), nn.BatchNorm2d(high), nn.ReLU()]
        layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers, nn.AdaptiveMaxPool2d(2), nn.Flatten(), nn.Linear(192, classes))


def two() -> nn.Sequential:
    """Return the network for two classes, for --factory."""
    return network(2)


def ten() -> nn.Sequential:
    """Return the network for ten classes, for --factory."""
    return network(10)


@dataclass(frozen=True)
class Field:
    """One data set and the model that learns it."""

    name: str
    classes: tuple[str, ...]
    draw: Callable[[np.random.Generator, int], RGB]
    """draw(rng, target) -> a picture."""
    marked: tuple[float, ...] = ()
    """Share of each class that shows a side marker; () for none."""


FIELDS = {
    field.name: field
    for field in (
        Field(
            "chest-marker",
            ("normal", "pneumonia"),
            lambda rng, target: radiograph(rng, bool(target), SIDE),
            (0.05, 0.8),
        ),
        Field(
            "chest-clean",
            ("normal", "pneumonia"),
            lambda rng, target: radiograph(rng, bool(target), SIDE),
            (0.4, 0.4),
        ),
        Field("head", ("no", "yes"), lambda rng, target: head(rng, bool(target), SIDE)),
        Field("tiles", TILE_CLASSES, tile),
    )
}


def with_marker(image: RGB, rng: np.random.Generator) -> RGB:
    """Write L or R into an upper corner."""
    side = min(image.shape[:2])
    page = Image.fromarray(image)
    font = ImageFont.load_default(float(rng.uniform(0.1, 0.13)) * side)
    right = rng.random() < 0.5
    x = side * (rng.uniform(0.84, 0.88) if right else rng.uniform(0.04, 0.08))
    place = float(x), float(side * rng.uniform(0.03, 0.08))
    level = int(rng.integers(225, 250))
    ImageDraw.Draw(page).text(
        place, "LR"[int(right)], fill=(level,) * 3, font=font, stroke_width=side // 100
    )
    return np.asarray(page)


def drawn(field: Field, n: int, seed: int) -> tuple[list[RGB], NDArray[np.int64]]:
    """Return n pictures, as many of each class, and their labels."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % len(field.classes)
    images = []
    for label in labels:
        image = field.draw(rng, int(label))
        if field.marked and rng.random() < field.marked[label]:
            image = with_marker(image, rng)
        images.append(image)
    return images, labels


def write(field: Field, folder: Path, n: int, seed: int) -> None:
    """Write n pictures as an image folder."""
    images, labels = drawn(field, n, seed)
    for k, (image, label) in enumerate(zip(images, labels, strict=True)):
        place = folder / field.classes[label]
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(place / f"{k:04}.png")


def train(field: Field, n: int, epochs: int, seed: int) -> nn.Sequential:
    """Train the network on n pictures, mirrored at random unless they carry letters."""
    images, labels = drawn(field, n, seed)
    preprocessing = resolve(None, image_size=INPUT)
    x = torch.stack([preprocessing.apply(image) for image in images])
    y = torch.from_numpy(labels)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = network(len(field.classes)).train()
        optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=0.05)
        steps = epochs * max(1, n // BATCH)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps)
        for _ in range(epochs):
            for rows in torch.randperm(n).tensor_split(max(1, n // BATCH)):
                loss = nn.functional.cross_entropy(model(x[rows]), y[rows])
                optimizer.zero_grad()
                torch.autograd.backward(loss)
                optimizer.step()
                schedule.step()
    return model.eval()


def make(field: Field, folder: Path, n_train: int, n_test: int, epochs: int) -> Path:
    """Make data and checkpoint unless they are there; return their folder."""
    place = folder / field.name
    if not (place / "ckpt.pt").exists():
        write(field, place / "images", n_test, seed=1)
        model = train(field, n_train, epochs, seed=0)
        torch.save(model.state_dict(), place / "ckpt.pt")
    return place


def audit(field: Field, place: Path, more: Sequence[str] = ()) -> Path:
    """Audit a model through the command line; return the output folder."""
    out = place / "audit"
    factory = f"{__file__}:{'two' if len(field.classes) == 2 else 'ten'}"
    given = ["run", "--model", place / "ckpt.pt", "--factory", factory, "--data", place / "images"]
    given += ["--image-size", INPUT, "--out", out, "--workers", 0, *more]
    command = [sys.executable, "-m", "melaudit", *map(str, given)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if not (out / "findings.json").is_file():
        raise RuntimeError(f"{field.name}: {result.stderr}")
    return out


SETS: dict[str, tuple[int, Callable[[np.random.Generator, int], RGB]]] = {
    "chest, 160 px": (60, lambda rng, k: radiograph(rng, bool(k % 2), 160)),
    "chest, 384 px": (20, lambda rng, k: radiograph(rng, bool(k % 2), 384)),
    "head, 128 px": (60, lambda rng, k: head(rng, bool(k % 2), 128)),
    "tiles, 32 px": (60, lambda rng, k: tile(rng, k % 10)),
}
"""Name -> how many pictures, and what draws the k-th."""

SOUGHT = ("side_marker", "black_border", "inverted", "tube", "annotation")


def finders() -> None:
    """Print how often artifacts are found, and what the pictures are taken for."""
    rng = np.random.default_rng(0)
    pictures = {name: [draw(rng, k) for k in range(n)] for name, (n, draw) in SETS.items()}
    able = [each for each in domains() if each.recognises is not None]
    for name, images in pictures.items():
        shares = {d.id: np.mean([d.recognises(i) for i in images if d.recognises]) for d in able}
        print(f"| {name} | {', '.join(f'{d} {share:.0%}' for d, share in shares.items())} |")
    for artifact in (a for a in domain("radiograph").artifacts if a.id in SOUGHT):
        cells = []
        for images in pictures.values():
            added = [artifact.add(i, np.random.default_rng(k)) for k, i in enumerate(images)]
            seen = [artifact.find(edited.image) for edited in added]
            left = [
                artifact.find(artifact.remove(edited.image, found.mask).image)
                for edited, found in zip(added, seen, strict=True)
            ]
            counts = (seen, [artifact.find(i) for i in images], left)
            cells.append(", ".join(f"{np.mean([f.present for f in c]):.0%}" for c in counts))
        print(f"| `{artifact.id}` | {' | '.join(cells)} |", flush=True)


def photographs() -> None:
    """Print what the pictures in the packages scikit-image and scikit-learn look like."""
    able = [each for each in domains() if each.recognises is not None]
    rows = []
    for package in ("skimage", "sklearn"):
        for path in sorted(Path(str(files(package))).rglob("*")):
            if path.suffix not in (".png", ".jpg"):
                continue
            picture = Image.open(path).convert("RGB")
            picture.thumbnail((LONGER, LONGER))
            image = np.asarray(picture)
            seen = photometry(image)
            away = float(np.hypot(*seen.zone[1:]))
            like = ", ".join(d.id for d in able if d.recognises and d.recognises(image))
            rows.append((seen.lightness, away))
            print(f"{path.name}: L* {seen.lightness:.0f}, {away:.0f} from grey {like}")
    shares = np.percentile(rows, (0, 10, 50, 90, 100), axis=0).T
    for name, row in zip(("L*", "from grey"), shares, strict=True):
        print(f"{name}, {len(rows)} pictures: {', '.join(f'{value:.0f}' for value in row)}")


def main() -> None:
    """Make and audit every field, and print what was found."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fields", description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path("out/fields"))
    parser.add_argument("--only", nargs="+", choices=tuple(FIELDS), default=tuple(FIELDS))
    parser.add_argument("--train", type=int, default=600)
    parser.add_argument("--test", type=int, default=160)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--edits", type=int, default=40)
    parser.add_argument("--finders", action="store_true")
    parser.add_argument("--photographs", action="store_true")
    given = parser.parse_args()
    if given.finders or given.photographs:
        (finders if given.finders else photographs)()
        return
    for name in given.only:
        place = make(FIELDS[name], given.folder, given.train, given.test, given.epochs)
        found = json.loads(
            (audit(FIELDS[name], place, ["--edits", given.edits]) / "findings.json").read_text()
        )
        claims = [f"{f['id']} ({f['rung']}, {f['severity']})" for f in found["findings"]]
        print(
            f"| `{name}` | {found['domain']['id']} | {found['performance']['accuracy']:.0%} | "
            f"{found['verdict']} | {'; '.join(claims) or 'nothing'} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
