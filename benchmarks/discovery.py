"""Does an audit find a planted shortcut when nothing is known of its artifact?

Works on the models that `benchmarks.detection` or `benchmarks.planted` made and on more images
drawn as their test images were, with no detector at all and no artifact named: only what the pass
keeps of every image (how it was decided, and the visual words that it shows) is grouped, and the
channels that mark a group are suppressed. Models that do not use their plant have nothing to be
found and are left out; clean ones stay. Columns, for each model, about the images that it calls
malignant:

    shown      how many of them show the plant
    cluster    purity and recall of the cluster that holds the planted group best; where none names
               it and the images of the finding on groups do, of those; else of the best usual
               strategy (prototype)
    rank       the cluster's place by suspicion, 1 being the first that a reader sees; f: the
               finding, p: a prototype
    finding    rung of the finding on groups of this class
    spray      CoRelAy's spectral clusters of the maps, the number by the widest gap
    pcx        Gaussian mixtures of concept relevance (PCX, Dreyer et al. 2024), the number by BIC
    told       a linear probe of the concept vectors that is told which images show the plant, tried
               on others (5 folds), at the best of all cuts: what these vectors hold at all
    domino     25 slices by a mixture over concept relevance, label and prediction (in the manner of
               Domino, Eyuboglu et al. 2022), the slice that holds the group best

A group is named when purity is .8 and recall .6 at least. For pcx and domino any component will do,
and for spray any cluster, as for clusters and prototypes here; `best` lets the number of components
or clusters be picked from 2 to 8 with the truth in hand. Chance: clusters of the same sizes dealt
out at random.

Run it as `python -m benchmarks.discovery --folder FOLDER`. Needs the extra `bench`.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from benchmarks.detection import USED
from benchmarks.planted import Case, load, one_thread, plantings, truth
from benchmarks.rivals import PURE, WHOLE, domino, pcx, spray, told
from melaudit.audit.conclude.conclusions import worded
from melaudit.audit.edits.laboratory import Laboratory
from melaudit.audit.groups.embedding import fit
from melaudit.audit.groups.grouping import group
from melaudit.audit.groups.mixture import mixture
from melaudit.audit.measure.learn_words import sight
from melaudit.audit.measure.measurer import CheckSample, Measurer
from melaudit.audit.measure.store import Store
from melaudit.audit.measure.sweep import sweep
from melaudit.audit.measure.visual_words import Sight
from melaudit.audit.viewer import Viewer
from melaudit.demo.dataset import CLASSES, write
from melaudit.domains.dermoscopy import DERMOSCOPY
from melaudit.findings import Finding, Rung, Trust
from melaudit.images.dataset import open_dataset
from melaudit.images.preprocessing import resolve
from melaudit.measurements import Measurements
from melaudit.observer import Silent
from melaudit.relevance import Explainer
from melaudit.statistics.estimates import proportion

Labels = NDArray[np.int64]
Mask = NDArray[np.bool_]
MALIGNANT = CLASSES.index("malignant")
SHIFT = 10_000
"""Between the seeds of the test images and of these."""


@dataclass(frozen=True)
class Row:
    """What was seen of one model."""

    artifact: str
    contamination: float
    seed: int
    family: str
    use: float
    shown: int
    clusters: int
    purity: float
    recall: float
    place: str
    """Of the cluster, from 1; f for the finding, p for a prototype, - for nothing."""
    prototypes: int
    rung: str
    chance: bool
    spray: bool
    spray_best: bool
    pcx: bool
    pcx_best: bool
    domino: bool
    told: bool

    @property
    def named(self) -> bool:
        """Whether some cluster is the planted group."""
        return self.purity >= PURE and self.recall >= WHOLE


def main() -> None:
    """Group what the stored audits kept, and print the tables."""
    options = _options()
    rows = []
    tasks = [(marker, options) for marker in sorted(options.folder.glob("*/made.json"))]
    with multiprocessing.get_context("spawn").Pool(options.jobs, one_thread) as pool:
        for row in pool.imap(_kept, tasks):
            if row is not None:
                rows.append(row)
                print(_line(row), flush=True)
    print()
    for line in summary(rows):
        print(line)


def _kept(task: tuple[Path, argparse.Namespace]) -> Row | None:
    """Return what was seen of a model, now or before; None for one that does not use its plant."""
    marker, options = task
    made = json.loads(marker.read_text())
    if made["artifact"] != "none" and made["use"] < USED:
        return None
    kept = marker.parent / "discovery.json"
    if kept.exists() and not options.anew:
        known = json.loads(kept.read_text())
        if set(known) == {f.name for f in fields(Row)}:  # else an older benchmark kept it
            return Row(**known)
    row = examined(marker.parent, made, options.images)
    kept.write_text(json.dumps(asdict(row)))
    return row


def examined(place: Path, made: dict[str, Any], images: int) -> Row:
    """Group images by what one model makes of them, and let others group them."""
    case = Case(*(made[k] for k in ("artifact", "contamination", "seed", "family")))
    data = place / f"more-{images}"
    if not (data / "test").exists():
        write(data, {"train": 2, "test": images}, plantings(case), seed=case.seed + SHIFT)
    ids, planted = truth(case, data)
    table, laboratory, words = measured(case, place / "ckpt.pt", data, ids, made["sizes"]["side"])
    groups = group(table, {}, laboratory, words)
    results, _ = worded(groups.claims)
    rungs = [r.rung for r in results if isinstance(r, Finding)]
    rows = np.flatnonzero(table.predictions == MALIGNANT)
    target = planted[rows]
    row_of = {identity: k for k, identity in enumerate(table.ids)}
    masks = [_mask(cluster.images, row_of, rows) for cluster in groups.clusters]
    place_of, purity, recall = _best(masks, target)
    usual = _usual(table, rows)
    found = [_mask(r.images, row_of, rows) for r in results if isinstance(r, Finding)]
    rank = str(place_of + 1) if place_of >= 0 else "-"
    for kind, more in (("f", found), ("p", usual)):
        if not _names(masks, target) and _names(more, target):
            rank, (_, purity, recall) = kind, _best(more, target)
            break
    rng = np.random.default_rng(case.seed)
    maps = table["relevance.positive"].astype(np.float32) - table["relevance.negative"]
    concepts = table["relevance.concepts"].astype(np.float64)
    by_maps = spray(maps[rows], target, case.seed)
    mixtures = pcx(concepts[rows], case.seed)
    slices = domino(concepts, table.labels, table.logits, case.seed)
    return Row(
        **asdict(case),
        use=made["use"],
        shown=int(target.sum()),
        clusters=len(masks),
        purity=purity,
        recall=recall,
        place=rank,
        prototypes=len(usual),
        rung=max(rungs, key=lambda r: r.rank).value if rungs else "none",
        chance=_names([rng.permutation(mask) for mask in masks], target),
        spray=by_maps.isolated,
        spray_best=by_maps.best,
        pcx=_names(_masks(mixtures[0]), target),
        pcx_best=any(_names(_masks(labels), target) for labels in mixtures),
        domino=_names(_masks(slices[rows]), target),
        told=told(concepts[rows], target),
    )


def measured(
    case: Case, checkpoint: Path, data: Path, ids: tuple[str, ...], side: int
) -> tuple[Measurements, Laboratory, Sight]:
    """Pass over the images with no detector, and keep the model to ask again."""
    dataset = open_dataset(data / "test")
    explainer = Explainer(load(case, checkpoint), num_classes=len(CLASSES))
    preprocessing = resolve(None, image_size=side)
    first = preprocessing.apply(np.asarray(Image.open(dataset.paths[0])))[None]
    layer = explainer.choose_layer(first)
    viewer = Viewer(explainer, preprocessing, torch.device("cpu"), layer, batch_size=32)
    store = Store(data / "shards", "discovery, words", dataset.ids)
    words = sight(viewer, dataset, store.folder, 0, Silent())
    nothing = CheckSample(np.zeros(len(ids), bool))
    sweep([(Measurer(viewer, dataset, (), nothing, words), store)], Silent())
    table = Measurements(
        ids=ids,
        labels=np.array([CLASSES.index(i.split("/")[0]) for i in ids], np.int64),
        predictions=store.column("prediction"),
        targets=store.column("target"),
        logits=store.column("logits"),
        classes=CLASSES,
        positive=MALIGNANT,
        columns=store.column,
        layer=layer,
        explanations=Trust.TRUSTED,
        seed=0,
    )
    assert dataset.ids == ids
    return table, Laboratory(viewer, dataset, ids, domain=DERMOSCOPY), words


def _mask(images: Iterable[str], row_of: dict[str, int], rows: Labels) -> Mask:
    """Return which of the rows (n,) are among the images."""
    mask = np.zeros(len(row_of), bool)
    mask[[row_of[i] for i in images]] = True
    found: Mask = mask[rows]
    return found


def _usual(table: Measurements, rows: Labels) -> list[Mask]:
    """Return the usual strategies of the class, as the prototypes of a report are made."""
    concepts = table["relevance.concepts"][rows]
    projection = fit(concepts, table.seed)
    if projection is None:
        return []
    return _masks(mixture(projection.apply(concepts), table.seed).component)


def _masks(labels: Labels) -> list[Mask]:
    return [labels == label for label in np.unique(labels)]


def _names(masks: Iterable[Mask], target: Mask) -> bool:
    _, purity, recall = _best(list(masks), target)
    return purity >= PURE and recall >= WHOLE


def _best(masks: Sequence[Mask], target: Mask) -> tuple[int, float, float]:
    """Return place, purity and recall of the mask that holds the target best, by F1."""
    found = [
        (float(target[m].mean()) if m.any() else 0.0, float((m & target).sum() / target.sum()))
        for m in masks
        if target.any()
    ]
    if not found:
        return -1, 0.0, 0.0
    place = max(range(len(found)), key=lambda k: 2 * np.prod(found[k]) / (sum(found[k]) or 1))
    return place, *found[place]


def _line(row: Row) -> str:
    mark = {True: "yes", False: "-"}
    return (
        f"{row.artifact:13}{row.contamination:>5.0%} {row.family:15}{row.seed:>4}"
        f"{100 * row.use:>5.0f}{row.shown:>6}{row.purity:>7.2f}{row.recall:>6.2f}"
        f"{row.place:>5} of {row.clusters}  {row.rung:>11}{mark[row.spray]:>7}"
        f"{mark[row.spray_best]:>5}{mark[row.pcx]:>7}{mark[row.pcx_best]:>5}{mark[row.domino]:>8}"
        f"{mark[row.told]:>6}"
    )


def summary(rows: Sequence[Row]) -> list[str]:
    """Return the rates with Wilson's intervals."""
    used = [r for r in rows if r.artifact != "none" and r.shown >= 10]
    clean = [r for r in rows if r.artifact == "none"]
    head = (
        "named",
        "named first",
        "use claimed",
        "chance",
        "SpRAy",
        "best k",
        "PCX",
        "best k",
        "Domino-like",
        "told",
    )
    lines = [f"{'of models that use it':24}" + "".join(f"{h:>18}" for h in head)]
    groups = {
        ">= 20 %": [r for r in used if r.contamination >= 0.2],
        "20 to below 80 %": [r for r in used if 0.2 <= r.contamination < 0.8],
    }
    groups |= {
        f"{share:.0%}": [r for r in used if r.contamination == share]
        for share in sorted({r.contamination for r in used})
    }
    groups |= {
        f"{name}, >= 20 %": [r for r in used if r.artifact == name and r.contamination >= 0.2]
        for name in sorted({r.artifact for r in used})
    }
    for name, some in groups.items():
        if not some:
            continue
        hits = (
            [r.named for r in some],
            [r.named and r.place in ("1", "f") for r in some],
            [_above(r) for r in some],
            [r.chance for r in some],
            [r.spray for r in some],
            [r.spray_best for r in some],
            [r.pcx for r in some],
            [r.pcx_best for r in some],
            [r.domino for r in some],
            [r.told for r in some],
        )
        lines.append(f"{name:24}" + "".join(f"{_rate(h):>18}" for h in hits))
    above = [_above(r) for r in clean]
    if clean:
        lines += ["", f"clean models with a finding above attention: {_rate(above)}"]
    return lines


def _above(row: Row) -> bool:
    return row.rung != "none" and Rung(row.rung).rank > Rung.ATTENTION.rank


def _rate(hits: Sequence[bool]) -> str:
    share = proportion(sum(hits), len(hits))
    return f"{sum(hits)}/{len(hits)} [{share.low:.2f} {share.high:.2f}]"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.discovery",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--folder", type=Path, default=Path("out/detection"))
    parser.add_argument("--images", type=int, default=800, help="to draw for each model")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--anew", action="store_true", help="compute what is kept once more")
    return parser.parse_args()


if __name__ == "__main__":
    main()
