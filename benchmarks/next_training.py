"""The next training: does a model that is trained on with weights and transform lose its shortcut?

    python -m benchmarks.next_training [--folder out/next_training] [--seed 0] [--epochs 2]

The demo's model goes by the ring. An export is written for its training images, and the model is
trained on for a few epochs, each way from the same weights, with the same steps and draws:

    before          the demo's model as it is
    as before       trained on as it was trained: shuffled images
    weights         images drawn by the sampling weights
    both            the two lines of the exported README.md, run as they stand

For each way the table has, of the demo's test images, which no training uses: how many benign
images without a ring are predicted malignant as they are, and with the demo's own ring drawn on
them, which shares no code with the artifact that `Put` puts in; the same of malignant images; and
right predictions, overall and in each group of class and ring. The ways named by --audit are
audited, as is the model before, and held against each other by `melaudit diff`.

What is made is kept in the folder and used again by the same command.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, RandomSampler, WeightedRandomSampler
from torchvision.datasets import ImageFolder
from torchvision.models import resnet18

import melaudit
from melaudit.demo.dataset import CLASSES
from melaudit.demo.plants import ring
from melaudit.demo.recipe import MARKER_NAME, QUICK, DemoResult, build
from melaudit.demo.training import BATCH_SIZE, LEARNING_RATE, WEIGHT_DECAY
from melaudit.domains import domain
from melaudit.images.dataset import open_dataset
from melaudit.images.preprocessing import resolve
from melaudit.mitigation.export import README, WEIGHTS, export, shown_in
from melaudit.mitigation.weights import sampling_weights
from melaudit.observer import Silent
from melaudit.reports import compare, comparison_text, read_findings
from melaudit.reports.comparison.answers import paired_answers

RING, FIELD = "dark_ring", "dermoscopy"
WAYS = ("as before", "weights", "both")


class Preprocessed:
    """What an audit does to a picture, then a flip and a quarter turn by chance."""

    def __init__(self, image_size: int) -> None:
        self.preprocessing = resolve(None, image_size=image_size)

    def __call__(self, image: Image.Image) -> Tensor:
        """Return the input of the model (3, s, s)."""
        x = self.preprocessing.apply(np.asarray(image))
        turns, flipped = torch.randint(4, ()), torch.randint(2, ())
        x = torch.rot90(x, int(turns), (1, 2))
        return x.flip(2) if flipped else x


def main() -> None:
    """Train, audit, and print the comparisons and the table."""
    options = _options()
    options.folder.mkdir(parents=True, exist_ok=True)
    demo = build(options.folder / "demo", QUICK, seed=options.seed, progress=print)
    page = exported(demo, options.folder / "next")
    checkpoints = {"before": demo.checkpoint}
    for way in options.ways:
        place = options.folder / way.replace(" ", "_")
        place.mkdir(exist_ok=True)
        checkpoints[way] = place / "ckpt.pt"
        if not checkpoints[way].exists():
            train_on(demo, checkpoints[way], way, page, options)
    print("\n" + table(checkpoints, demo, options.seed), flush=True)
    before = options.folder / "before"
    for way in options.audit:
        after = checkpoints[way].parent / "audit"
        audited(demo.checkpoint, demo, before, options)
        audited(checkpoints[way], demo, after, options)
        print(f"\n## melaudit diff before {way!r}\n\n{difference(before, after)}")


def exported(demo: DemoResult, out: Path) -> str:
    """Export the training images, and return the page that says what to add to a script."""
    images, field = open_dataset(demo.data.train), domain(FIELD)
    if not (out / README).exists():
        shows = shown_in(images.paths, RING, field, 0, Silent())
        export(out, images, shows, RING, field)
    return (out / README).read_text(encoding="utf-8")


def train_on(demo: DemoResult, out: Path, way: str, page: str, options: argparse.Namespace) -> None:
    """Train the demo's model on, in one of `WAYS`, and save its weights."""
    torch.manual_seed(options.seed)
    dataset = ImageFolder(str(demo.data.train), transform=Preprocessed(_image_size(demo)))
    sampler: Any = RandomSampler(dataset)
    if way == "weights":
        files = [file for file, _ in dataset.samples]
        weights = sampling_weights(options.folder / "next" / WEIGHTS, files)
        sampler = WeightedRandomSampler(weights, len(dataset))
    elif way == "both":
        names: dict[str, Any] = {"dataset": dataset}
        exec("\n".join(line[4:] for line in page.splitlines() if line.startswith("    ")), names)
        sampler = names["sampler"]
    model = resnet18(num_classes=len(CLASSES))
    model.load_state_dict(torch.load(demo.checkpoint, weights_only=True))
    loader = DataLoader(
        dataset, BATCH_SIZE, sampler=sampler, num_workers=options.workers, drop_last=True
    )
    fit(model, lambda: loader, options.epochs)
    torch.save(model.state_dict(), out)


