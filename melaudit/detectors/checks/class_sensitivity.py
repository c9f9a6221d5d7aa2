"""Class sensitivity: does the map change when another class is explained?

Looks for: maps that show the same whatever class they are asked about, as guided backpropagation
and other positive-only rules give them: they sharpen the picture and explain no decision.

Why: such a map lights up the object for one class and for the other alike. Nothing can be
concluded from where it is bright.

How: on the sampled images, the map of the predicted class is held against that of the least likely
one (the other one, if there are two), by the cosine of the two signed maps. The direction is what
matters, not the likeness: rules that only pass positive parts send all evidence down much the same
path, so sound maps of opposite classes are near mirror images, cosine -0.99 on trained networks of
two classes, and dividing each by its logit would make them alike. So where the two logits have
opposite signs, sound maps are opposed too: a median cosine above 0 is degraded, above 0.5 a failure
(guided backpropagation +0.98 to +1.00; sound rules -1.00 to -0.94). Where no logit is negative the
sign tells nothing, and only maps that agree to 0.9999 fail (degraded from 0.999; a random ResNet50
with sound rules has 0.995). A model with one logit has one map and its negative: skipped.

Do instead: use a composite with the epsilon rule at the head, such as epsilon_plus_flat.

Reference: Sixt, Granz and Landgraf, When Explanations Lie: Why Many Modified BP Attributions Fail,
ICML 2020; Adebayo et al., Sanity Checks for Saliency Maps, NeurIPS 2018.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from melaudit.detectors.checks.grading import grade
from melaudit.detectors.interface import Batch, Detector, Result
from melaudit.findings import Check, CheckStatus, Skipped, Subject
from melaudit.logits import one_logit
from melaudit.measurements import Array, Measurements
from melaudit.wording.figures import correlation
from melaudit.wording.sentences import many


@dataclass(frozen=True)
class ClassSensitivity(Detector):
    """Check that maps depend on the class they explain."""

    id = "class_sensitivity"
    title = "Maps depend on the class"
    subject = Subject.EXPLANATIONS
    asks = "Does the map change when another class is explained?"
    why = "A map that looks the same for every class shows edges of the picture, not reasons."

    opposed: tuple[float, float] = (0.0, 0.5)
    """Largest median cosine that passes, and that is merely degraded, for logits of two signs."""
    agreeing: tuple[float, float] = (0.999, 0.9999)
    """The same where no logit of the two is negative."""

    def measure(self, batch: Batch) -> Mapping[str, Array]:
        """Return the cosine of two classes' maps, and whether their logits have two signs: (N,).

        NaN where not sampled, where there is but one logit, and where a map is zero or not finite.
        """
        n, answers = len(batch), batch.answers
        cosine, opposed = np.full(n, np.nan), np.full(n, np.nan)
        rows = batch.check_images.rows
        if len(rows) and not one_logit(answers.logits):
            logits, targets = answers.logits[rows], batch.maps.targets[rows]
            others = least_likely(logits, targets)
            images = batch.images.inputs[rows]
            explainer = batch.check_images.explainer
            maps = explainer.lrp(images, torch.from_numpy(others).to(images.device))
            cosine[rows] = cosines(batch.maps.relevance[rows], maps.float().cpu().numpy())
            each = np.arange(len(rows))
            opposed[rows] = logits[each, targets] * logits[each, others] < 0
        return {"cosine": cosine, "opposed": opposed}

    def conclude(self, measurements: Measurements) -> Sequence[Result]:
        """Judge by the images whose logits have two signs, or failing those by the others."""
        if one_logit(measurements.logits):
            reason = "the model has one logit, so the other class's map is this one negated"
            return [Skipped(self.id, reason)]
        cosine = measurements["class_sensitivity.cosine"]
        two_signs = measurements["class_sensitivity.opposed"] == 1
        known = np.isfinite(cosine)
        if not known.any():
            return [Skipped(self.id, "no sampled image gave two maps that can be compared")]
        strong = known & two_signs
        if 2 * strong.sum() >= known.sum():
            return [self._by_direction(cosine[strong])]
        return [self._by_likeness(cosine[known & ~two_signs])]

    def _by_direction(self, cosine: Array) -> Check:
        value, n = float(np.median(cosine)), many(len(cosine), "image")
        status = grade(value <= self.opposed[0], value <= self.opposed[1])
        if status is CheckStatus.PASS:
            statement = (
                f"Maps depend on the class: those of the predicted and of the least likely class "
                f"are opposed (median cosine {correlation(value)} over {n})."
            )
        else:
            statement = (
                f"Maps hardly depend on the class: the model speaks for one and against the other, "
                f"yet the map of the least likely class points the same way as that of the "
                f"predicted one (median cosine {correlation(value, 3)} over {n}). They "
                "explain no decision; use another composite."
            )
        return Check(self.id, status, value, self.opposed[0], statement)

    def _by_likeness(self, cosine: Array) -> Check:
        value, n = float(np.median(cosine)), many(len(cosine), "image")
        status = grade(value <= self.agreeing[0], value <= self.agreeing[1])
        compared = f"median cosine {correlation(value, 4)} over {n}, logits of one sign"
        if status is CheckStatus.PASS:
            statement = f"Maps of the predicted and of the least likely class differ ({compared})."
        else:
            statement = (
                f"Maps of the predicted and of the least likely class are the same picture "
                f"({compared}). They explain no decision; use another composite."
            )
        return Check(self.id, status, value, self.agreeing[0], statement)


def least_likely(logits: Array, targets: Array) -> Array:
    """Return, per image, the class with the smallest of the logits (N, K) but the target: (N,)."""
    others = logits.astype(np.float64)
    others[np.arange(len(others)), targets] = np.inf
    index: Array = others.argmin(1)
    return index


def cosines(a: Array, b: Array) -> Array:
    """Return the cosine of each pair of signed maps (N, H, W), (N,); NaN where one has no length.

    Scaled before squaring: relevance may be anything from 1e-20 to 1e20.
    """
    flat = []
    for maps in (a, b):
        rows = maps.reshape(len(maps), -1).astype(np.float64)
        with np.errstate(invalid="ignore", divide="ignore"):
            rows = rows / np.abs(rows).max(1, keepdims=True)
            flat.append(rows / np.sqrt((rows**2).sum(1, keepdims=True)))
    cosine: Array = (flat[0] * flat[1]).sum(1)
    return cosine
