"""Faithfulness: does the output fall when what the map marks is taken away?

Looks for: maps that point at places the model does not use.

Why: a map may be conserved, depend on class and weights, and still mark the wrong place.

How: on the sampled images the map's positive relevance is pooled to 8 x 8 cells; the 10, 20 and 30
% of cells with most of it are filled with the image's own mean colour, and so are as many random
cells, twice over. How much further the target's logit falls without the marked cells than without
the random ones, averaged over the three shares, is the image's advantage. It counts in units of the
median image's logit. The mean advantage has a bootstrap 95 % interval: above zero it passes, below
zero the maps point away from what the model uses and it fails, and where zero is inside nothing was
shown: degraded. Measured on 16 images: sound maps of two trained ResNets +0.71 (0.36 to 1.16) and
+0.27 (0.04 to 0.48), the same maps negated -0.09 (-0.27 to 0.12) and -0.16 (-0.27 to -0.05), a blob
in the middle of the image +0.07 and -0.06 (both around zero). A map with no truth in it passes by
chance in one of forty audits, on few images somewhat more often. Filling with a blurred image gives
the same order but a third to a half of the effect, and leaves dark rings dark. Filled images are
unlike any in training; random cells suffer from that as well, which is why they are the comparison
(Hooker et al. 2019). Fewer than 8 images are too few for the interval: skipped.

How often cells are drawn hardly matters beside how much images differ: of two trained ResNets on 32
images each, the advantage differed by 0.41 and 0.39 from image to image and by 0.11 and 0.12 from
draw to draw, so that 16 images have an interval of +-0.202 and +-0.194 with two draws, and of
+-0.200 and +-0.192 with six.

Costs 9 forward passes of each sampled image.

Do instead: use another composite, or take more images (`--check-images`).

Reference: Samek et al., Evaluating the Visualization of What a Deep Neural Network Has Learned,
IEEE TNNLS 28(11), 2017; Hooker et al., A Benchmark for Interpretability Methods in Deep Neural
Networks, NeurIPS 2019.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from melaudit.detectors.interface import Batch, Detector, Result
from melaudit.errors import MelauditError
from melaudit.findings import Check, CheckStatus, Skipped, Subject
from melaudit.logits import explained
from melaudit.measurements import Array, Measurements
from melaudit.statistics.estimates import mean
from melaudit.wording.sentences import many

CELLS = 8
"""Side of the grid of cells that are deleted."""
AT_ONCE = 20
"""Images that the model is shown at a time, at least. Chosen: a processor takes fewer more
slowly."""


@dataclass(frozen=True)
class Faithfulness(Detector):
    """Check that deleting what maps mark costs more than deleting anything else."""

    id = "faithfulness"
    title = "Maps mark what the model uses"
    subject = Subject.EXPLANATIONS
    asks = "Does the output fall when what the map marks is taken away?"
    why = (
        "If covering the marked places changes the output no more than covering random "
        "ones, the map does not mark what the model uses."
    )

    shares: tuple[float, ...] = (0.1, 0.2, 0.3)
    """Shares of the cells that are deleted."""
    draws: int = 2
    """Random deletions of each share."""
    fewest: int = 8
    """Images from which on the interval says anything."""

    def measure(self, batch: Batch) -> Mapping[str, Array]:
        """Return how much further the target's logit falls than by chance, in logits: (N,).

        NaN where not sampled, where a map has no positive relevance or is not finite, and where
        the model by itself cannot be run.
        """
        advantage = np.full(len(batch), np.nan)
        every = batch.maps.relevance
        rows = [
            i
            for i in batch.check_images.rows
            if np.isfinite(every[i]).all() and (every[i] > 0).any()
        ]
        each = len(self.shares) * (1 + self.draws)
        at_once = max(1, -(-AT_ONCE // each))
        for some in (rows[k : k + at_once] for k in range(0, len(rows), at_once)):
            images = torch.cat([self._without(batch, i) for i in some])
            try:
                logits = batch.check_images.explainer.logits(images).double().cpu().numpy()
            except MelauditError:  # the conclusion says if none was left
                continue
            for i, own in zip(some, logits.reshape(len(some), each, -1), strict=True):
                left = explained(own, int(batch.maps.targets[i]))
                by_share = left.reshape(len(self.shares), 1 + self.draws)
                advantage[i] = (by_share[:, 1:].mean(1) - by_share[:, 0]).mean()
        return {"advantage": advantage}

    def _without(self, batch: Batch, i: int) -> Tensor:
        """Return image i of a batch without its marked cells, and without random ones."""
        relevance = batch.maps.relevance[i].astype(np.float64)
        cells = grid(*relevance.shape)
        # Of the image alone: the same whatever batch it is in and whoever measures it.
        seed = zlib.crc32(batch.ids[i].encode("utf-8", "surrogateescape"))
        rng = np.random.default_rng(seed)
        deletions = self._deletions(by_relevance(relevance, cells), rng)
        return without(batch.images.inputs[i], cells, deletions)

    def conclude(self, measurements: Measurements) -> Sequence[Result]:
        """Judge by the interval of the mean advantage."""
        advantage = measurements["faithfulness.advantage"]
        known = np.isfinite(advantage)
        n = int(known.sum())
        if n < self.fewest:
            reason = f"{many(n, 'image')} could be measured; the interval needs {self.fewest}"
            return [Skipped(self.id, reason)]
        each, targets = np.flatnonzero(known), measurements.targets[known]
        logits = explained(measurements.logits[each].astype(np.float64), targets)
        scale = float(np.median(np.abs(logits)))
        if not np.isfinite(scale) or scale == 0:
            return [Skipped(self.id, "the logits are zero, so none can fall")]
        gain = mean(advantage[known] / scale, measurements.seed)
        figures = (
            f"{gain.value:+.2f} of a logit of typical size, 95 % interval {gain.low:+.2f} to "
            f"{gain.high:+.2f}, {many(n, 'image')}"
        )
        if gain.low > 0:
            status = CheckStatus.PASS
            statement = (
                "Deleting what the maps mark lowers the output further than deleting as much "
                f"elsewhere ({figures})."
            )
        elif gain.high < 0:
            status = CheckStatus.FAIL
            statement = (
                "Deleting what the maps mark lowers the output less than deleting as much "
                f"elsewhere ({figures}): the maps point away from what the model uses. Use another "
                "composite."
            )
        else:
            status = CheckStatus.DEGRADED
            statement = (
                "Deleting what the maps mark was not shown to lower the output further than "
                f"deleting as much elsewhere ({figures}). Take more images or another composite."
            )
        return [Check(self.id, status, gain.value, 0.0, statement)]

    def _deletions(
        self, marked: NDArray[np.intp], rng: np.random.Generator
    ) -> list[NDArray[np.intp]]:
        """Return which cells to delete: for each share the marked ones, then random ones."""
        deletions = []
        for share in self.shares:
            count = max(1, round(share * len(marked)))
            deletions.append(marked[:count])
            deletions += [rng.permutation(len(marked))[:count] for _ in range(self.draws)]
        return deletions


def grid(height: int, width: int) -> NDArray[np.intp]:
    """Return the cell that each pixel lies in, (H, W): CELLS x CELLS cells, row by row.

    A side of fewer pixels has as many cells.
    """
    rows, columns = min(CELLS, height), min(CELLS, width)
    row, column = np.arange(height) * rows // height, np.arange(width) * columns // width
    return row[:, None] * columns + column


def by_relevance(relevance: Array, cells: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return the cells ordered by mean positive relevance (H, W), the largest first."""
    weights = relevance.clip(min=0) / relevance.max()
    sums = np.bincount(cells.ravel(), weights.ravel())
    return np.argsort(-sums / np.bincount(cells.ravel()), kind="stable")


def without(x: Tensor, cells: NDArray[np.intp], deletions: Sequence[NDArray[np.intp]]) -> Tensor:
    """Return copies (n, C, H, W) of x (C, H, W), in each some cells filled with x's mean colour."""
    gone = torch.from_numpy(np.stack([np.isin(cells, d) for d in deletions]))[:, None]
    return torch.where(gone.to(x.device), x.mean((1, 2), keepdim=True), x)
