"""What an audit says of one model, held against what was planted."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import melaudit
from benchmarks.photographs.cases import Case
from benchmarks.photographs.edits import FOLLOWS, edits_for
from benchmarks.photographs.models import USED, Made, load, make, moved
from benchmarks.photographs.plants import ARTIFACTS
from benchmarks.rivals import PURE, WHOLE, border_alarm, cleanlab_flags, domino, pcx, spray
from melaudit.audit.measure.store import Store
from melaudit.findings import Finding, Findings, Rung, Severity

TOP = 25


@dataclass(frozen=True)
class Row:
    """What was seen of one plant on one model, or of a model without one."""

    case: str
    seed: int
    pictures: str
    backbone: str
    plant: str
    """"" for a clean model."""
    share: float
    accuracy: float
    use: float
    found: bool = False
    """By a finding of dependence about the artifact that the plant is."""
    discovered: bool = False
    """The same by a discovered artifact whose images show the plant."""
    grouped: bool = False
    """Without any named detector: a group holds the plant."""
    proven: bool = False
    """Without any named detector: found by a discovered artifact."""
    precision: float | None = None
    """Of the first 25 images of the finding."""
    recall: float | None = None
    rivals: dict[str, bool | None] = field(default_factory=dict)
    """Tool -> whether it names the plant; None where it is not installed."""

    @property
    def uses(self) -> bool:
        """Whether the model uses the plant, by the rule."""
        return self.use >= USED


@dataclass(frozen=True)
class ClaimRow:
    """One claim of dependence or more, tried again with other edits."""

    case: str
    finding: str
    severity: str
    verdict: str
    """"plant", "true", "false" or "untried" (there is no other edit of the kind)."""
    moved: float | None
    """Change of decisions under the edits that try it."""


@dataclass(frozen=True)
class Result:
    """All that is kept of one case."""

    rows: tuple[Row, ...]
    claims: tuple[ClaimRow, ...]
    seconds: float
    """Of the default audit."""
    seconds_off: float
    """Of the audit without named detectors."""
    clean: bool
    """Whether the model has no plant, or uses none."""


@dataclass(frozen=True)
class Sizes:
    """What a model is made with and how it is audited."""

    side: int
    epochs: float
    edits: int


def examined(case: Case, folder: Path, sizes: Sizes) -> Result:
    """Make, audit and judge a case, or return what is kept of it."""
    kept = folder / f"{case.name}.json"
    if kept.exists():
        return _read(kept)
    made = make(case, folder, sizes.side, sizes.epochs)
    started = time.perf_counter()
    findings = _audited(case, made, sizes, ())
    middle = time.perf_counter()
    off = _audited(case, made, sizes, ("artifacts",))
    ended = time.perf_counter()
    rivals = _rivals(case, made)
    rows = tuple(_row(case, made, plant, findings, off, rivals) for plant in case.plants or ("",))
    used = [row for row in rows if row.uses]
    result = Result(
        rows,
        tuple(_claim(case, made, sizes, used, f) for f in deep(findings)),
        middle - started,
        ended - middle,
        clean=not used,
    )
    kept.write_text(json.dumps(asdict(result), indent=1))
    return result


def _read(path: Path) -> Result:
    known: dict[str, Any] = json.loads(path.read_text())
    rows = tuple(Row(**row) for row in known.pop("rows"))
    return Result(rows, tuple(ClaimRow(**claim) for claim in known.pop("claims")), **known)


def _audited(case: Case, made: Made, sizes: Sizes, without: tuple[str, ...]) -> Findings:
    """Audit a case as a user would, in a domain that is named as a user may."""
    return melaudit.audit(
        load(case, made, sizes.side),
        made.audited,
        progress=False,
        out=made.place / ("off" if without else "audit"),
        image_size=sizes.side,
        positive=case.classes[1],
        domain="dermoscopy" if case.pictures == "skin" else "photo",
        check_images=2,
        corruption_images=0,
        edits=sizes.edits,
        without=without,
    )


def deep(findings: Findings) -> list[Finding]:
    """Return the findings of dependence or more."""
    return [f for f in findings.findings if f.rung.rank >= Rung.DEPENDENCE.rank]


def _row(
    case: Case,
    made: Made,
    plant: str,
    findings: Findings,
    off: Findings,
    rivals: dict[str, Any],
) -> Row:
    bare = Row(
        case.name,
        case.seed,
        case.pictures,
        case.backbone,
        plant,
        case.share,
        made.accuracy,
        made.uses.get(plant, 0.0),
    )
    if not plant:
        return bare
    shown = made.shown(plant)
    ids = sorted(f"{c}/{p.name}" for c in case.classes for p in (made.audited / c).iterdir())
    truth = dict(zip(ids, shown.tolist(), strict=True))
    named = [f for f in deep(findings) if f.artifact == ARTIFACTS[plant]]
    discovered = [f for f in deep(findings) if _holds(f, truth)]
    first = next(iter([*named, *discovered]), None)
    precision = recall = None
    if first is not None:
        precision = float(np.mean([truth[i] for i in first.images[:TOP]]))
        recall = sum(truth[i] for i in first.images) / max(1, int(shown.sum()))
    return Row(
        **(
            asdict(bare)
            | {
                "found": bool(named),
                "discovered": bool(discovered),
                "grouped": any(_names(c.images, truth, case) for c in off.clusters),
                "proven": any(_holds(f, truth) for f in deep(off)),
                "precision": precision,
                "recall": recall,
                "rivals": _named_by(rivals, shown, case),
            }
        )
    )


def _holds(finding: Finding, truth: dict[str, bool]) -> bool:
    """Tell whether a finding is about a discovered artifact, and most of its images show a plant.

    "Most" is twice as often as in all images at least, and half of them.
    """
    if not finding.detector.startswith("discovered") or not finding.images:
        return False
    inside = float(np.mean([truth[i] for i in finding.images]))
    return inside >= 0.5 and inside >= 2 * float(np.mean(list(truth.values())))


def _names(images: Sequence[str], truth: dict[str, bool], case: Case) -> bool:
    """Tell whether a group of images is the planted one."""
    inside = [truth[i] for i in images]
    every = sum(truth.values())
    return float(np.mean(inside)) >= PURE and sum(inside) >= WHOLE * every


def _claim(case: Case, made: Made, sizes: Sizes, used: Sequence[Row], finding: Finding) -> ClaimRow:
    """Try a claim again with other edits."""
    named = finding.artifact or finding.id
    if any(named == ARTIFACTS[row.plant] for row in used):
        return ClaimRow(case.name, finding.id, finding.severity.value, "plant", None)
    for row in used:
        shown = made.shown(row.plant)
        ids = sorted(f"{c}/{p.name}" for c in case.classes for p in (made.audited / c).iterdir())
        if _holds(finding, dict(zip(ids, shown.tolist(), strict=True))):
            return ClaimRow(case.name, finding.id, finding.severity.value, "plant", None)
    tried = [moved(case, made, sizes.side, e) for e in edits_for(finding.id, named)]
    if not tried:
        return ClaimRow(case.name, finding.id, finding.severity.value, "untried", None)
    towards = 1 if finding.classes and finding.classes[0] == case.classes[1] else -1
    most = max(tried, key=lambda change: change * towards)
    verdict = "true" if most * towards >= FOLLOWS else "false"
    return ClaimRow(case.name, finding.id, finding.severity.value, verdict, most)


def _rivals(case: Case, made: Made) -> dict[str, Any]:
    """Return what others make of the maps and concepts that the audit kept."""
    out = made.place / "audit"
    manifest = json.loads((out / "manifest.json").read_text())
    ids = tuple(sorted(f"{c}/{p.name}" for c in case.classes for p in (made.audited / c).iterdir()))
    store = Store(out / manifest["shards"], manifest["run"], ids)
    maps = store.column("relevance.positive").astype(np.float32)
    maps = maps - store.column("relevance.negative")
    labels = np.array([case.classes.index(i.split("/")[0]) for i in ids], np.int64)
    rows = np.flatnonzero(store.column("prediction") == 1)
    known: dict[str, Any] = {"rows": rows, "border": border_alarm(np.abs(maps)), "maps": maps[rows]}
    if "relevance.concepts" in store.names() and len(rows) > 40:
        concepts = store.column("relevance.concepts").astype(np.float64)
        known["pcx"] = pcx(concepts[rows], case.seed)[:1]
        known["domino"] = [domino(concepts, labels, store.column("logits"), case.seed)[rows]]
    try:
        known["cleanlab"] = bool(cleanlab_flags(made.audited, labels))
    except ImportError:
        known["cleanlab"] = None
    return known


def _named_by(
    known: dict[str, Any], shown: NDArray[np.bool_], case: Case
) -> dict[str, bool | None]:
    target = shown[known["rows"]]
    rng = np.random.default_rng(case.seed)

    def held(labels: NDArray[np.int64]) -> bool:
        groups = [labels == label for label in np.unique(labels)]
        return any(
            target[g].mean() >= PURE and target[g].sum() >= WHOLE * target.sum() for g in groups
        )

    found: dict[str, bool | None] = {
        "border": known["border"],
        "cleanlab": known["cleanlab"],
        "chance": held(rng.integers(0, 5, len(target))),
    }
    for name in ("pcx", "domino"):
        found[name] = any(held(labels) for labels in known[name]) if name in known else None
    try:
        found["spray"] = spray(known["maps"], target, case.seed).isolated
    except ImportError:
        found["spray"] = None
    return found


def severe(claim: ClaimRow) -> bool:
    """Tell whether a claim is high or critical."""
    return Severity(claim.severity).rank >= Severity.HIGH.rank
