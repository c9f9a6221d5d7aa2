"""Randomisation: does the map change when what the model has learned is taken away?

Looks for: maps that depend on the picture only. An edge detector gives plausible maps of any
object without ever asking the model.

Why: such a map shows the same for a model that was trained and for one that was not.

How: on at most four sampled images of a run, the map is held against that of a copy of the model
whose weights are shuffled: each tensor within itself, from the output down to the last layer, then
on to half of the layers, then to all; each image has a shuffle of its own. Both signed maps are
pooled to 32 x 32 cells, which is where edges agree and grain does not, and compared by |cosine|:
under random weights the logit's sign, and the map's with it, is a matter of chance. With all
weights shuffled a map that never asked the weights stays exactly what it was, 1.00; maps of two
trained ResNets had 0.00 to 0.86 (24 images and shuffles each of epsilon_plus_flat and
epsilon_gamma_box, medians 0.52 and 0.01). A median above 0.9 is degraded, above 0.98 a failure. The
shallower depths are told but not judged: rules that only pass positive parts send much the same
relevance to the same places from any head (0.02 to 1.00 measured), as Sixt et al. explain.

With `--randomisation-copies` the maps on both sides are means over so many copies of the image with
noise on them (Smooth MPRT, Hedstroem et al. 2024): what agrees or differs by grain alone counts for
less. It costs as many times more, so that it is no default.

What it does not see: maps that ask the lower weights but not the decision. Guided backpropagation
has 0.21 to 0.86 here; `class_sensitivity` is the check that convicts it.

Costs a copy of the model and three attributions for each such image; with k noisy copies of the
image 4 k attributions.

Do instead: use LRP or CRP with another composite.

Reference: Adebayo et al., Sanity Checks for Saliency Maps, NeurIPS 2018 (cascading and in-layer
shuffles); Sixt, Granz and Landgraf, When Explanations Lie, ICML 2020; Hedstroem et al., A fresh
look at sanity checks for saliency maps, xAI 2024.
"""

from __future__ import annotations

import contextlib
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from melaudit.detectors.checks.class_sensitivity import cosines
from melaudit.detectors.checks.grading import grade
from melaudit.detectors.interface import Attributor, Batch, Detector, Result
from melaudit.errors import MelauditError
from melaudit.findings import Check, CheckStatus, Skipped, Subject
from melaudit.measurements import GRID, Array, Measurements
from melaudit.wording.figures import correlation
from melaudit.wording.sentences import many

DEPTHS = {"head": 1e-9, "half": 0.5, "all": 1.0}
"""Share of the layers that is shuffled, from the output down; at least the last one is."""
NOISE = 0.05
"""Standard deviation of the noise on copies, as a share of the image's own range of values. Chosen:
a fourth of the usual one of SmoothGrad, so that few copies are enough."""


