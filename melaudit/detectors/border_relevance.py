"""Relevance at the border: does the model look at the edge of some images of a class?

Looks for: a group of images of one predicted class with far more relevance in the outer tenth, in
the corners or in one corner than the rest of the class. Images with a black ring are left out. What
remains are white frames, vignettes, rulers, labels and ink at the edge.
Why: nothing diagnostic is at the edge. What is there comes from the instrument or the clinic.
How scored: the share of relevance of each image, on the logit scale, is standardised by median and
MAD of the ring-free images of its predicted class. Padding puts relevance on the edge of all of
them, so no fixed threshold is right. Images more than 3 units above the median are counted against
images as far below it: under the null the distribution is symmetric, and a sign test compares the
two counts. A class that merely varies much is symmetric, too, and raises no alarm.
Do instead: look at the images that are named, and crop what does not belong there.
Reference: Barber and Candes 2015, who estimate false alarms by counting on the opposite side.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from melaudit.detectors.claim import Claim, evidence_of, finding
from melaudit.detectors.interface import Batch, Detector, Result
from melaudit.findings import (
    Evidence,
    Finding,
    Mitigation,
    NotFound,
    Rung,
    Skipped,
    Table,
)
from melaudit.measurements import Array, Measurements
from melaudit.statistics.correction import bonferroni, clear
from melaudit.statistics.estimates import Tested, proportion
from melaudit.wording.sentences import interval, many, percent

BAND_SHARE = 0.1
"""Width of the border band, as a share of the side. Chosen, not measured."""
CORNER_SHARE = 0.19
"""Side of a corner square, as a share of the side. Chosen, not measured."""
REGIONS = {"band": "the outer tenth", "corners": "the corners", "corner": "one corner"}

MIN_DEVIATION = 3.0
"""Robust units (median absolute deviations, scaled) beyond which an image stands out. Chosen,
not measured."""
MIN_IMAGES = 30
"""Images of a predicted class that a distribution needs. Chosen, not measured."""
MIN_OUT, MIN_SHARE_OUT = 5, 0.01
"""Images that must stand out before they are a group: this many, and this share of their class.
Chosen, not measured."""
SHARE_OFFSET = 0.005
"""Added to shares so that their logit stays finite."""

RowMask = NDArray[np.bool_]


class BorderRelevance(Detector):
    """Images that carry far more relevance at their border than others of their class."""

    id = "border_relevance"
    title = "Relevance at the border"
    sums_places = True

    def measure(self, batch: Batch) -> Mapping[str, Array]:
        """Add up each map's relevance in the band and in the corners; NaN for a map of nothing."""
        signed = batch.maps.relevance
        absolute = np.abs(signed)
        total = absolute.sum((1, 2), dtype=np.float64)
        total = np.where(np.isfinite(total) & (total > 0), total, np.nan)
        height, width = signed.shape[1:]
        inside = _inside(height, width)
        corners = np.stack(
            [absolute[:, y, x].sum((1, 2), dtype=np.float64) for y, x in _corners(height, width)], 1
        )
        on_band = total - absolute[:, *inside].sum((1, 2), dtype=np.float64)
        net = signed.sum((1, 2), dtype=np.float64) - signed[:, *inside].sum(
            (1, 2), dtype=np.float64
        )
        columns = {
            "band": on_band,
            "band_signed": net,
            "corners": corners.sum(1),
            "corner": corners.max(1),
        }
        return {name: (part / total).astype(np.float32) for name, part in columns.items()}

    def conclude(self, measurements: Measurements) -> Sequence[Result]:
        """Look for images of one predicted class that stand out from the rest of it."""
        if not measurements.explanations.usable:
            return [Skipped(self.id, f"the maps are {measurements.explanations}")]
        if not measurements.above_chance:
            return [Skipped(self.id, "the predictions do not follow the labels")]
        ringed = _ringed(measurements)
        borders = tuple(
            border
            for target in range(len(measurements.classes))
            if (border := _border(measurements, target, ringed)) is not None
        )
        if not borders:
            kind = "" if ringed is None else " without a ring"
            return [Skipped(self.id, f"no predicted class has {MIN_IMAGES} images{kind}")]
        classes = measurements.classes
        return [
            Claim(
                self.id,
                borders,
                evidence=lambda settled: tuple(e for b in settled for e in _evidence(b, classes)),
                word=partial(_word, self.id, measurements),
            )
        ]


def _word(
    identity: str,
    measurements: Measurements,
    borders: tuple[Border, ...],
    evidence: tuple[Evidence, ...],
) -> Sequence[Finding | NotFound]:
    """Claim the groups that stand out, or say that none does."""
    tested = [border.group for border in borders]
    found = [group for group in tested if group.reached]
    if not found:
        return [_missed(identity, tested)]
    return [_finding(identity, measurements, tested, found, evidence)]