def fit(model: nn.Module, batches: Callable[[], Any], epochs: int) -> None:
    """Train with the demo's optimiser at a quarter of its highest rate, falling to nothing."""
    optimiser = torch.optim.AdamW(
        model.parameters(), lr=LEARNING_RATE / 4, weight_decay=WEIGHT_DECAY
    )
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, epochs * len(batches()))
    model.train()
    for epoch in range(1, epochs + 1):
        losses = []
        for x, y in batches():
            loss = nn.functional.cross_entropy(model(x), y)
            optimiser.zero_grad()
            torch.autograd.backward(loss)
            optimiser.step()
            schedule.step()
            losses.append(loss.item())
        print(f"epoch {epoch} of {epochs}: loss {np.mean(losses):.3f}", flush=True)


def audited(checkpoint: Path, demo: DemoResult, out: Path, options: argparse.Namespace) -> None:
    """Audit a model on the test images, unless that was done."""
    if (out / "findings.json").exists():
        return
    melaudit.audit(
        checkpoint,
        demo.data.test,
        progress=False,
        out=out,
        classes=CLASSES,
        positive=CLASSES[1],
        domain=FIELD,
        image_size=_image_size(demo),
        corruption_images=0,
        edits=options.edits,
        limit=options.limit,
    )


def difference(before: Path, after: Path) -> str:
    """Return what `melaudit diff` says."""
    first, second = (read_findings(folder) for folder in (before, after))
    return comparison_text(compare(first, second, paired_answers(first, second, (before, after))))


def table(checkpoints: dict[str, Path], demo: DemoResult, seed: int) -> str:
    """Return the table in Markdown."""
    pictures = tested(demo, seed)
    groups = [f"{label}, {ring}" for label in CLASSES for ring in ("no ring", "ring")]
    columns = [
        "trained on",
        *(f"{label}, predicted malignant: as it is, with a ring drawn" for label in CLASSES),
        "right",
        *groups,
    ]
    lines = [f"| {' | '.join(columns)} |", f"| --- |{' ---: |' * (len(columns) - 1)}"]
    return "\n".join([*lines, *(_row(way, path, pictures) for way, path in checkpoints.items())])


def tested(demo: DemoResult, seed: int) -> pd.DataFrame:
    """Return the test images: class, whether a ring was planted, the input, and one with a ring."""
    truth = pd.read_csv(demo.data.truth)
    truth = truth[truth["file"].str.startswith("test/")].reset_index(drop=True)
    preprocessing = resolve(None, image_size=_image_size(demo))
    rows = []
    for number, file in enumerate(truth["file"]):
        with Image.open(demo.data.truth.parent / file) as image:
            pixels = np.asarray(image)
        ringed = ring(pixels, np.random.default_rng((seed, number)))
        rows.append((preprocessing.apply(pixels), preprocessing.apply(ringed)))
    inputs = pd.DataFrame(rows, columns=["plain", "with_ring"])
    return pd.concat([truth[["class", "ring"]], inputs], axis=1)


def _row(way: str, checkpoint: Path, pictures: pd.DataFrame) -> str:
    model = resnet18(num_classes=len(CLASSES))
    model.load_state_dict(torch.load(checkpoint, weights_only=True))
    model.eval()
    with torch.inference_mode():
        plain, with_ring = (
            model(torch.stack(list(pictures[name]))).argmax(1).numpy()
            for name in ("plain", "with_ring")
        )
    label = pictures["class"].map(CLASSES.index).to_numpy()
    planted = pictures["ring"].to_numpy(bool)
    cells = [way]
    for k in range(len(CLASSES)):
        bare = (label == k) & ~planted
        cells.append(f"{plain[bare].sum()}, {with_ring[bare].sum()} of {bare.sum()}")
    groups = [(label == k) & (planted == shown) for k in (0, 1) for shown in (False, True)]
    right = plain == label
    cells += [f"{right[of].sum()} of {of.sum()}" for of in (np.ones_like(right), *groups)]
    return f"| {' | '.join(cells)} |"


def _image_size(demo: DemoResult) -> int:
    made = json.loads((demo.settings.parent / MARKER_NAME).read_text(encoding="utf-8"))
    return int(made["recipe"]["image_size"])


def _options(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.next_training",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--folder", type=Path, default=Path("out/next_training"))
    parser.add_argument("--seed", type=int, default=0, help="of the demo and of the training")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    parser.add_argument("--audit", nargs="*", choices=WAYS, default=["both"])
    parser.add_argument("--edits", type=int, default=40, help="of an audit, each class (40)")
    parser.add_argument("--limit", type=int, help="images of an audit (default: all)")
    parser.add_argument("--workers", type=int, default=2, help="of the loader (default 2)")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
