"""What an audit says of one model, held against what was planted."""

from __future__ import annotations

import json
import re
import traceback
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.photographs.audits import Audits, audited
from benchmarks.photographs.cases import Case, case_of
from benchmarks.photographs.edits import FOLLOWS, edits_for
from benchmarks.photographs.models import (
    USED,
    Made,
    load,
    make,
    moved,
    moved_by_places,
    moved_by_surroundings,
)
from benchmarks.photographs.plants import ARTIFACTS
from benchmarks.rivals import PURE, WHOLE, border_alarm, cleanlab_flags, domino, pcx, spray
from melaudit.findings import Finding, Rung, Severity
from melaudit.stopwatch import processor_seconds

TOP = 25
MIN_IMAGES = 5
"""Images from which surroundings are taken, at least."""
LOOKS_LIKE = "what looks like"
"""What the title of a claim says of something that is known by its looks alone."""
OTHER_HUES = ("colour_cast.pinkish", "colour_cast.yellowish")
"""Casts that a bluish white balance is not."""


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
    error: str = ""
    """Why the audit failed; it then found nothing."""
    rivals: dict[str, bool | None] = field(default_factory=dict)
    """Tool -> whether it names the plant; None where it is not installed or not applicable."""

    @property
    def uses(self) -> bool:
        """Whether the model uses the plant, by the rule."""
        return self.use >= USED


@dataclass(frozen=True)
class ClaimRow:
    """One claim of dependence or more, tried again with other edits."""

    case: str
    audit: str
    """"default", or "bare": without named detectors."""
    finding: str
    severity: str
    towards: str
    """The class that decisions are said to move to."""
    verdict: str
    """"plant", "true", "false" or "untried" (there is no other edit of the kind)."""
    moved: float | None
    """Change of the share predicted as the second class under the edits that try it."""


@dataclass(frozen=True)
class Result:
    """All that is kept of one case."""

    rows: tuple[Row, ...]
    claims: tuple[ClaimRow, ...]
    making: float
    """Processor seconds for images, training and the rule of use."""
    seconds: float
    """Of the default audit, processor seconds."""
    seconds_bare: float
    """What the audit without named detectors took more."""
    judging: float
    """For claims and rivals."""

    @property
    def clean(self) -> bool:
        """Whether the model has no plant, or uses none."""
        return not any(row.uses for row in self.rows)


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
    began = processor_seconds()
    made = make(case, folder, sizes.side, sizes.epochs)
    made_at = processor_seconds()
    try:
        audits = _audited(case, made, sizes)
    except Exception as error:
        traceback.print_exc()
        plants = case.plants or ("",)
        said = f"{type(error).__name__}: {error}".splitlines()[0]
        failed = tuple(replace(_bare(case, made, plant), error=said) for plant in plants)
        spent = processor_seconds() - made_at
        return _kept(kept, Result(failed, (), made_at - began, spent, 0.0, 0.0))
    ended = processor_seconds()
    rivals = _rivals(case, made, audits)
    rows = tuple(_row(case, made, plant, audits, rivals) for plant in case.plants or ("",))
    claims = [
        _claim(case, made, sizes, rows, audit, finding, audits)
        for audit, findings in (("default", audits.findings), ("bare", audits.bare))
        for finding in deep(findings)
    ]
    result = Result(
        rows,
        tuple(claims),
        made_at - began,
        audits.seconds,
        audits.seconds_bare,
        processor_seconds() - ended,
    )
    return _kept(kept, result)


def _audited(case: Case, made: Made, sizes: Sizes) -> Audits:
    """Audit a case as a user would, in a domain that is named as a user may."""
    return audited(
        load(case, made, sizes.side),
        made.audited,
        made.place / "audit",
        image_size=sizes.side,
        positive=case.classes[1],
        domain="dermoscopy" if case.pictures == "skin" else "photo",
        check_images=2,
        corruption_images=0,
        edits=sizes.edits,
    )


def _kept(path: Path, result: Result) -> Result:
    path.write_text(json.dumps(asdict(result), indent=1))
    return result


def _read(path: Path) -> Result:
    known: dict[str, Any] = json.loads(path.read_text())
    rows = tuple(Row(**row) for row in known.pop("rows"))
    return Result(rows, tuple(ClaimRow(**claim) for claim in known.pop("claims")), **known)


def deep(findings: Sequence[Finding]) -> list[Finding]:
    """Return the findings of dependence or more."""
    return [f for f in findings if f.rung.rank >= Rung.DEPENDENCE.rank]


def names(finding: str, towards: str, plant: str, planted: str) -> bool:
    """Tell whether a discovered artifact is called what a plant is: "parts like hairs".

    finding: its id; towards: the class that decisions are said to move to. A cast has many hues, so
    its name does not tell a white balance.
    """
    called = re.fullmatch(r"discovered_like_(\w+?)(\.\d+)?", finding)
    if called is None or plant == "white_balance":
        return False
    return called[1] == ARTIFACTS[plant] and towards == planted


def credited(result: Result) -> Result:
    """Return the same with what is found by the name that a discovered artifact has.

    Its images need not show the plant: photographs have hairs of their own.
    """
    planted = case_of(result.rows[0].seed).classes[1]

    def named(row: Row, audit: str) -> bool:
        return any(
            claim.audit == audit and names(claim.finding, claim.towards, row.plant, planted)
            for claim in result.claims
        )

    rows = tuple(
        replace(
            row,
            discovered=row.discovered or named(row, "default"),
            proven=row.proven or named(row, "bare"),
        )
        if row.plant
        else row
        for row in result.rows
    )
    used = [row.plant for row in rows if row.plant and row.uses]
    claims = tuple(
        replace(claim, verdict="plant")
        if any(names(claim.finding, claim.towards, plant, planted) for plant in used)
        else claim
        for claim in result.claims
    )
    return replace(result, rows=rows, claims=claims)


