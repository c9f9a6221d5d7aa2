"""Does an audit find the shortcut that was planted, and nothing where none was?

For every artifact, share of the malignant images that show it, and seed: draw data, train a small
model of one of several families, and audit it as a user would, through `melaudit.audit`. Beside it,
on the same model and images, what others' tools say. Columns:

    use        how many more of 100 benign images the model calls malignant once its own plant is
               drawn on them: whether there is anything to be found
    found      findings about the planted artifact that reach `dependence`
    severe     those of severity high or critical
    alarms     findings about anything else that reach `dependence`
    p@25       share of the first 25 images of the finding that do show the plant; recall: share of
               the planted images among all images of the finding
    spray      CoRelAy's spectral clusters of the malignant maps hold the planted group in one
               (purity .8, recall .6), their number by the widest gap; then by the best of 2 to 8
    cleanlab   image properties that cleanlab calls spurious for the labels
    border     a fixed rule, 40 % of the relevance in the border of 5 % of the images, alarms

A model uses its plant from a change of `USED` on. The rows are kept and not computed twice.
`--controls` audits untrained models, and shuffles labels, instead.

Run it as `python -m benchmarks.detection --help`. Needs the extra `bench`.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import multiprocessing
import os
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

import melaudit
from benchmarks.planted import FAMILIES, PLANTS, Case, Made, load, make, plantings
from benchmarks.planted import cases as planted_cases
from benchmarks.rivals import border_alarm, cleanlab_flags, spray
from melaudit.audit.measure.store import Store
from melaudit.demo.dataset import CLASSES, write
from melaudit.errors import StoreError
from melaudit.findings import Findings, Rung, Severity
from melaudit.statistics.estimates import proportion

USED = 0.2
"""Change of the share called malignant from which a model is said to use its plant."""
TOP = 25


@dataclass(frozen=True)
class Row:
    """What was seen of one model."""

    artifact: str
    contamination: float
    seed: int
    family: str
    accuracy: float
    use: float
    found: bool
    rung: str
    severe: bool
    alarms: tuple[str, ...]
    severe_alarms: tuple[str, ...]
    precision: float | None
    recall: float | None
    prevalence: float
    seconds: float
    spray: bool
    spray_best: bool
    cleanlab: tuple[str, ...]
    border: bool


def main() -> None:
    """Make what is missing, and print the tables."""
    options = _options()
    options.folder.mkdir(parents=True, exist_ok=True)
    if options.controls:
        _controls(options)
        return
    cases = list(
        planted_cases(
            range(options.seeds), options.artifacts, options.contaminations, options.clean
        )
    )
    if options.so_far:
        cases = [c for c in cases if (options.folder / f"{c.name}.json").exists()]
    with multiprocessing.get_context("spawn").Pool(options.jobs, _few_threads) as pool:
        for row in pool.imap(_examined, [(case, options) for case in cases]):
            print(_line(row), flush=True)
    rows = [_examined((case, options)) for case in cases]
    print()
    for line in summary(rows):
        print(line)


def _examined(task: tuple[Case, argparse.Namespace]) -> Row:
    case, options = task
    kept = options.folder / f"{case.name}.json"
    if kept.exists():
        known = json.loads(kept.read_text())
        values: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in known.items()
        }
        return Row(**values)
    made = make(case, options.folder, options.train, options.test, options.side, options.epochs)
    started = time.perf_counter()
    findings = audited(case, made, options)
    seconds = time.perf_counter() - started
    row = _judged(case, made, findings, seconds, options)
    kept.write_text(json.dumps(asdict(row)))
    return row


def audited(case: Case, made: Made, options: argparse.Namespace) -> Findings:
    """Audit a made case as a user would."""
    out = made.checkpoint.parent / "audit"
    return melaudit.audit(
        load(case, made.checkpoint),
        made.test,
        progress=False,
        out=out,
        image_size=options.side,
        positive="malignant",
        domain="dermoscopy",
        check_images=2,
        edits=options.edits,
    )


def _judged(
    case: Case, made: Made, findings: Findings, seconds: float, options: argparse.Namespace
) -> Row:
    deep = [f for f in findings.findings if f.rung.rank >= Rung.DEPENDENCE.rank]
    own = next((f for f in findings.findings if f.artifact == case.artifact), None)
    reached = own is not None and own in deep
    others = [f for f in deep if f is not own]
    truth = dict(zip(made.ids, made.planted, strict=True))
    precision = recall = None
    if own is not None and made.planted.any():
        precision = float(np.mean([truth[i] for i in own.images[:TOP]]))
        recall = sum(truth[i] for i in own.images) / int(made.planted.sum())
    maps, predictions, labels = _stored(made)
    malignant = predictions == 1
    clusters = spray(maps[malignant], made.planted[malignant], case.seed)
    return Row(
        **asdict(case),
        accuracy=made.accuracy,
        use=made.use,
        found=reached,
        rung=own.rung.value if own else "none",
        severe=own is not None and own.severity.rank >= Severity.HIGH.rank,
        alarms=tuple(f.id for f in others),
        severe_alarms=tuple(f.id for f in others if f.severity.rank >= Severity.HIGH.rank),
        precision=precision,
        recall=recall,
        prevalence=float(made.planted.mean()),
        seconds=seconds,
        spray=clusters.isolated,
        spray_best=clusters.best,
        cleanlab=cleanlab_flags(made.test, labels),
        border=border_alarm(np.abs(maps)),
    )


def _stored(made: Made) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.int64]]:
    """Return signed maps (n, h, w), predictions and labels (n,) of an audit, in the ids' order."""
    out = made.checkpoint.parent / "audit"
    manifest = json.loads((out / "manifest.json").read_text())
    store = Store(out / manifest["shards"], manifest["run"], made.ids)
    maps = store.column("relevance.positive").astype(np.float32)
    maps = maps - store.column("relevance.negative")
    labels = np.array([i.startswith("malignant") for i in made.ids], np.int64)
    return maps, store.column("prediction"), labels