@dataclass(frozen=True)
class Randomisation(Detector):
    """Check that maps depend on the model's weights."""

    id = "randomisation"
    title = "Maps depend on the weights"
    subject = Subject.EXPLANATIONS
    asks = "Does the map change when the model's weights are shuffled?"
    why = "A map that survives this does not depend on what the model has learned."

    alike: tuple[float, float] = (0.9, 0.98)
    """Largest median |cosine| with all weights shuffled that passes, and that is degraded."""
    copies: int = 1
    """Noisy copies of each image that maps are averaged over; 1 is the image itself."""

    def measure(self, batch: Batch) -> Mapping[str, Array]:
        """Return |cosine| of the map and that under shuffled weights, by depth: each (N,).

        NaN where not looked at, where a map is zero or not finite, and where the model cannot be
        copied or its shuffled copy not be explained.
        """
        similarity = {depth: np.full(len(batch), np.nan) for depth in DEPTHS}
        for i in batch.check_images.few:
            # Of the image alone: the same whatever batch it is in and whoever measures it.
            seed = zlib.crc32(batch.ids[i].encode("utf-8", "surrogateescape"))
            image, explainer = batch.images.inputs[i : i + 1], batch.check_images.explainer
            target = torch.tensor([batch.maps.targets[i]], device=image.device)
            known = torch.from_numpy(batch.maps.relevance[i : i + 1]) if self.copies == 1 else None
            found = when_shuffled(explainer, image, target, seed, self.copies, known)
            for depth, cosine in found.items():
                similarity[depth][i] = cosine
        return similarity

    def conclude(self, measurements: Measurements) -> Sequence[Result]:
        """Judge by the median image with all weights shuffled."""
        similar = {depth: measurements[f"randomisation.{depth}"] for depth in DEPTHS}
        known = {depth: values[np.isfinite(values)] for depth, values in similar.items()}
        if not len(known["all"]):
            reason = "no sampled image has a map under shuffled weights to compare with"
            return [Skipped(self.id, reason)]
        medians = {depth: float(np.median(v)) for depth, v in known.items() if len(v)}
        value = medians["all"]
        status = grade(value <= self.alike[0], value <= self.alike[1])
        less = [
            f"{medians[depth]:.2f} with {layers} shuffled"
            for depth, layers in (("half", "the upper half"), ("head", "the last layer"))
            if depth in medians
        ]
        figures = "; ".join(
            [
                f"|cosine| {correlation(value)} with all weights shuffled",
                *less,
                f"median of {many(len(known['all']), 'image')}",
                *([f"each a mean over {self.copies} noisy copies"] if self.copies > 1 else []),
            ]
        )
        if status is CheckStatus.PASS:
            statement = f"Maps depend on what the model has learned ({figures})."
        else:
            statement = (
                f"Maps {'hardly' if status is CheckStatus.DEGRADED else 'do not'} depend on what "
                f"the model has learned: without it they are the same picture ({figures}). They "
                "show the image, not the model; use another composite."
            )
        return [Check(self.id, status, value, self.alike[0], statement)]


def when_shuffled(
    explainer: Attributor,
    image: Tensor,
    target: Tensor,
    seed: int,
    copies: int = 1,
    known: Tensor | None = None,
) -> dict[str, float]:
    """Return depth -> |cosine| of the map of an image (1, C, H, W) and that under shuffled weights.

    Maps are means over noisy `copies`; `known` is the model's own (1, H, W), where it is known.
    A depth is left out where the model cannot be copied, or its shuffled copy not be explained; all
    are, where the model itself cannot.
    """
    shown, targets = noisy(image, copies, seed), target.expand(copies)
    found: dict[str, float] = {}
    with contextlib.suppress(MelauditError):
        own = known if known is not None else _mean_map(explainer, shown, targets)
        random = explainer.randomised(tuple(DEPTHS.values()), seed)
        for depth, shuffled in zip(DEPTHS, random, strict=True):
            with contextlib.suppress(MelauditError):
                maps = _mean_map(shuffled, shown, targets)
                found[depth] = float(abs(cosines(pooled(own), pooled(maps))[0]))
    return found


def _mean_map(explainer: Attributor, shown: Tensor, targets: Tensor) -> Tensor:
    """Return the mean (1, H, W) of the maps of some pictures."""
    return explainer.lrp(shown, targets).detach().mean(0, keepdim=True)


def noisy(image: Tensor, copies: int, seed: int) -> Tensor:
    """Return copies (n, C, H, W) of an image (1, C, H, W) with noise on them; one is the image."""
    if copies == 1:
        return image
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(copies, *image.shape[1:], generator=generator).to(image)
    return image + noise * (NOISE * (image.max() - image.min()))


def pooled(maps: Tensor) -> Array:
    """Return signed maps (N, H, W) as means over GRID x GRID cells."""
    values = maps.detach().double().cpu()
    cells: Array = functional.adaptive_avg_pool2d(values[:, None], GRID)[:, 0].numpy()
    return cells
