"""Findings such as an audit of a model with a ring shortcut gives."""

from __future__ import annotations

from melaudit.findings import (
    Acceptance,
    Answer,
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
    IntendedUse,
    NotFound,
    Operation,
    Performance,
    Provenance,
    Rung,
    Severity,
    Skipped,
    SlicePerformance,
    Subject,
    Table,
    Trust,
    Verdict,
)
from tests.reports.made_up_performance import with_details

RINGED = tuple(f"malignant/ISIC_{k:04d}.jpg" for k in range(12))
BENIGN = tuple(f"benign/ISIC_{k:04d}.jpg" for k in range(12))


def limit(
    measure: str,
    least: float,
    value: float | None,
    low: float | None,
    high: float | None,
    n: int,
    answer: Answer,
) -> Acceptance:
    """Return a figure held against a limit that it must reach."""
    said = f"The {measure} must be at least {least}: {answer.value}."
    return Acceptance(measure, least, True, value, low, high, n, answer, said)


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
        statement="The model predicts malignant because of the black ring around the lesion: "
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
                "rise in the share predicted malignant, beyond the placebo",
                0.807,
                0.733,
                0.867,
                1e-30,
                4e-30,
                150,
                "a ring of skin colour changes as much",
                True,
                "With a black ring 150 of 150 benign images are predicted malignant; without, 13; "
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
                "treated as ill.",
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
        title="A group of malignant predictions decided at the border",
        severity=Severity.MEDIUM,
        confidence=0.62,
        rung=Rung.ATTENTION,
        artifact=None,
        classes=("malignant",),
        statement="The model looks at the border of 41 images that it predicts malignant.",
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
        performance=with_details(
            Performance(
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
            "malignant",
            "benign",
            BENIGN[:6],
            RINGED[:2],
        ),
        findings=(ring_finding(), weak_finding()),
        not_found=(
            NotFound(
                "ruler",
                64,
                0.09,
                "change in the share predicted malignant",
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
        intended_use=IntendedUse(
            purpose="Tells a dermatologist which moles to look at first.",
            population="Adults seen at two clinics.",
            reference_standard="Histopathology.",
            operating_threshold=0.5,
            acceptance=(
                limit("accuracy", 0.85, 0.909, 0.889, 0.926, 1000, Answer.MET),
                limit("sensitivity", 0.9, 0.904, 0.875, 0.927, 500, Answer.OPEN),
                limit("specificity", 0.95, 0.914, 0.886, 0.936, 500, Answer.NOT_MET),
                limit("auc", 0.9, None, None, None, 0, Answer.OPEN),
            ),
        ),
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