def _line(row: Row) -> str:
    mark = {True: "yes", False: "-"}
    return (
        f"{row.artifact:13}{row.contamination:>5.0%} {row.family:15}{row.seed:>4}"
        f"{row.accuracy:>7.2f}{100 * row.use:>6.0f}{mark[row.found]:>6}{row.rung:>13}"
        f"{mark[row.severe]:>7}{row.precision if row.precision is not None else float('nan'):>6.2f}"
        f"{row.recall if row.recall is not None else float('nan'):>6.2f}{row.seconds:>6.0f}"
        f"{mark[row.spray]:>6}{mark[row.spray_best]:>6}{mark[row.border]:>7}  "
        f"{','.join(row.cleanlab) or '-'}  {','.join(row.alarms) or '-'}"
    )


def summary(rows: Sequence[Row]) -> list[str]:
    """Return the tables: rates with Wilson's intervals, by artifact and by contamination."""
    used = [r for r in rows if r.use >= USED]
    clean = [r for r in rows if r.artifact == "none"]
    lines = [
        f"models that use their plant (a change of {USED:.0%} or more): {len(used)} of "
        f"{len([r for r in rows if r.artifact != 'none'])}",
        "",
        f"{'of those that use it':24}{'melaudit':>22}{'SpRAy':>18}{'SpRAy, best k':>18}"
        f"{'cleanlab':>18}{'fixed border':>18}",
    ]
    groups = {"all": used, ">= 20 %": [r for r in used if r.contamination >= 0.2]}
    groups |= {
        f"{share:.0%}": [r for r in used if r.contamination == share] for share in _shares(rows)
    }
    groups |= {name: [r for r in used if r.artifact == name] for name in PLANTS}
    for name, some in groups.items():
        if some:
            lines.append(
                f"{name:24}"
                + f"{_rate([r.found for r in some]):>22}"
                + "".join(
                    f"{_rate([bool(v) for v in column]):>18}"
                    for column in (
                        [r.spray for r in some],
                        [r.spray_best for r in some],
                        [r.cleanlab for r in some],
                        [r.border for r in some],
                    )
                )
            )
    lines += ["", "least contamination found, by artifact:"]
    for name in PLANTS:
        found = [r.contamination for r in rows if r.artifact == name and r.found]
        lines.append(f"  {name:14}{f'{min(found):.0%}' if found else 'none':>6}")
    ranked = [r for r in used if r.found and r.precision is not None]
    if ranked:
        lines += [
            "",
            f"images ranked, {len(ranked)} findings: precision@{TOP} "
            f"{np.mean([r.precision or 0 for r in ranked]):.2f} (chance "
            f"{np.mean([r.prevalence for r in ranked]):.2f}), recall "
            f"{np.mean([r.recall or 0 for r in ranked]):.2f}",
        ]
    if clean:
        lines += [
            "",
            f"clean models, {len(clean)}: a finding of dependence or more "
            f"{_rate([bool(r.alarms) for r in clean])}, of severity high "
            f"{_rate([bool(r.severe_alarms) for r in clean])}, SpRAy n/a, cleanlab "
            f"{_rate([bool(r.cleanlab) for r in clean])}, fixed border "
            f"{_rate([r.border for r in clean])}",
        ]
    lines += ["", f"an audit takes {np.median([r.seconds for r in rows]):.0f} s (median)"]
    return lines


