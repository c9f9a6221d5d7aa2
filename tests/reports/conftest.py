"""A record such as an audit of a model with a ring shortcut leaves, made of drawn pictures."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from melaudit.findings import (
    Check,
    CheckStatus,
    ClassPerformance,
    Cluster,
    ColumnPerformance,
    Concept,
    Control,
    DetectorInfo,
    Evidence,
    Exclusive,
    Explanations,
    Finding,
    Findings,
    GroupPerformance,
    Inputs,
    NotFound,
    Operation,
    Outlier,
    Performance,
    Probe,
    Prototype,
    Provenance,
    Rung,
    Severity,
    Skipped,
    Slice,
    SlicePerformance,
    Subject,
    Table,
    Trust,
    Verdict,
)
from melaudit.reports import build_page
from melaudit.reports.interface import (
    ConceptStrip,
    ConceptView,
    Curve,
    Detail,
    Edit,
    Exhibit,
    Group,
    Landscape,
    PartView,
    Record,
    SecondOpinion,
    Series,
    Version,
)
from melaudit.reports.page.page import Page

SIDE = 64


def picture(seed: int, *, ring: bool = False, side: int = SIDE) -> bytes:
    """Draw a lesion on skin, with or without the dermatoscope's ring, as WebP."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[-1 : 1 : side * 1j, -1 : 1 : side * 1j]
    pixels = np.array([216.0, 176, 156]) + rng.normal(0, 5, (side, side, 3))
    lesion = (x - rng.uniform(-0.2, 0.2)) ** 2 + (y / rng.uniform(0.7, 1)) ** 2 < 0.18
    pixels[lesion] -= [96, 104, 96]
    if ring:
        pixels[x**2 + y**2 > 1.05] = 6
    out = io.BytesIO()
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(out, "WEBP", quality=75)
    return out.getvalue()


