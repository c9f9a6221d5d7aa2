"""A mitigation of the made-up ring finding, such as the command leaves behind."""

from melaudit.findings import CueChange, Measured, Method, Mitigated, Outcome, Paired
from tests.reports.made_up_findings import findings


def turned(before: float, after: float, half: float, grew: bool = False) -> CueChange:
    """Return how decisions follow a ring, with an interval of so much to either side."""
    change = after - before
    share = Paired(before, after, change, change - half, change + half, 180)
    return CueChange("dark_ring", "Black ring of the dermatoscope", "malignant", share, grew)


def mitigated(outcome: Outcome = Outcome.AT_A_COST) -> Mitigated:
    """Return a mitigation of `ring_finding` in the audit of `findings`."""
    known = findings().provenance
    share = Paired(0.98, 0.91, -0.07, -0.12, -0.02, 100)
    return Mitigated(
        finding="dark_ring.malignant",
        artifact="dark_ring",
        title="Black ring of the dermatoscope",
        method=Method.LAST_LAYER,
        outcome=outcome,
        statement="Decisions that turn to malignant are reduced from 450 to 20 of 1,000.",
        target="malignant",
        dependence=turned(0.45, 0.02, 0.06),
        placebo=turned(0.45, 0.44, 0.05),
        figures=(
            Measured(
                "accuracy, ring-free images", Paired(0.9, 0.89, -0.01, -0.03, 0.01, 300), False
            ),
        ),
        groups=(Measured("malignant, ringed", share, True),),
        others=(turned(0.02, 0.11, 0.04, grew=True),),
        tolerance=0.02,
        fitted_on=(("benign, ring-free", 250),),
        filled="Among the images to fit on are only 0 ringed images of benign.",
        notes=("The images were divided by patient.",),
        layer="fc",
        features=512,
        model=known.model,
        model_sha256=known.model_sha256,
        data_fingerprint=known.data_fingerprint,
        new_model="fixed.safetensors",
        new_sha256="ab" * 32,
        command="melaudit mitigate audit --finding dark_ring.malignant",
        started="2026-11-29T21:00:00+00:00",
        seconds=61.0,
        versions={"melaudit": "0.1.0"},
    )