def _shares(rows: Sequence[Row]) -> list[float]:
    return sorted({r.contamination for r in rows if r.artifact != "none"})


def _rate(hits: Sequence[bool]) -> str:
    share = proportion(sum(hits), len(hits))
    return f"{sum(hits)}/{len(hits)} [{share.low:.2f} {share.high:.2f}]"


def _controls(options: argparse.Namespace) -> None:
    """Audit untrained models, one per seed: nothing may rise above `opportunity`."""
    tasks = [(seed, options) for seed in range(options.seeds)]
    above: list[tuple[int, str, str]] = []
    with multiprocessing.get_context("spawn").Pool(options.jobs, _few_threads) as pool:
        for seed, found in enumerate(pool.imap(_untrained, tasks)):
            print(
                f"seed {seed:2}: {', '.join(f'{i} ({r})' for i, r in found) or 'nothing'}",
                flush=True,
            )
            above += [(seed, i, r) for i, r in found if r != Rung.OPPORTUNITY.value]
    clean = options.seeds - len({seed for seed, _, _ in above})
    print(f"nothing above opportunity in {clean} of {options.seeds} seeds")


def _untrained(task: tuple[int, argparse.Namespace]) -> list[tuple[str, str]]:
    """Audit a model that was never trained, its labels dealt out at random over rings and all."""
    seed, options = task
    torch.manual_seed(seed)
    family = list(FAMILIES)[seed % len(FAMILIES)]
    model = FAMILIES[family](num_classes=2).eval()
    data = _shuffled(seed, options)
    findings = melaudit.audit(
        model,
        data,
        progress=False,
        out=data.parent / "audit",
        image_size=options.side,
        positive="malignant",
        domain="dermoscopy",
        check_images=2,
        edits=options.edits,
    )
    return [(f.id, f.rung.value) for f in findings.findings]


def _shuffled(seed: int, options: argparse.Namespace) -> Path:
    """Draw a test set with rings on half of one class, and deal its images to new classes."""
    case = Case("dark_ring", 0.5, seed, "shuffled")
    place: Path = options.folder / case.name
    data = place / "dealt"
    if not data.exists():
        write(place, {"train": 2, "test": options.test}, plantings(case), seed=seed)
        files = sorted((place / "test").rglob("*.jpg"))
        order = np.random.default_rng(seed).permutation(len(files))
        for name in CLASSES:
            (data / name).mkdir(parents=True)
        for k, i in enumerate(order):
            files[i].rename(data / CLASSES[k % 2] / f"{k:05}.jpg")
    return data


def _few_threads() -> None:
    torch.set_num_threads(1)
    os.nice(10)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.detection",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--folder", type=Path, default=Path("out/detection"), help="what is kept")
    parser.add_argument("--artifacts", nargs="+", default=list(PLANTS), choices=list(PLANTS))
    parser.add_argument(
        "--contaminations", nargs="+", type=float, default=[0.0, 0.05, 0.2, 0.5, 0.8]
    )
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--clean", type=int, default=7, help="clean models for each seed")
    parser.add_argument("--train", type=int, default=600, help="images to train on")
    parser.add_argument("--test", type=int, default=300, help="images to audit")
    parser.add_argument("--side", type=int, default=64, help="of the model's input, in pixels")
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--edits", type=int, default=40, help="images of each class to edit")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--so-far", action="store_true", help="print what is kept, make nothing")
    parser.add_argument("--controls", action="store_true", help="untrained, shuffled")
    return parser.parse_args()


if __name__ == "__main__":
    with contextlib.suppress(StoreError, KeyboardInterrupt):
        main()