def is_about(finding: Finding, plant: str, planted: str) -> bool:
    """Tell whether a finding says that a plant moves decisions to the class it was planted on."""
    if finding.artifact != ARTIFACTS[plant] or planted not in finding.classes:
        return False
    return plant != "white_balance" or finding.id not in OTHER_HUES


def _bare(case: Case, made: Made, plant: str) -> Row:
    """Return what is known before the audit."""
    return Row(
        case.name,
        case.seed,
        case.pictures,
        case.backbone,
        plant,
        case.share,
        made.accuracy,
        made.uses.get(plant, 0.0),
    )


def _row(case: Case, made: Made, plant: str, audits: Audits, rivals: dict[str, Any]) -> Row:
    bare = _bare(case, made, plant)
    if not plant:
        return replace(bare, rivals={name: rivals[name] for name in ("border", "cleanlab")})
    shown, truth = made.shown(plant), _truth(case, made, plant)
    named = [f for f in deep(audits.findings) if is_about(f, plant, case.classes[1])]
    discovered = [f for f in deep(audits.findings) if holds(f, truth)]
    first = next(iter([*named, *discovered]), None)
    precision = recall = None
    if first is not None:
        precision = float(np.mean([truth[i] for i in first.images[:TOP]]))
        recall = sum(truth[i] for i in first.images) / max(1, int(shown.sum()))
    return replace(
        bare,
        found=bool(named),
        discovered=bool(discovered),
        grouped=any(_names(c.images, truth) for c in audits.clusters),
        proven=any(holds(f, truth) for f in deep(audits.bare)),
        precision=precision,
        recall=recall,
        rivals=_named_by(rivals, shown, case),
    )


def _ids(case: Case, made: Made) -> tuple[str, ...]:
    return tuple(
        sorted(f"{c}/{p.name}" for c in case.classes for p in (made.audited / c).iterdir())
    )


def _truth(case: Case, made: Made, plant: str) -> dict[str, bool]:
    """Return image -> whether it shows a plant, for the images that are audited."""
    return dict(zip(_ids(case, made), made.shown(plant).tolist(), strict=True))


def holds(finding: Finding, truth: dict[str, bool]) -> bool:
    """Tell whether a finding is about a discovered artifact, and most of its images show a plant.

    "Most" is twice as often as in all images at least, and half of them.
    """
    if not finding.detector.startswith("discovered") or not finding.images:
        return False
    inside = float(np.mean([truth[i] for i in finding.images]))
    return inside >= 0.5 and inside >= 2 * float(np.mean(list(truth.values())))


def by_images(finding: Finding) -> bool:
    """Tell whether a claim is about what its images show: discovered, or told by its looks."""
    return finding.detector.startswith("discovered") or LOOKS_LIKE in finding.title


def _names(images: Sequence[str], truth: dict[str, bool]) -> bool:
    """Tell whether a group of images is the planted one."""
    inside = [truth[i] for i in images]
    every = sum(truth.values())
    return float(np.mean(inside)) >= PURE and sum(inside) >= WHOLE * every


def _claim(
    case: Case,
    made: Made,
    sizes: Sizes,
    rows: Sequence[Row],
    audit: str,
    finding: Finding,
    audits: Audits,
) -> ClaimRow:
    """Judge a claim: it is about a plant in use, or tried again with other edits."""
    towards = finding.classes[0] if finding.classes else ""
    said = ClaimRow(case.name, audit, finding.id, finding.severity.value, towards, "untried", None)
    for row in rows:
        if row.uses and (
            is_about(finding, row.plant, case.classes[1])
            or holds(finding, _truth(case, made, row.plant))
        ):
            return replace(said, verdict="plant")
    sign = 1 if towards == case.classes[1] else -1
    tried = [
        moved(case, made, sizes.side, e)
        for e in edits_for(finding.id, finding.artifact or finding.id)
    ]
    if by_images(finding):
        predictions = audits.store.column("prediction")
        decided = [case.classes[p] == towards for p in predictions]
        same = [i for i, own in zip(_ids(case, made), decided, strict=True) if own]
        showing = [i for i in same if i in finding.images]
        alike = [i for i in same if i not in finding.images]
        if min(len(showing), len(alike)) >= MIN_IMAGES:
            tried.append(moved_by_surroundings(case, made, sizes.side, showing, alike))
            tried.append(moved_by_places(case, made, sizes.side, showing, alike, sign))
    if not tried:
        return said
    most = max(tried, key=lambda change: change * sign)
    return replace(said, verdict="true" if most * sign >= FOLLOWS else "false", moved=most)


def _rivals(case: Case, made: Made, audits: Audits) -> dict[str, Any]:
    """Return what others make of the maps and concepts that the audit kept."""
    store, ids = audits.store, _ids(case, made)
    maps = store.column("relevance.positive").astype(np.float32)
    maps = maps - store.column("relevance.negative")
    labels = np.array([case.classes.index(i.split("/")[0]) for i in ids], np.int64)
    rows = np.flatnonzero(store.column("prediction") == 1)
    known: dict[str, Any] = {"rows": rows, "border": border_alarm(np.abs(maps)), "maps": maps[rows]}
    if case.plants and "relevance.concepts" in store.names() and len(rows) > 40:
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
