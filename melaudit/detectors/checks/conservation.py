"""Conservation: is the evidence in a map the evidence that was put in at the output?

Looks for: relevance that is made up or lost between the logit and the pixels. Relevance starts
with the logit's own value and is only passed on, so what the map sums to, together with what
biases and stabilisers kept, must be that value again.

Why: a map can look perfectly plausible and be wrong. Zennit on a ResNet without a canonizer doubles
relevance at every residual sum; the pictures still show the object, the sum is off by thousands.

How: per image, the sum of the map over the starting relevance. An engine that keeps books of what
was absorbed must close them: the median image may be off by one in a thousand (degraded up to one
in a hundred). Where there are no books, a bare 1 cannot be asked for: with zennit's usual rules
the biases of sound networks keep 10 to 80 % (measured on trained and on random ones), and networks
whose relevance is made up hold 3.7 to 10^8 units for each unit of evidence. So the maps must hold
0.1 to 1.5 (degraded from 0.01 to 3). Closed books with a ratio outside of that are degraded: the
maps are right, but show hardly anything, or a difference of large numbers.
Images whose logit is next to nothing say nothing about a ratio and are left out. Gradient x input
and occlusion, which stand in where LRP fails, promise no sum at all: their maps must be finite, and
are degraded whatever they sum to, since nothing vouches for the amounts in them.

Do instead: choose the engine `dataflow`, or a canonizer made for the architecture.

Reference: Bach et al., On Pixel-Wise Explanations for Non-Linear Classifier Decisions by Layer-Wise
Relevance Propagation, PLoS ONE 10(7), 2015, eq. 2.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from melaudit.detectors.checks.grading import amount, bound, grade, worse
from melaudit.detectors.interface import Batch, Detector, Result
from melaudit.findings import Check, CheckStatus, Skipped, Subject
from melaudit.measurements import Array, Measurements
from melaudit.wording.sentences import many


@dataclass(frozen=True)
class Conservation(Detector):
    """Check that maps sum to the logit they explain."""

    id = "conservation"
    title = "Relevance is conserved"
    subject = Subject.EXPLANATIONS
    asks = "Does the relevance that reaches the picture add up to the model's output?"
    why = (
        "A sum that is far off means that relevance was made up or lost on the way; each "
        "residual block counted twice doubles it."
    )

    books: tuple[float, float] = (1e-3, 1e-2)
    """Largest error of the books, over the start, that passes and that is merely degraded."""
    passes: tuple[float, float] = (0.1, 1.5)
    """Range of map sum over start that passes where there are no books."""
    degraded: tuple[float, float] = (0.01, 3.0)
    """Range that is merely degraded."""
    faint: float = 0.1
    """Images whose start is below this share of the median one are left out."""
    broken: float = 0.01
    """Share of images without a finite sum above which the check fails."""

    def measure(self, batch: Batch) -> Mapping[str, Array]:
        """Return what each map sums to, what it started with and what was absorbed, each (N,)."""
        n, maps = len(batch), batch.maps
        absorbed = np.full(n, np.nan) if maps.absorbed is None else maps.absorbed
        with np.errstate(invalid="ignore"):  # infinities of both signs: NaN says it
            total = maps.relevance.sum((1, 2), dtype=np.float64)
        return {
            "sum": total,
            "start": maps.start.astype(np.float64),
            "absorbed": absorbed.astype(np.float64),
            "unknown": np.full(n, len(maps.unknown), np.int64),
            "promised": np.full(n, maps.conserves),
        }

    def conclude(self, measurements: Measurements) -> Sequence[Result]:
        """Compare what came out with what went in."""
        total, start = measurements["conservation.sum"], measurements["conservation.start"]
        absorbed = measurements["conservation.absorbed"]
        finite = np.isfinite(total) & np.isfinite(start)
        lost = 1 - finite.mean() if len(total) else 0.0
        if lost > self.broken:
            return [self._not_finite(int(np.count_nonzero(~finite)), len(total))]
        if not measurements["conservation.promised"].all():
            return [self._not_promised(total[finite], start[finite])]
        strong = finite & (start != 0)
        if not strong.any():
            return [Skipped(self.id, "no image has a logit other than zero to compare a map with")]
        strong &= np.abs(start) >= self.faint * np.median(np.abs(start[strong]))
        ratio = float(np.median(np.abs(total[strong] / start[strong])))
        balanced = strong & np.isfinite(absorbed)
        if balanced.any():
            error = np.abs(total + absorbed - start)[balanced] / np.abs(start[balanced])
            check = self._with_books(ratio, float(np.median(error)))
        else:
            check = self._without_books(ratio)
        n, unknown = int(np.count_nonzero(strong)), int(measurements["conservation.unknown"].max())
        notes = [f"Median of {many(n, 'image')}"]
        if n < len(total):
            notes.append(f"{len(total) - n} with next to no evidence left out")
        statement = f"{check.statement} ({'; '.join(notes)}.)"
        if unknown:
            check = replace(check, status=worse(check.status, CheckStatus.DEGRADED))
            statement += (
                f" {many(unknown, 'operation')} of the model had no rule, so relevance took the "
                "plain gradient there."
            )
        return [replace(check, statement=statement)]

    def _not_finite(self, n: int, of: int) -> Check:
        statement = (
            f"{n} of {of} maps hold NaN or infinite relevance: on the way down something is "
            "divided by zero or overflows. Use the engine dataflow or another composite."
        )
        return Check(self.id, CheckStatus.FAIL, n / of, self.broken, statement)

    def _not_promised(self, total: Array, start: Array) -> Check:
        ratios = np.abs(total[start != 0] / start[start != 0])
        held = f" (here {amount(float(np.median(ratios)))}, median)" if len(ratios) else ""
        statement = (
            "The method that made these maps does not pass on relevance, so a map may hold any "
            f"amount for each unit of evidence{held}: where a map is bright can be read, how much "
            "it holds cannot."
        )
        return Check(self.id, CheckStatus.DEGRADED, None, self.books[0], statement)

    def _with_books(self, ratio: float, error: float) -> Check:
        status = grade(error <= self.books[0], error <= self.books[1])
        if status is CheckStatus.FAIL:
            statement = (
                f"Relevance goes missing or is made up: of each unit of evidence {amount(error)} "
                "is found neither in the map nor in what biases and stabilisers absorbed."
            )
        else:
            statement = (
                f"For each unit of evidence the map holds {amount(ratio)}; biases and stabilisers "
                f"account for the rest to within {bound(error)}."
            )
        if not self.passes[0] <= ratio <= self.passes[1]:
            status = worse(status, CheckStatus.DEGRADED)
            statement += (
                " That is so little that the map shows hardly any of it."
                if ratio < 1
                else " That is so much that map and biases are large numbers that cancel."
            )
        return Check(self.id, status, error, self.books[0], statement)

    def _without_books(self, ratio: float) -> Check:
        status = grade(
            self.passes[0] <= ratio <= self.passes[1],
            self.degraded[0] <= ratio <= self.degraded[1],
        )
        held = f"for each unit of evidence the map holds {amount(ratio)}"
        if status is CheckStatus.PASS:
            statement = f"Relevance is conserved: {held}, and biases may keep the rest."
        elif ratio > 1:
            statement = (
                f"Relevance is made up on its way to the pixels: {held}. Residual sums or "
                "normalisations are not accounted for; use the engine dataflow or a canonizer made "
                "for the architecture."
            )
        else:
            statement = (
                f"Relevance is lost on its way to the pixels: {held}. Biases or normalisations "
                "take nearly all of it; use the engine dataflow, which says where it stays."
            )
        return Check(self.id, status, ratio, self.passes[ratio > 1], statement)
