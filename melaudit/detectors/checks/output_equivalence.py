"""Output equivalence: does the explained model say what the model itself says?

Looks for: an engine that changes the model it explains. Zennit's canonizers merge each BatchNorm
into a convolution and replace modules; where they take the wrong pair, the maps explain a network
nobody has. A model that gives other outputs every time it is asked shows here as well.

Why: a map of another network may be perfectly conserved and is still not this model's reason.

How: on the sampled images, the logits that came with the maps, from the engine's own forward pass,
are held against those of the model as it was given, with everything taken off it. The largest
difference is divided by the image's largest logit; the worst image counts. Rounding alone gives up
to 9e-6 (trained ResNets, engine dataflow). Merging as zennit does it leaves each BatchNorm's own
stabiliser in place, 5e-6 for each of them: 9e-5 on a ResNet18, 5e-4 on a ResNet50, which no map
shows. So up to 1e-3 passes. Up to 1e-2 no decision but the closest changes: degraded. Beyond that
it is another model. Images whose logits all but vanish are measured by the median image's.

Costs one forward pass of the sampled images, and puts the engine on the model anew.

Do instead: use the engine `dataflow`, which changes no weight, or the canonizer `none`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from melaudit.detectors.checks.grading import bound, grade
from melaudit.detectors.interface import Batch, Detector, Result
from melaudit.errors import MelauditError
from melaudit.findings import Check, CheckStatus, Skipped, Subject
from melaudit.measurements import Array, Measurements
from melaudit.wording.sentences import many


@dataclass(frozen=True)
class OutputEquivalence(Detector):
    """Check that the engine's logits are those of the model."""

    id = "output_equivalence"
    title = "The explained model is the model"
    subject = Subject.EXPLANATIONS
    asks = "Are the explained model's outputs those of the model itself?"
    why = "Explaining may not alter the model; beyond rounding, nothing may differ."

    limits: tuple[float, float] = (1e-3, 1e-2)
    """Largest relative difference of the worst image that passes, and that is merely degraded."""
    faint: float = 0.1
    """An image's scale is at least this share of the median image's largest logit."""

    def measure(self, batch: Batch) -> Mapping[str, Array]:
        """Return the largest difference of two logits and the largest logit, each (N,).

        NaN where not sampled and where the model by itself cannot be run; infinite where only one
        of the two is a number.
        """
        n = len(batch)
        difference, scale = np.full(n, np.nan), np.full(n, np.nan)
        rows = batch.check_images.rows
        if len(rows):
            try:
                logits = batch.check_images.explainer.logits(batch.images.inputs[rows])
            except MelauditError:  # the conclusion says that nothing was compared
                return {"difference": difference, "scale": scale}
            own = logits.double().cpu().numpy()
            engines = batch.answers.logits[rows].astype(np.float64)
            difference[rows] = largest_difference(engines, own)
            scale[rows] = np.abs(own).max(1)
        return {"difference": difference, "scale": scale}

    def conclude(self, measurements: Measurements) -> Sequence[Result]:
        """Judge by the worst image."""
        difference = measurements["output_equivalence.difference"]
        scale = measurements["output_equivalence.scale"]
        compared = ~np.isnan(difference)
        if not compared.any():
            return [Skipped(self.id, "no sampled image could be run through the bare model")]
        off = float(relative(difference[compared], scale[compared], self.faint).max())
        status = grade(off <= self.limits[0], off <= self.limits[1])
        by = f"by at most {bound(off)} of the largest logit"
        over = f"compared on {many(int(compared.sum()), 'image')} with the engine taken off"
        if status is CheckStatus.PASS:
            statement = f"The engine's logits are the model's own: they differ {by} ({over})."
        elif not np.isfinite(off):
            statement = f"The engine's logits are not finite where the model's own are ({over})."
        else:
            statement = (
                f"The engine's logits differ from the model's own {by} ({over}): the maps explain "
                "an altered model, or the model answers differently every time. Use the engine "
                "dataflow or another canonizer."
            )
        return [Check(self.id, status, off, self.limits[0], statement)]


def largest_difference(a: Array, b: Array) -> Array:
    """Return the largest |a - b| of each row of a and b (N, K): (N,).

    Infinite where only one is a number; the same infinities, or NaN on both sides, do not differ.
    """
    with np.errstate(invalid="ignore"):
        apart = np.abs(a - b)
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    largest: Array = np.where(same, 0.0, np.where(np.isfinite(apart), apart, np.inf)).max(1)
    return largest


def relative(difference: Array, scale: Array, faint: float) -> Array:
    """Return differences (n,) over scales (n,), none taken as smaller than `faint` of the median.

    0 over 0 is 0.
    """
    finite = scale[np.isfinite(scale)]
    least = faint * float(np.median(finite)) if len(finite) else 0.0
    with np.errstate(invalid="ignore", divide="ignore"):
        off: Array = np.where(difference == 0, 0.0, difference / np.fmax(scale, least))
    return np.where(np.isnan(off), np.inf, off)
