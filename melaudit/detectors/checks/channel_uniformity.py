"""Channel uniformity: do conditional maps differ from channel to channel?

Looks for: concept pictures (CRP) that show the same for every channel. It happens when relevance
goes round the layer that is conditioned on, through the skip of a residual block: every map then is
the whole map plus a trifle, and no channel's picture is its own.

Why: the pictures look convincing one by one. Concepts named after them name one picture.

How: on at most four sampled images of a run, since every channel costs a pass of its own and sound
and leaking maps lie far apart, the conditional maps of the channels with most relevance. A map must
hold its own channel's relevance and no more; how far it is from that, summed over the channels and
divided by what they hold, is the misfit. Biases absorb relevance on the way down, so what a channel
is expected to hold is scaled by what the image's whole map kept of its start. Four channels tell
what eight do: median misfits of two trained ResNets, eight images each at two layers, were the same
to .01. Measured on trained and random ResNets, VGG and DenseNet, with and without canonizers: sound
maps have a median misfit of 0.0 to 1.1 (channels lose more or less than the average), leaking ones
7 to 900, since each holds nearly everything: above 1.5 is degraded, above 4 a failure. Likeness
alone is no fault: sound maps of a trained ResNet50 have a mean |cosine| of 0.75 to 0.98, those of a
random one 0.993. Maps whose every pair agrees to 0.999 (sound ones: 0.99 at most) are degraded all
the same, and with a misfit a failure. Maps of gradient x input promise no sums, so only their
likeness is judged; occlusion has no conditional maps.

Do instead: condition on a block's output, which every path passes, and let the engine start there
(`exclude_parallel` in zennit-crp).

Reference: Achtibat et al., From attribution maps to human-understandable explanations through
Concept Relevance Propagation, Nature Machine Intelligence 5, 2023.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from melaudit.detectors.checks.grading import amount, grade
from melaudit.detectors.interface import Batch, Detector, Result
from melaudit.errors import RelevanceError
from melaudit.findings import Check, CheckStatus, Skipped, Subject
from melaudit.measurements import Array, Measurements
from melaudit.wording.figures import correlation
from melaudit.wording.sentences import many


@dataclass(frozen=True)
class ChannelUniformity(Detector):
    """Check that each channel's conditional map is its own."""

    id = "channel_uniformity"
    title = "Channels have pictures of their own"
    subject = Subject.EXPLANATIONS
    asks = "Does each channel's map show its own channel?"
    why = (
        "A channel's map must hold that channel's share and no more. When relevance leaks "
        "round the channel through a skip connection, every map holds nearly everything, "
        "and all of them are one and the same picture."
    )

    channels: int = 4
    """Channels looked at per image, those with most relevance."""
    misfit: tuple[float, float] = (1.5, 4.0)
    """Largest median misfit that passes, and that is merely degraded."""
    alike: float = 0.999
    """Smallest |cosine| of two maps at and above which they are one picture."""

    def measure(self, batch: Batch) -> Mapping[str, Array]:
        """Return, per sampled image, the maps' likeness and misfit: (N,), NaN for the others.

        `applied` is 1 where conditional maps were made, 0 where the layer does not allow any.
        """
        measured = {
            name: np.full(len(batch), np.nan)
            for name in ("applied", "filled", "mean_cosine", "min_cosine", "misfit")
        }
        maps, few = batch.maps, batch.check_images.few
        if not len(few):
            return measured
        own = maps.concepts[few].astype(np.float64)
        strongest = np.argsort(-np.abs(own), axis=1)[:, : self.channels]
        images = batch.images.inputs[few]
        targets = torch.from_numpy(maps.targets[few]).to(images.device)
        explainer = batch.check_images.explainer
        try:
            conditional = explainer.crp(images, targets, maps.layer, torch.from_numpy(strongest))
        except RelevanceError:  # the engine or the layer cannot: the conclusion says so
            measured["applied"][few] = 0
            return measured
        measured["applied"][few] = 1
        for k, i in enumerate(few):
            pictures = conditional[k].double().cpu().numpy()
            likeness = pairwise_cosines(pictures)
            if len(likeness):
                measured["mean_cosine"][i] = likeness.mean()
                measured["min_cosine"][i] = likeness.min()
            if np.isfinite(pictures).all() and pictures.any():
                measured["filled"][i] = 1
            if measured["filled"][i] == 1 and maps.conserves:
                whole = maps.relevance[i].sum(dtype=np.float64)
                measured["misfit"][i] = misfit(
                    pictures.sum((1, 2)) * maps.start[i], whole * own[k, strongest[k]]
                )
        return measured

    def conclude(self, measurements: Measurements) -> Sequence[Result]:
        """Judge likeness and misfit of the median image."""
        applied = measurements["channel_uniformity.applied"]
        if not (applied == 1).any():
            tried = int(np.isfinite(applied).sum())
            reason = f"the layer {measurements.layer} gives no conditional maps"
            if not measurements.layer:
                reason = "the model has no layer whose channels are concepts"
            return [Skipped(self.id, reason if tried else "no image was sampled for it")]
        off = _median(measurements["channel_uniformity.misfit"])
        where = f"at {measurements.layer}, median of {many(int((applied == 1).sum()), 'image')}"
        if off is None and not (measurements["channel_uniformity.filled"] == 1).any():
            statement = f"The channels' maps are empty or not finite ({where})."
            return [Check(self.id, CheckStatus.FAIL, None, self.misfit[0], statement)]
        mean = _median(measurements["channel_uniformity.mean_cosine"])
        least = _median(measurements["channel_uniformity.min_cosine"])
        if off is None:
            return [self._by_likeness(mean, least, where)]
        return [self._judged(off, mean, least, where)]

    def _by_likeness(self, mean: float | None, least: float | None, where: str) -> Result:
        """Judge maps whose sums mean nothing."""
        if mean is None or least is None:
            return Skipped(self.id, f"the layer has no two channels to tell apart ({where})")
        if least >= self.alike:
            statement = (
                f"The maps of all channels are the same (|cosine| of the two least alike "
                f"{correlation(least, 4)}; {where})."
            )
            return Check(self.id, CheckStatus.DEGRADED, least, self.alike, statement)
        statement = (
            f"The maps of the channels are not all the same (|cosine| of the two least alike "
            f"{correlation(least, 4)}, of any two {correlation(mean, 4)} on average; {where}). "
            "What they hold is not judged: the method that made them promises no amounts."
        )
        return Check(self.id, CheckStatus.PASS, least, self.alike, statement)

    def _judged(self, off: float, mean: float | None, least: float | None, where: str) -> Check:
        status = grade(off <= self.misfit[0], off <= self.misfit[1])
        alike = least is not None and least >= self.alike
        if alike:
            status = CheckStatus.DEGRADED if status is CheckStatus.PASS else CheckStatus.FAIL
        figures = f"misfit {amount(off)}; {where}"
        if status is CheckStatus.PASS:
            statement = f"Each channel's map holds the relevance of its own channel ({figures})."
        elif alike and status is CheckStatus.DEGRADED:
            statement = (
                f"The maps of all channels are the same, though each holds no more than its "
                f"channel's relevance ({figures}): they tell channels apart by strength only."
            )
        else:
            what = (
                "The maps of all channels are the same: each holds nearly the whole map"
                if alike
                else "The maps do not hold the relevance of their channels"
            )
            statement = (
                f"{what}, off by {amount(off)} times their channels' relevance ({figures}). "
                "Relevance goes round the layer or is made up below it, so CRP is broken there; "
                "condition on a block's output."
            )
        if mean is not None and not alike:
            statement += (
                " Maps of several channels may look alike where these answer to the same place; "
                f"that is no fault (mean |cosine| {correlation(mean, 4)})."
            )
        return Check(self.id, status, off, self.misfit[0], statement)


def pairwise_cosines(maps: Array) -> Array:
    """Return |cosine| of every two of the maps (k, H, W) that are neither zero nor infinite."""
    rows = maps.reshape(len(maps), -1)
    largest = np.abs(rows).max(1, keepdims=True)
    fine = (largest > 0)[:, 0] & np.isfinite(largest)[:, 0]
    rows = rows[fine] / largest[fine]
    rows = rows / np.sqrt((rows**2).sum(1, keepdims=True))
    cosine: Array = np.abs(rows @ rows.T)[np.triu_indices(len(rows), 1)]
    return cosine


def misfit(held: Array, expected: Array) -> float:
    """Return how far the maps' sums (k,) are from those expected (k,), over the latter's size.

    Infinite, or NaN, where nothing is expected.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        return float(np.abs(held - expected).sum() / np.abs(expected).sum())


def _median(values: Array) -> float | None:
    known = values[~np.isnan(values)]
    return float(np.median(known)) if len(known) else None