def _inside(height: int, width: int) -> tuple[slice, slice]:
    """Return rows and columns of what the band encloses."""
    y, x = max(1, round(BAND_SHARE * height)), max(1, round(BAND_SHARE * width))
    return slice(y, height - y), slice(x, width - x)


def _corners(height: int, width: int) -> list[tuple[slice, slice]]:
    """Return rows and columns of the four corner squares."""
    y, x = max(1, round(CORNER_SHARE * height)), max(1, round(CORNER_SHARE * width))
    return [
        (rows, columns)
        for rows in (slice(y), slice(height - y, None))
        for columns in (slice(x), slice(width - x, None))
    ]


def _ringed(measurements: Measurements) -> RowMask | None:
    """Return which images have a ring, None when nobody looked."""
    try:
        return measurements["dark_ring.present"].astype(bool)
    except KeyError:
        return None


@dataclass(frozen=True)
class Standout:
    """The images of one predicted class that stand out in one region."""

    target: int
    region: str
    rows: NDArray[np.int64]
    """Those without a ring, the farthest out first; with a ring when rings account for all."""
    ringed: int
    """Images with a ring that stand out besides."""
    below: int
    """Images as far below the rest."""
    of: int
    """Images that were looked at, of the same kind (with or without a ring)."""
    out: Tested
    """Share of images that stand out; p against as many below, counts the regions tried."""
    share: float
    """Mean share of relevance in the region, of those that stand out."""
    usual: float
    """Median of the reference."""
    line: float
    """Share from which an image stands out."""
    by_rings: bool
    """Whether all that stands out is accounted for by rings."""

    @property
    def reached(self) -> bool:
        """Whether more stand out than the mirrored distribution explains, and enough of them."""
        return clear(self.out) and len(self.rows) >= max(MIN_OUT, MIN_SHARE_OUT * self.of)


@dataclass(frozen=True)
class Border:
    """One predicted class: its ring-free images, and those with a ring held against them."""

    plain: Standout
    ringed: Standout | None
    """None where no image of the class shows a ring."""

    @property
    def group(self) -> Standout:
        """The images to speak of: ringed ones only where nothing stands out among the others."""
        if self.ringed is None or self.plain.reached or not self.ringed.reached:
            return self.plain
        return self.ringed


def _border(measurements: Measurements, target: int, ringed: RowMask | None) -> Border | None:
    """Return what stands out in a predicted class; None when the class is too small."""
    of = (measurements.targets == target) & np.isfinite(measurements["border_relevance.band"])
    free = of if ringed is None else of & ~ringed
    if free.sum() < MIN_IMAGES:
        return None
    return Border(
        _clearest(measurements, target, free, of & ~free, rings=False),
        _clearest(measurements, target, free, of & ~free, rings=True)
        if free.sum() < of.sum()
        else None,
    )


def _clearest(
    measurements: Measurements, target: int, free: RowMask, others: RowMask, *, rings: bool
) -> Standout:
    """Return the region in which images stand out most clearly."""
    each = [_standing_out(measurements, target, r, free, others, rings) for r in REGIONS]
    return min(each, key=lambda group: group.out.p_value)


def _standing_out(
    measurements: Measurements,
    target: int,
    region: str,
    free: RowMask,
    others: RowMask,
    rings: bool,
) -> Standout:
    """Count who stands out in a region, in units of the ring-free images of the class."""
    share = measurements[f"border_relevance.{region}"].astype(np.float64)
    with np.errstate(invalid="ignore"):
        logit = np.log((share + SHARE_OFFSET) / (1 - share + SHARE_OFFSET))
    middle = float(np.median(logit[free]))
    unit = 1.4826 * float(np.median(np.abs(logit[free] - middle)))
    # Half of a class may be alike to the last digit; then nothing can be said to stand out.
    away = (logit - middle) / unit if unit > 1e-9 else np.zeros_like(logit)
    chosen = others if rings else free
    up = np.flatnonzero(chosen & (away > MIN_DEVIATION))
    down = int((chosen & (away < -MIN_DEVIATION)).sum())
    p = 1.0
    if len(up):
        p = float(stats.binomtest(len(up), len(up) + down, 0.5, alternative="greater").pvalue)
    odds = np.exp(middle + MIN_DEVIATION * unit)
    part = proportion(len(up), int(chosen.sum()))
    return Standout(
        target=target,
        region=region,
        rows=up[np.argsort(-away[up], kind="stable")],
        ringed=0 if rings else int((others & (away > MIN_DEVIATION)).sum()),
        below=down,
        of=int(chosen.sum()),
        out=bonferroni(Tested(part.value, part.low, part.high, p), len(REGIONS)),
        share=float(share[up].mean()) if len(up) else float("nan"),
        usual=float(np.median(share[free])),
        line=float(np.clip((odds * (1 + SHARE_OFFSET) - SHARE_OFFSET) / (1 + odds), 0, 1)),
        by_rings=rings,
    )