def relevance(seed: int, *, ring: bool = False, side: int = SIDE) -> NDArray[np.float16]:
    """Make up a signed map: on the rim for a ring, else on the lesion."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[-1 : 1 : side * 1j, -1 : 1 : side * 1j]
    radius = x**2 + y**2
    shape = np.exp(-(((radius - 1.05) / 0.1) ** 2)) if ring else np.exp(-radius / 0.12)
    values = shape * rng.uniform(0.2, 1, (side, side)) - 0.06 * rng.uniform(0, 1, (side, side))
    scaled: NDArray[np.float16] = (values / np.abs(values).max()).astype(np.float16)
    return scaled


def exhibit(image: str, seed: int, label: str | None, prediction: str, **kind: Any) -> Exhibit:
    """Return an exhibit with a drawn picture."""
    return Exhibit(
        id=image,
        label=label,
        prediction=prediction,
        probability=0.5 + (seed * 37 % 50) / 100,
        picture=picture(seed, **kind),
        relevance=relevance(seed, **kind),
    )


RINGED = tuple(f"malignant/ISIC_{k:04d}.jpg" for k in range(12))
BENIGN = tuple(f"benign/ISIC_{k:04d}.jpg" for k in range(12))


def ring_finding() -> Finding:
    """Return the finding that the black ring decides."""
    return Finding(
        id="dark_ring.malignant",
        detector="dark_ring",
        title="Black ring of the dermatoscope",
        severity=Severity.CRITICAL,
        confidence=0.97,
        rung=Rung.HARM,
        artifact="dark_ring",
        classes=("malignant",),
        statement="The model calls a lesion malignant because of the black ring around it: "
        "painting one on ring-free benign images made it call 150 of 150 malignant, 13 before.",
        evidence=(
            Evidence(
                Rung.OPPORTUNITY,
                "odds ratio",
                349.2,
                57.3,
                14100.0,
                1e-63,
                2e-62,
                1000,
                "ring and label are independent",
                True,
                "206 of 500 malignant images have a black ring, 1 of 500 benign ones has.",
            ),
            Evidence(
                Rung.ATTENTION,
                "relevance excess on the ring",
                2.41,
                2.18,
                2.66,
                0.0005,
                0.0011,
                206,
                "rotated maps of ring-free images",
                True,
                "The ring area of ringed images gets 2.4 times the relevance that its size would.",
            ),
            Evidence(
                Rung.DEPENDENCE,
                "rise in the share called malignant, beyond the placebo",
                0.807,
                0.733,
                0.867,
                1e-30,
                4e-30,
                150,
                "a ring of skin colour changes as much",
                True,
                "With a black ring 150 of 150 benign images are called malignant; as they are, 13; "
                "with a ring of skin colour, 29; with a white one, 92.",
            ),
            Evidence(
                Rung.HARM,
                "specificity lost",
                -0.913,
                -0.95,
                -0.86,
                1e-30,
                4e-30,
                150,
                "specificity is the same with a ring",
                True,
                "Of 1000 healthy patients seen through a ringed dermatoscope, 913 more would be "
                "called ill.",
            ),
        ),
        images=RINGED,
        remedy="Crop or inpaint the ring in training and use, or train with rings painted on both "
        "classes; then audit again.",
        does_not_show="That nothing else is wrong, or how the model would do on images whose rings "
        "were cropped before training.",
        tables=(
            Table(
                "Black rings by class (all four 10 x 10 corner blocks darker than 10 of 255)",
                ("Label", "With ring", "Without", "Share with ring"),
                (("benign", 1, 499, 0.002), ("malignant", 206, 294, 0.412)),
            ),
        ),
    )


def weak_finding() -> Finding:
    """Return a finding that reached attention only and has no harm tested."""
    return Finding(
        id="strategy.M-2",
        detector="strategy",
        title="A group of malignant calls decided at the border",
        severity=Severity.MEDIUM,
        confidence=0.62,
        rung=Rung.ATTENTION,
        artifact=None,
        classes=("malignant",),
        statement="The model looks at the border of 41 images that it calls malignant.",
        evidence=(
            Evidence(
                Rung.ATTENTION,
                "border relevance over that of other images",
                1.7,
                1.2,
                float("inf"),
                0.004,
                0.012,
                41,
                "maps of other images of the class",
                True,
                "The border of these images gets 1.7 times the relevance it gets elsewhere.",
            ),
            Evidence(
                Rung.DEPENDENCE,
                "fall in probability when the border is blurred",
                0.02,
                -0.01,
                0.05,
                0.21,
                0.3,
                41,
                "blurring a border of equal area elsewhere",
                False,
                "Blurring the border changes 2 of 41 decisions.",
            ),
        ),
        images=RINGED[4:8],
        remedy="Look at the images of the cluster.",
        does_not_show="That the model decides by the border.",
    )


def cluster(name: str, predicted: str, images: tuple[str, ...], suspicion: float) -> Cluster:
    """Return a cluster whose rings follow its suspicion."""
    return Cluster(
        id=name,
        predicted=predicted,
        n=len(images) * 10,
        suspicion=suspicion,
        parts={"border": suspicion, "artifact": min(1.0, suspicion * 1.1)},
        why=(f"{100 * suspicion:.0f} % of its images show a black ring.",),
        images=images,
        class_mix={"malignant": 90, "benign": 10},
        error_rate=0.1,
        border_share=0.2 + 0.5 * suspicion,
        artifacts={"dark_ring": suspicion, "hair": 0.2},
        channels=(1203, 88, 411),
        views=("concepts", "both", "parts"),
        exclusive=Exclusive(0.01, 480, 0.3, suspicion, 0, (4, 17)),
    )


CHECKS = (
    Check("conservation", CheckStatus.PASS, 0.004, 0.05, "The sums agree within 0.4 %."),
    Check("channel_uniformity", CheckStatus.PASS, 0.86, 0.99, "Mean likeness of maps is 0.86."),
    Check("class_sensitivity", CheckStatus.PASS, 0.31, 0.9, "Maps of the two classes differ."),
    Check("faithfulness", CheckStatus.PASS, 2.6, 1.0, "Covering what is marked lowers the output."),
)


DETECTORS = (
    DetectorInfo(
        "conservation",
        "Relevance is conserved",
        Subject.EXPLANATIONS,
        "Does the relevance that reaches the picture add up to the model's output?",
        "A sum that is far off means that relevance was made up or lost on the way.",
    ),
    DetectorInfo(
        "channel_uniformity",
        "Channels have pictures of their own",
        Subject.EXPLANATIONS,
        "Does each channel's map show its own channel?",
        "When relevance leaks round the channel, all maps are one and the same picture.",
    ),
    DetectorInfo(
        "class_sensitivity",
        "Maps depend on the class",
        Subject.EXPLANATIONS,
        "Does the map change when another class is explained?",
        "A map that looks the same for every class shows edges of the picture, not reasons.",
    ),
    DetectorInfo(
        "faithfulness",
        "Maps mark what the model uses",
        Subject.EXPLANATIONS,
        "Does the output fall when what the map marks is taken away?",
        "If covering random places does as much, the map does not mark what the model uses.",
    ),
    *(
        DetectorInfo(name, title, subject, "", "")
        for name, title, subject in (
            ("strategy", "Groups of decisions", Subject.MODEL),
            ("property_label", "Light and colour by class", Subject.MODEL),
            ("near_duplicates", "Copies of one photograph", Subject.MODEL),
            ("dark_ring", "Black ring of the dermatoscope", Subject.ARTIFACT),
            ("ruler", "Ruler or scale", Subject.ARTIFACT),
            ("ink", "Surgical marker ink", Subject.ARTIFACT),
            ("hair", "Hairs over the skin", Subject.ARTIFACT),
            ("text", "Lettering in the picture", Subject.ARTIFACT),
            ("brightness", "Dark picture", Subject.ARTIFACT),
        )
    ),
)
"""What took part in the run."""


def findings() -> Findings:
    """Return what an audit of a model with a ring shortcut says."""
    return Findings(
        verdict=Verdict.FAIL,
        reason="This model decides by the black ring of the dermatoscope. Painting a black ring on "
        "150 ring-free benign images made it call 150 of them malignant (13 before). A ring of "
        "skin colour does this to 29, a white one to 92: it reacts to dark, high-contrast frames.",
        explanations=Explanations(
            Trust.TRUSTED,
            "data flow, epsilon-plus-flat, no canonizer, logit of the predicted class",
            "layer4.2",
            CHECKS,
            (
                Operation("conv2d", "first layer flat, then z-plus", 53),
                Operation("add_", "shared by value", 16),
            ),
        ),
        performance=Performance(
            n=1000,
            accuracy=0.909,
            accuracy_low=0.889,
            accuracy_high=0.926,
            auc=0.9712,
            chance=0.5,
            per_class=(
                ClassPerformance("benign", 500, 0.914, 0.886, 0.936, 0.905),
                ClassPerformance("malignant", 500, 0.904, 0.875, 0.927, 0.913),
            ),
            confusion=((457, 43), (48, 452)),
            slices=(
                SlicePerformance("malignant", "dark_ring", True, 206, 1.0, 0.982, 1.0),
                SlicePerformance("malignant", "dark_ring", False, 294, 0.837, 0.79, 0.875),
            ),
            columns=(
                ColumnPerformance(
                    "age",
                    (
                        GroupPerformance("benign", "30 to 49", 240, 0.93, 0.891, 0.956),
                        GroupPerformance("benign", "under 30", 120, 0.9, 0.833, 0.942),
                        GroupPerformance("malignant", "30 to 49", 200, 0.81, 0.75, 0.858),
                    ),
                    too_few=3,
                    unknown=40,
                ),
            ),
        ),
        findings=(ring_finding(), weak_finding()),
        not_found=(
            NotFound(
                "ruler",
                64,
                0.09,
                "change in the share called malignant",
                "An effect of 9 points or more would have been seen for rulers (n 64).",
            ),
            NotFound("ink", 6, None, "odds ratio", "Ink could not be tested well (n 6)."),
        ),
        clusters=(
            cluster("M-1", "malignant", RINGED, 0.91),
            cluster("B-1", "benign", BENIGN, 0.12),
        ),
        skipped=(Skipped("text", "No image shows text."),),
        controls=(
            Control(
                "permuted",
                "Labels dealt out anew",
                "negative",
                "With labels that mean nothing, 1 of 40 audits would have raised an alarm.",
                0.025,
                40,
                True,
            ),
            Control("planted", "A planted mark", "positive", "It was missed.", None, 20, False),
        ),
        inputs=Inputs(read=1000, flagged={"format_mismatch": 2}, skipped={}),
        concepts=(
            Concept(
                channel=1203,
                predicted="malignant",
                why="marks cluster M-1",
                share=0.0123,
                images=RINGED[:3],
                outside=0.84,
                others_outside=0.53,
                strongest=25,
                artifacts={"dark_ring": 0.96},
                odds_ratios={"dark_ring": 41.0},
                attention=0.31,
            ),
        ),
        detectors=DETECTORS,
        provenance=Provenance(
            model="resnet50_rings.pt",
            model_sha256="9f" * 32,
            architecture="torchvision resnet50",
            data="isic-rings",
            data_fingerprint="ab" * 32,
            classes=("benign", "malignant"),
            positive="malignant",
            preprocessing="resize to 128 x 128, no crop, ImageNet mean and deviation",
            config={"image_size": 128, "mean": [0.485, 0.456, 0.406], "limit": None},
            command="melaudit run --model resnet50_rings.pt --data isic-rings --seed 0",
            versions={"melaudit": "0.1.0", "torch": "2.15.0"},
            seed=0,
            device="cpu",
            started="2026-11-23T14:05:00+00:00",
            seconds=812.4,
        ),
    )


def record() -> Record:
    """Return a whole record, as `findings` says it."""
    ringed = {i: exhibit(i, k, "malignant", "malignant", ring=True) for k, i in enumerate(RINGED)}
    benign = {
        i: exhibit(i, 40 + k, "benign", "malignant" if k % 4 == 3 else "benign")
        for k, i in enumerate(BENIGN)
    }
    coarse = np.linspace(0, 1, 16, dtype=np.float16).reshape(4, 4)
    maps = np.stack([relevance(k, ring=k % 2 == 0) * s for k, s in enumerate((1, 0.4, 0.02))])
    dose = (0.0, 0.25, 0.5, 0.75, 1.0)
    return Record(
        findings=findings(),
        exhibits={**ringed, **benign},
        gallery=(
            Group("Malignant, called malignant", "True positives.", RINGED[:4]),
            Group("Benign, called malignant", "False positives.", BENIGN[3::4]),
        ),
        mean_maps={"M-1": relevance(1, ring=True, side=32), "B-1": relevance(2, side=32)},
        strips=(ConceptStrip(RINGED[0], "layer4.2", (1203, 88, 411), (0.082, 0.041, 0.001), maps),),
        opinions=(
            SecondOpinion(
                RINGED[0],
                "layer4.2",
                coarse,
                0.514,
                coarse**2,
                0.976,
                "returned beside the logits: weights that sum to 1, 2048 channels",
            ),
        ),
        edits=(
            Edit(
                "dark_ring.malignant",
                BENIGN[0],
                "malignant",
                (
                    Version("as it is", picture(40), 0.04),
                    Version("black ring painted on", picture(40, ring=True), 0.9996),
                    Version("placebo: ring of skin colour", picture(41), 0.04),
                ),
            ),
        ),
        curves=(
            Curve(
                "dark_ring.malignant",
                "The darker the ring, the more malignant the call",
                "darkness of the ring",
                "mean probability of malignant",
                (
                    Series(
                        "black ring",
                        dose,
                        (0.09, 0.3, 0.7, 0.95, 0.99),
                        (0.06, 0.25, 0.63, 0.91, 0.97),
                        (0.13, 0.36, 0.77, 0.98, 1.0),
                    ),
                    Series("placebo", dose, (0.09, 0.1, 0.12, 0.15, 0.2)),
                ),
            ),
        ),
        landscape=landscape(findings().clusters),
        concepts=(
            ConceptView(
                1203,
                "malignant",
                tuple(Detail(i, picture(k, ring=True), coarse) for k, i in enumerate(RINGED[:3])),
            ),
        ),
        parts=(
            PartView(
                findings().clusters[0].id,
                tuple(Detail(i, picture(k, ring=True), coarse) for k, i in enumerate(RINGED[3:5])),
            ),
        ),
    )


def landscape(clusters: tuple[Cluster, ...], images: int = 200) -> Landscape:
    """Return made-up places: an island per cluster, and a fifth of the images in none."""
    rng = np.random.default_rng(3)
    of = [k % (len(clusters) + 1) for k in range(images)]
    known = [clusters[k] if k < len(clusters) else None for k in of]
    called = [c.predicted if c else "benign" for c in known]
    return Landscape(
        how="The two directions in which decisions differ most; they hold 61 % of the differences.",
        images=tuple(f"point_{k:04d}.jpg" for k in range(images)),
        x=tuple(float(3 * k + rng.normal()) for k in of),
        y=tuple(float(2 * (k % 2) + rng.normal()) for k in of),
        clusters=tuple(c.id if c else None for c in known),
        predictions=tuple(called),
        labels=tuple("benign" if k % 9 == 0 else c for k, c in enumerate(called)),
        of=images * 5,
    )


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
                f.performance,
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


@pytest.fixture(scope="session")
def records() -> dict[str, Record]:
    """Return every kind of record, built once."""
    return {name: build() for name, build in VARIANTS.items()}


@pytest.fixture(scope="session")
def pages(records: dict[str, Record]) -> dict[str, Page]:
    """Return the page of every kind of record."""
    return {name: build_page(record) for name, record in records.items()}
