"""Engine agreement: do two engines that share no code draw the same picture?

Looks for: a mistake in an engine, or a model on which the two understand the rules differently.
melaudit's own engine follows the tensors; zennit hooks the modules and merges BatchNorms. They meet
only in the rules, so where both conserve relevance they must agree.

Why: conservation sees how much relevance arrives, not where. A second, independent computation
sees where.

How: on at most four sampled images of a run, two of a batch, the signed maps of both engines, by
their cosine. Both are asked with biases that take their share of relevance, since zennit knows no
other way; melaudit's own maps by default have it handed on instead, which is a choice of rule and
moves the cosine to 0.89 to 0.997. Only images on which both maps hold 0.1 to 1.5 of the logit
count: where one engine makes relevance up or loses it the pictures differ for a known reason, and
which of the two is right is what conservation tells. For the same reason, where the run's engine
keeps books, an image counts only if both maps hold the same amount to 2 % (engines that agree: to
0.03 %): another engine that loses or makes up relevance within that range is nothing against maps
whose books close. A run whose engine keeps none gets no such benefit of the doubt. Measured on
trained ResNets (18 and 50) and random VGG and SqueezeNet: 1.0000. Where the model averages outside
a module, as DenseNet does, zennit is known to be wrong though its sum is right (see
`engines.averages`; cosine 0.67 on an untrained DenseNet): it is then no witness against maps of
dataflow, and the check is skipped. A run that was asked to use zennit is still checked. A median of
0.99 and more passes. Less is degraded and never a failure, however little it is: this check cannot
tell which of the two is wrong, and a map that fails on its own account fails elsewhere.

Whether engines agree depends on the model far more than on the image, so two images are enough.

Costs two copies of the model and four attributions for each such image.

Do instead: look at both pictures, and at the operations without a rule (`melaudit doctor`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from melaudit.detectors.checks.class_sensitivity import cosines
from melaudit.detectors.checks.grading import amount, grade
from melaudit.detectors.interface import Batch, Detector, Result
from melaudit.errors import MelauditError
from melaudit.findings import Check, CheckStatus, Skipped, Subject
from melaudit.measurements import Array, Measurements
from melaudit.wording.figures import correlation
from melaudit.wording.sentences import many

IMAGES = 2
"""Images of a batch on which both engines are run. Chosen: zennit takes three times as long."""
COLUMNS = ("applied", "cosine", "ratio", "other_ratio", "books")


@dataclass(frozen=True)
class EngineAgreement(Detector):
    """Check that two engines give the same maps."""

    id = "engine_agreement"
    title = "Two engines agree"
    subject = Subject.EXPLANATIONS
    asks = "Do two engines that share no code draw the same map?"
    why = (
        "Where both conserve relevance they must. Which of two different maps is wrong "
        "this check cannot tell, so it marks down and never rejects."
    )

    same: float = 0.99
    """Smallest median cosine that passes."""
    alike: float = 0.9
    """Smallest median cosine at which the pictures are still much the same."""
    conserved: tuple[float, float] = (0.1, 1.5)
    """Range of map sum over start, of both engines, in which they are compared."""
    apart: float = 0.02
    """Largest difference of the two, over the other's, where the run's engine keeps books."""

    def measure(self, batch: Batch) -> Mapping[str, Array]:
        """Return the cosine of the engines' maps, and map sum over start of each: (N,).

        NaN where not looked at; `applied` is 1 where both engines gave a map, 0 where there is but
        one or the other cannot take the model; `books` is 1 where the run's engine keeps them.
        """
        n = len(batch)
        measured = {k: np.full(n, np.nan) for k in COLUMNS}
        rows = batch.check_images.few[:IMAGES]
        if not len(rows):
            return measured
        measured["applied"][rows] = 0
        images = batch.images.inputs[rows]
        target = torch.from_numpy(batch.maps.targets[rows]).to(images.device)
        try:
            both = batch.check_images.explainer.both_engines(images)
            if both is None:
                return measured
            with both as engines:
                own, maps = (
                    engine.lrp(images, target).double().cpu().numpy() for engine in engines
                )
        except MelauditError:  # it cannot do this model: the conclusion says so
            return measured
        measured["applied"][rows] = 1
        measured["books"][rows] = batch.maps.absorbed is not None
        measured["cosine"][rows] = cosines(own, maps)
        with np.errstate(invalid="ignore", divide="ignore"):
            measured["ratio"][rows] = own.sum((1, 2)) / batch.maps.start[rows]
            measured["other_ratio"][rows] = maps.sum((1, 2)) / batch.maps.start[rows]
        return measured

    def conclude(self, measurements: Measurements) -> Sequence[Result]:
        """Judge by the images on which both engines conserve relevance."""
        applied, cosine, ratio, other_ratio, books = (
            measurements[f"engine_agreement.{name}"] for name in COLUMNS
        )
        tried = applied == 1
        if not tried.any():
            failed = bool((applied == 0).any())
            reason = (
                "there is no other engine, or it cannot follow this model with these rules; zennit "
                "does not follow an average that no module takes, such as x.mean((2, 3))"
            )
            return [Skipped(self.id, reason if failed else "no image was sampled for it")]
        low, high = self.conserved
        with np.errstate(invalid="ignore"):
            both = (low <= ratio) & (ratio <= high) & (low <= other_ratio) & (other_ratio <= high)
            both &= (books == 0) | (np.abs(ratio - other_ratio) <= self.apart * other_ratio)
        both &= np.isfinite(cosine)
        if 2 * both.sum() < tried.sum():
            held, other_held = _median(ratio[tried]), _median(other_ratio[tried])
            reason = (
                "with biases taking their share, for each unit of evidence this engine's maps hold "
                f"{amount(held)} and another's {amount(other_held)}; only maps that hold "
                f"{low} to {high}, and much the same, can be compared"
            )
            return [Skipped(self.id, reason)]
        value, n = float(np.median(cosine[both])), many(int(both.sum()), "image")
        status = grade(value >= self.same, True)
        figures = f"median cosine {correlation(value, 4)} over {n} on which both conserve relevance"
        if status is CheckStatus.PASS:
            statement = f"Two engines that share no code give the same maps ({figures})."
        else:
            how = "somewhat" if value >= self.alike else "much"
            statement = (
                f"Two engines that should agree give {how} different maps ({figures}). Which of "
                "them is right cannot be told from this; look at both before relying on details."
            )
        return [Check(self.id, status, value, self.same, statement)]


def _median(values: Array) -> float:
    known = values[np.isfinite(values)]
    return float(np.median(known)) if len(known) else float("nan")
