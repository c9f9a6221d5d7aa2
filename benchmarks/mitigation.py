"""How far does a mitigation reduce the use of a planted shortcut, and what does it cost?

For every artifact and seed a small model is trained on drawn images, of which half of the malignant
ones show the artifact and no benign one does (`benchmarks.planted`). What the model does with it is
then mitigated by several methods on one half of the test images, and measured on the other half.
The artifact that is *put in to fit on* is the audit's; what is drawn on images *for the proof* is
the plant, which shares no code with it. Models that do not use their plant are counted and left
out. Columns, each before and after:

    flips      of 1,000 images without the plant, how many more are called malignant once it is
               drawn on them
    worst      share right in the worst of four groups: class, without and with the plant drawn
    clean      accuracy on images without the plant
    seconds    to fit, once the features are there

Methods: `last_layer` as `melaudit mitigate` does it; `no_old` the same without the old logits as
features; `dfr` balanced last-layer retraining as published, with the groups that there are and no
edited pictures; `plain` fine-tuning of the head on the same images, unbalanced; `suppress`,
`project`; `placebo` as `last_layer`, with the artifact's labels shuffled.

The method was worked out on the demo and two models of photographs; seeds from 100 on were looked
at only once, for the table in docs/mitigation.md. Rows are kept and not computed twice. Run it as
`python -m benchmarks.mitigation --help`.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.planted import PLANTS, Case, Made, load, make, one_thread
from benchmarks.planted import cases as planted_cases
from melaudit.artifacts.interface import Artifact
from melaudit.artifacts.registry import artifacts
from melaudit.audit.edits.laboratory import Laboratory
from melaudit.audit.viewer import Viewer
from melaudit.demo.dataset import CLASSES
from melaudit.images.dataset import Dataset, open_dataset
from melaudit.images.preprocessing import resolve
from melaudit.mitigation import fit
from melaudit.mitigation.filling import Filled, Known, gathered
from melaudit.mitigation.groups import Pool, halves
from melaudit.mitigation.head import Head, find_head
from melaudit.mitigation.mitigate import as_classes, with_classes
from melaudit.mitigation.views import View, eyes
from melaudit.observer import Silent
from melaudit.relevance import Explainer
from melaudit.statistics.estimates import mean

USED = 0.2
"""Change of the share called malignant from which a model uses its plant, as in `detection`."""
METHODS: dict[str, Callable[[Filled, fit.Linear, int], fit.Linear]] = {
    "last_layer": lambda f, old, seed: fit.refitted(f.pool, old, seed),
    "no_old": lambda f, old, seed: fit.refitted(f.pool, old, seed, keep_old=False),
    "dfr": lambda f, old, seed: fit.refitted(_natural(f.pool), old, seed, keep_old=False),
    "plain": lambda f, old, seed: fit.plain(_natural(f.pool), old, seed),
    "suppress": lambda f, old, seed: fit.suppressed(f.pool, old, len(CLASSES)),
    "project": lambda f, old, seed: fit.projected(f.pool, old, len(CLASSES)),
    "placebo": lambda f, old, seed: fit.refitted(f.placebo, old, seed),
}
"""Name -> what makes a new head of the pictures to fit on, the old one and a seed."""


@dataclass(frozen=True)
class Figures:
    """What one head does on the half for the proof."""

    flips: float
    worst: float
    clean: float
    seconds: float = 0.0


@dataclass(frozen=True)
class Row:
    """One model, and what each method made of it; {} where it does not use its plant."""

    name: str
    artifact: str
    seed: int
    use: float
    before: Figures | None
    after: dict[str, Figures]


def main() -> None:
    """Make what is missing, and print the table."""
    options = _options()
    options.folder.mkdir(parents=True, exist_ok=True)
    every = list(planted_cases(options.seeds, options.artifacts, [options.contamination], 0))
    if options.so_far:
        every = [case for case in every if _kept(options.folder, case).exists()]
    tasks = [(case, options) for case in every]
    with multiprocessing.get_context("spawn").Pool(options.jobs, one_thread) as pool:
        rows = []
        for row in pool.imap(examined, tasks):
            rows.append(row)
            print(line(row), flush=True)
    print()
    for text in summary(rows):
        print(text)


def examined(task: tuple[Case, argparse.Namespace]) -> Row:
    """Mitigate one model by every method; what is kept of it is read."""
    case, options = task
    kept = _kept(options.folder, case)
    if kept.exists():
        known = json.loads(kept.read_text())
        before = known["before"] and Figures(**known["before"])
        after = {name: Figures(**figures) for name, figures in known["after"].items()}
        return Row(**{**known, "before": before, "after": after})
    made = make(case, options.folder, options.train, options.test, options.side, options.epochs)
    before, after = None, {}
    if made.use >= USED:
        before, after = _mitigated(case, made, options)
    row = Row(case.name, case.artifact, case.seed, made.use, before, after)
    kept.write_text(json.dumps(asdict(row)))
    return row


def _mitigated(
    case: Case, made: Made, options: argparse.Namespace
) -> tuple[Figures, dict[str, Figures]]:
    model = load(case, made.checkpoint)
    dataset = open_dataset(made.test, classes=CLASSES)
    artifact = next(a for a in artifacts() if a.id == case.artifact)
    preprocessing = resolve(None, image_size=options.side)
    viewer = Viewer(Explainer(model), preprocessing, torch.device("cpu"), "", 32)
    laboratory = Laboratory(viewer, dataset, dataset.ids)
    present = _found(artifact, laboratory, dataset)
    units = np.arange(len(dataset))
    parts = halves(dataset.labels, present, units.astype(object), np.empty(0, np.int64), case.seed)
    x = viewer.inputs(picture for _, picture in laboratory.pictures(range(4)))
    head = find_head(model, x, len(CLASSES))
    known = Known(dataset.labels, present, units, CLASSES, artifact.phrases, case.seed)
    with eyes(laboratory, head, Silent()) as look:
        natural = look.natural(parts.fit)
        filled = gathered(look, artifact, natural, known)
        proof = look.natural(parts.proof)
        shows = made.planted[proof.rows]  # the truth, not what the finder says
        bare = proof.of(proof.rows[~shows])
        drawn = _drawn(case, laboratory, bare, viewer, look.look)
    old, after = as_classes(head), {}
    before = _figures(head, bare, drawn, dataset)
    for name, method in METHODS.items():
        started = time.perf_counter()
        new = with_classes(head, method(filled, old, case.seed))
        seconds = time.perf_counter() - started
        after[name] = _figures(new, bare, drawn, dataset, seconds)
    return before, after


def _found(artifact: Artifact, laboratory: Laboratory, dataset: Dataset) -> NDArray[np.bool_]:
    pictures = laboratory.pictures(range(len(dataset)))
    return np.array([artifact.find(picture).present for _, picture in pictures], bool)


def _drawn(
    case: Case,
    laboratory: Laboratory,
    bare: View,
    viewer: Viewer,
    look: Callable[[torch.Tensor], NDArray[np.float32]],
) -> View:
    """Draw the plant, by code that the audit does not know, on images that lack it."""
    rng = np.random.default_rng([case.seed, 7])
    features = [
        look(viewer.inputs(PLANTS[case.artifact](picture, rng) for _, picture in batch))
        for batch in viewer.batches(laboratory.pictures(bare.rows))
    ]
    return View(np.concatenate(features), bare.rows)


def _figures(
    head: Head, bare: View, drawn: View, dataset: Dataset, seconds: float = 0.0
) -> Figures:
    labels = dataset.labels[bare.rows]
    said, with_it = (head.logits(view.features).argmax(1) for view in (bare, drawn))
    groups = [
        float((answer[labels == label] == label).mean())
        for answer in (said, with_it)
        for label in range(len(CLASSES))
    ]
    flips = 1000 * float((with_it == 1).mean() - (said == 1).mean())
    return Figures(flips, min(groups), float((said == labels).mean()), seconds)


def _natural(pool: Pool) -> Pool:
    """Return what is no edited picture, without a group of fewer than two."""
    natural = pool.take(~pool.edited)
    names, sizes = np.unique(natural.groups, return_counts=True)
    return natural.take(np.isin(natural.groups, names[sizes >= 2]))


def line(row: Row) -> str:
    """Return one model in a line."""
    if row.before is None:
        return f"{row.name:34} use {row.use:.2f}: does not use its plant"
    each = "  ".join(f"{n} {f.flips:4.0f}" for n, f in row.after.items())
    return f"{row.name:34} use {row.use:.2f}  flips {row.before.flips:4.0f}: {each}"


def summary(rows: Iterable[Row]) -> list[str]:
    """Return the table of methods over all models that use their plant."""
    every = list(rows)
    used = [(r.before, r.after) for r in every if r.before is not None]
    lines = [f"{len(used)} of {len(every)} models use their plant"]
    if not used:
        return lines
    lines.append(
        "method      flips before, after    fall of flips [95 %]     halved  worst group gain  "
        "clean, points [95 %]   seconds"
    )
    for name in METHODS:
        pairs = [(before, after[name]) for before, after in used]
        fall = mean([b.flips - a.flips for b, a in pairs], 0)
        worst = mean([100 * (a.worst - b.worst) for b, a in pairs], 0)
        clean = mean([100 * (a.clean - b.clean) for b, a in pairs], 0)
        halved = sum(a.flips <= b.flips / 2 for b, a in pairs)
        first, second = (np.mean([p[k].flips for p in pairs]) for k in (0, 1))
        seconds = float(np.median([a.seconds for _, a in pairs]))
        lines.append(
            f"{name:11} {first:6.0f} {second:6.0f}    {fall.value:6.0f} [{fall.low:4.0f} to "
            f"{fall.high:4.0f}]   {halved:3d}/{len(pairs):<3d}  {worst.value:+5.1f} "
            f"[{worst.low:+.1f} to {worst.high:+.1f}]  {clean.value:+5.1f} "
            f"[{clean.low:+.1f} to {clean.high:+.1f}]  {seconds:5.1f}"
        )
    return lines


def _kept(folder: Path, case: Case) -> Path:
    return folder / f"{case.name}.mitigation.json"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.mitigation",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--folder", type=Path, default=Path("out/mitigation"))
    parser.add_argument(
        "--artifacts",
        nargs="+",
        choices=sorted(PLANTS),
        default=["dark_ring", "colour_patch", "ink"],
    )
    parser.add_argument("--seeds", nargs="+", type=int, default=list(range(100, 110)))
    parser.add_argument("--contamination", type=float, default=0.5)
    parser.add_argument("--train", type=int, default=480, help="images to train on")
    parser.add_argument("--test", type=int, default=400, help="to fit on and prove by, half each")
    parser.add_argument("--side", type=int, default=64, help="of the model's input, in pixels")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--so-far", action="store_true", help="only what is kept already")
    return parser.parse_args()


if __name__ == "__main__":
    main()