def _evidence(border: Border, classes: tuple[str, ...]) -> list[Evidence]:
    """Return both comparisons of a class; only the one that is spoken of can carry a rung."""
    tested = [border.plain] if border.ringed is None else [border.plain, border.ringed]
    return [_share_out(g, classes, g.reached and g is border.group) for g in tested]


def _share_out(group: Standout, classes: tuple[str, ...], reached: bool) -> Evidence:
    k, part = len(group.rows), group.out
    place, name = REGIONS[group.region], classes[group.target]
    who = "images with a black ring" if group.by_rings else "images"
    shown = f" ({percent(group.share)} on average)" if k else ""
    return evidence_of(
        Rung.ATTENTION,
        f"{name}: share of {'ringed ' if group.by_rings else ''}images that stand out",
        part,
        group.of,
        "as many images stand out upwards as downwards",
        f"{k:,} of {group.of:,} {who} predicted {name} ({percent(part.value)}, "
        f"{interval(part, percent)}) hold {percent(group.line)} or more of their relevance in "
        f"{place}{shown}, where {percent(group.usual)} is usual; {group.below:,} lie as far below.",
        reached=reached,
    )


def _finding(
    identity: str,
    measurements: Measurements,
    tested: Sequence[Standout],
    found: Sequence[Standout],
    evidence: tuple[Evidence, ...],
) -> Finding:
    classes = measurements.classes
    plain = [group for group in found if not group.by_rings] or list(found)
    rows = np.concatenate([group.rows for group in plain])
    by_rings = plain[0].by_rings
    named = " and ".join(
        f"{many(len(g.rows), 'image')} predicted {classes[g.target]} ({percent(g.share)} of the "
        f"relevance in {REGIONS[g.region]}, {percent(g.usual)} is usual)"
        for g in plain
    )
    statement = f"The model looks at the border of {named}"
    if by_rings:
        statement += "; all of them show a black ring, which accounts for it."
    else:
        besides = sum(group.ringed for group in plain)
        rings = f"; {many(besides, 'ringed image')} besides" if besides else ""
        statement += f"; none of these shows a black ring{rings}."
        if _ringed(measurements) is None:
            statement = f"The model looks at the border of {named}; nobody looked for black rings."
    return finding(
        evidence,
        measurements.explanations,
        id=identity,
        detector=identity,
        title="The model looks at the border of ringed images"
        if by_rings
        else "The model looks at the border of some images",
        mitigation=Mitigation.EXPLAINED if by_rings else None,
        artifact="dark_ring" if by_rings else None,
        classes=tuple(classes[group.target] for group in plain),
        statement=statement,
        images=tuple(measurements.ids[row] for row in rows),
        remedy="See the finding on black rings."
        if by_rings
        else "Look at the images listed: crop frames, rulers, labels or ink off their edges, or "
        "see that images of every class have them; then audit again.",
        does_not_show="What is at the border, nor that the decision depends on it: only editing it "
        "away tells. A mark that most images of a class share does not stand out and is not seen "
        "here.",
        tables=(_table(tested, classes),),
    )


def _table(tested: Sequence[Standout], classes: tuple[str, ...]) -> Table:
    return Table(
        "Images that stand out at the border",
        ("predicted", "where", "images", "stand out", "as far below", "usual share", "from"),
        tuple(
            (
                classes[g.target],
                REGIONS[g.region],
                g.of,
                len(g.rows),
                g.below,
                round(g.usual, 3),
                round(g.line, 3),
            )
            for g in tested
        ),
    )


def _missed(identity: str, tested: Sequence[Standout]) -> NotFound:
    """Say that nothing stands out, and from which share on an image would have."""
    line = max(group.line for group in tested)
    n = sum(group.of for group in tested)
    # Seven above and none below is the least that the sign test, three regions counted, can tell.
    group = max(MIN_OUT + 2, math.ceil(MIN_SHARE_OUT * max(group.of for group in tested)))
    return NotFound(
        artifact=identity,
        n=n,
        minimum_detectable_effect=line,
        effect="share of relevance at the border",
        statement=f"No group among {many(n, 'image')} holds far more relevance at the border than "
        f"others of its class; {group:,} images that hold {percent(line)} or more would have "
        "been seen.",
        p_value=min(1.0, min(group.out.p_value for group in tested) * len(tested)),
    )
