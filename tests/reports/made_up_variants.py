"""Variants of the record: hostile names, unusable maps, nothing found, no labels, many images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from melaudit.findings import (
    CheckStatus,
    ClassPerformance,
    ColumnPerformance,
    Control,
    DetectorInfo,
    GroupPerformance,
    Inputs,
    NotFound,
    Outlier,
    Performance,
    Probe,
    Prototype,
    Rung,
    Skipped,
    Slice,
    SlicePerformance,
    Subject,
    Table,
    Trust,
    Verdict,
)
from melaudit.reports.interface import (
    Group,
    Landscape,
    Record,
)
from tests.reports.made_up_findings import CHECKS, cluster
from tests.reports.made_up_performance import confused, discrimination, with_details
from tests.reports.made_up_record import exhibit, landscape, record, relevance

HOSTILE = (
    "<img src=x onerror=alert(1)>",
    "</script><script>alert(1)</script>",
    "{{7*7}}{% raw %}",
    "evil\u202egnp.exe",
    "zero\u200bwidth\ufeff",
    "line\nbreak\r\x1b[31mred\x07",
    "\udcff\udcfe.jpg",
    "=cmd|' /C calc'!A0",
    "javascript:alert(1)",
    'quote" onload="alert(1)',
    "x" * 255,
)
"""Names that a file or a class may have, none of which may act."""


def hostile() -> Record:
    """Return a record in which every foreign text is hostile."""
    plain = record()
    f = plain.findings
    first = f.findings[0]
    named = {n: exhibit(n, k, n, HOSTILE[k - 1]) for k, n in enumerate(HOSTILE)}
    evil = " ".join(HOSTILE)
    return replace(
        plain,
        findings=replace(
            f,
            concepts=(
                replace(
                    f.concepts[0],
                    predicted=HOSTILE[0],
                    why=evil,
                    images=HOSTILE,
                    artifacts=dict.fromkeys(HOSTILE, 0.5),
                    odds_ratios=dict.fromkeys(HOSTILE, 2.0),
                ),
            ),
            reason=evil,
            warnings=(evil,),
            findings=(
                replace(
                    first,
                    id=HOSTILE[0],
                    title=evil,
                    statement=evil,
                    classes=HOSTILE,
                    images=HOSTILE,
                    remedy=evil,
                    does_not_show=evil,
                    artifact=HOSTILE[0],
                    evidence=tuple(
                        replace(e, name=evil, null=evil, statement=evil) for e in first.evidence
                    ),
                    tables=(Table(evil, HOSTILE, (HOSTILE,)),),
                ),
            ),
            not_found=tuple(NotFound(n, 1, 0.1, n, n) for n in HOSTILE),
            clusters=tuple(
                replace(
                    cluster(n, n, HOSTILE, 0.5),
                    why=HOSTILE,
                    class_mix=dict.fromkeys(HOSTILE, 3),
                    artifacts=dict.fromkeys(HOSTILE, 0.5),
                    parts=dict.fromkeys(HOSTILE, 0.5),
                )
                for n in HOSTILE
            ),
            skipped=tuple(Skipped(n, n) for n in HOSTILE),
            detectors=(
                *(DetectorInfo(c.id, evil, Subject.EXPLANATIONS, evil, evil) for c in CHECKS),
                *(DetectorInfo(n, n, Subject.ARTIFACT, "", "") for n in HOSTILE),
            ),
            controls=tuple(Control(n, n, "negative", n, 0.1, 3, True) for n in HOSTILE),
            inputs=Inputs(3, dict.fromkeys(HOSTILE, 2), dict.fromkeys(HOSTILE, 2)),
            performance=replace(
                with_details(f.performance, HOSTILE[0], HOSTILE[1], HOSTILE, HOSTILE),
                discrimination=tuple(discrimination(n) for n in HOSTILE),
                confused=tuple(confused(n, n) for n in HOSTILE),
                per_class=tuple(ClassPerformance(n, 3, 0.5, 0.1, 0.9, 0.5) for n in HOSTILE),
                confusion=tuple((1,) * len(HOSTILE) for _ in HOSTILE),
                slices=tuple(SlicePerformance(n, n, True, 9, 0.5, 0.1, 0.9) for n in HOSTILE),
                columns=tuple(
                    ColumnPerformance(n, (GroupPerformance(n, n, 9, 0.5, 0.1, 0.9),) * 2, 1, 1)
                    for n in HOSTILE
                ),
            ),
            provenance=replace(
                f.provenance,
                model=HOSTILE[3],
                classes=HOSTILE,
                positive=HOSTILE[1],
                command=evil,
                preprocessing=evil,
                config={n: n for n in HOSTILE},
                versions={n: n for n in HOSTILE},
            ),
        ),
        exhibits=named,
        gallery=tuple(Group(n, n, HOSTILE) for n in HOSTILE[:3]),
        strips=tuple(replace(plain.strips[0], image=n, layer=n) for n in HOSTILE[:2]),
        concepts=(
            replace(
                plain.concepts[0],
                predicted=HOSTILE[0],
                details=tuple(
                    replace(plain.concepts[0].details[0], image=name) for name in HOSTILE[:5]
                ),
            ),
        ),
        opinions=tuple(
            replace(plain.opinions[0], image=n, layer=n, attention=evil) for n in HOSTILE[:2]
        ),
        edits=tuple(
            replace(e, finding=HOSTILE[0], image=HOSTILE[1], target=HOSTILE[2]) for e in plain.edits
        ),
        curves=tuple(
            replace(c, finding=HOSTILE[0], title=evil, x_label=evil, y_label=evil)
            for c in plain.curves
        ),
        landscape=Landscape(
            evil,
            HOSTILE,
            tuple(float(k) for k in range(len(HOSTILE))),
            (float("nan"), float("inf"), *(0.0,) * (len(HOSTILE) - 2)),
            HOSTILE,
            HOSTILE,
            HOSTILE[::-1],
            len(HOSTILE),
        ),
    )


def unusable() -> Record:
    """Return a record whose maps failed, as after a leak round the channels."""
    plain = record()
    f = plain.findings
    return replace(
        plain,
        landscape=None,
        findings=replace(
            f,
            explanations=replace(
                f.explanations,
                status=Trust.UNUSABLE,
                checks=(
                    replace(
                        CHECKS[0],
                        status=CheckStatus.FAIL,
                        value=65518.0,
                        statement="The relevance of the input is 65,518 times the output.",
                    ),
                    replace(CHECKS[1], status=CheckStatus.DEGRADED, value=0.995),
                    *CHECKS[2:],
                ),
            ),
            findings=(
                replace(
                    f.findings[0],
                    evidence=tuple(
                        e for e in f.findings[0].evidence if e.rung is not Rung.ATTENTION
                    ),
                ),
            ),
            skipped=(
                Skipped("strategy", "withheld: the relevance maps of this run are unusable"),
                Skipped("text", "No image shows text."),
            ),
        ),
    )


def nothing_found() -> Record:
    """Return a record of an audit that found nothing."""
    plain = record()
    f = replace(
        plain.findings,
        verdict=Verdict.PASS,
        reason="Nothing was found that this model should not decide by.",
        findings=(),
    )
    return replace(plain, findings=f, edits=(), curves=())


def unlabelled() -> Record:
    """Return a record of images without labels."""
    plain = record()
    f = plain.findings
    return replace(
        plain,
        findings=replace(
            f,
            performance=Performance(0, None, None, None, None, None, (), ()),
            clusters=tuple(replace(c, error_rate=None, class_mix={}) for c in f.clusters),
        ),
        exhibits={k: replace(e, label=None) for k, e in plain.exhibits.items()},
    )


def crowd(images: int = 3000) -> Record:
    """Return a record with far more suspicious images than a page can show."""
    plain = record()
    f = plain.findings
    names = tuple(f"suspect_{k:05d}.jpg" for k in range(images))
    drawn = [exhibit("", k, "malignant", "malignant", ring=True) for k in range(8)]
    per = images // 40
    return replace(
        plain,
        findings=replace(
            f,
            findings=tuple(
                replace(
                    f.findings[0],
                    id=f"dark_ring.{k}",
                    images=names[k * per : (k + 1) * per] + names,
                )
                for k in range(40)
            ),
            clusters=tuple(cluster(f"M-{k}", "malignant", names[k::50], 0.9) for k in range(50)),
        ),
        landscape=landscape(
            tuple(cluster(f"M-{k}", "malignant", names[k::50], 0.9) for k in range(50)), 1500
        ),
        exhibits={n: replace(drawn[k % 8], id=n) for k, n in enumerate(names)},
        gallery=tuple(Group(f"Group {k}", "", names[k::12]) for k in range(12)),
        edits=(),
        curves=(),
    )


def large(suspicious: int = 3000, images: int = 20_000) -> Record:
    """Return a record as of a long audit of many images, with pictures of the usual size."""
    plain = record()
    f = plain.findings
    names = tuple(f"site_{k % 7}/ISIC_{k:07d}.jpg" for k in range(suspicious))
    drawn = [exhibit("", k, "malignant", "malignant", ring=k % 2 == 0, side=256) for k in range(12)]
    kinds = ("dark_ring", "vignette", "ruler", "ink", "colour_patch", "hair", "gel_bubble", "text")
    clusters = tuple(cluster(f"M-{k}", "malignant", names[k::12], 0.9 - k / 20) for k in range(12))
    why = ("wrong on 12 of 30 images that the search did not see", "90 % show a dark ring")
    return replace(
        plain,
        findings=replace(
            f,
            findings=tuple(
                replace(
                    f.findings[0],
                    id=f"{kind}.malignant",
                    artifact=kind,
                    images=names[k:],
                    evidence=f.findings[0].evidence * 2,
                )
                for k, kind in enumerate(kinds)
            ),
            clusters=clusters,
            explanations=replace(f.explanations, operations=f.explanations.operations[:1] * 12),
            prototypes=tuple(
                Prototype(f"M-usual-{k}", "malignant", 900, 0.1, names[k : k + 9]) for k in range(8)
            ),
            outliers=tuple(
                Outlier(n, "label", "malignant", "benign", 0.1, "decided as the usual malignant")
                for n in names[:50]
            ),
            slices=tuple(
                Slice(f"slice-{k}", 60, "wrong", 0.4, 0.3, 0.5, 0.05, 0.001, {}, why, names[k:])
                for k in range(10)
            ),
            probes=(
                Probe(
                    "ring",
                    20,
                    20,
                    True,
                    20,
                    0.9,
                    0.7,
                    0.97,
                    0.5,
                    names[:50],
                    "18 of 20 are ringed.",
                ),
            ),
            not_found=f.not_found * 13,
            inputs=replace(f.inputs, read=images),
        ),
        exhibits={n: replace(drawn[k % 12], id=n) for k, n in enumerate(names)},
        gallery=tuple(Group(f"Group {k}", "", names[k::4]) for k in range(4)),
        edits=tuple(
            replace(e, finding=f"{kind}.malignant", image=name, versions=e.versions * 2)
            for kind in kinds
            for e in plain.edits
            for name in names[:4]
        ),
        curves=tuple(
            replace(c, finding=f"{kind}.malignant") for kind in kinds for c in plain.curves
        ),
        strips=tuple(replace(plain.strips[0], image=n) for n in names[:2]),
        opinions=tuple(replace(plain.opinions[0], image=n) for n in names[:2]),
        mean_maps={c.id: relevance(k, ring=True, side=32) for k, c in enumerate(clusters)},
        landscape=landscape(clusters, 1500),
    )


VARIANTS: dict[str, Callable[[], Record]] = {
    "ring": record,
    "hostile": hostile,
    "unusable": unusable,
    "nothing": nothing_found,
    "unlabelled": unlabelled,
    "crowd": crowd,
}
