"""Skin tone: is the model right as often on darker skin as on lighter?

Asked in domains whose pictures show skin (`Domain.shows_skin`).
Looks for: images whose predictions are right more often on lighter (or darker) skin round the
lesion.
Why: sets of skin images hold few pictures of dark skin, and models can fail on it unseen (Daneshjou
et al. 2022).
How scored: the individual typology angle of the skin round the lesion, by two published methods
(see `artifacts.search.skin_tone`), with their disagreement. Along each, of two images of one label
of which one is predicted right and one wrong, how often the right one has the lighter skin: .5 is
no trend (van Elteren's test within labels, corrected with everything else). Images of one patient
count once. With fewer than 20 right or 20 wrong predictions it is not assessed. Tone is an order
here, and never a class: no skin type is named from pixels.
Do instead: collect images of the skin that the model fails on; have skin type noted by a person and
give it as a column (`fitzpatrick`).
Reference: Kalb et al. 2023, "Revisiting skin tone fairness in dermatological lesion
classification"; Kinyanjui et al. 2020; Bevan and Atapour-Abarghouei 2022.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from melaudit.artifacts.search.skin_tone import patch_angle, region_angle
from melaudit.detectors.claim import Claim, evidence_of
from melaudit.detectors.interface import Batch, Detector, Result
from melaudit.findings import Evidence, Figure, Rung, Skipped, ToneEstimate, ToneTrend
from melaudit.findings import SkinTone as Tone
from melaudit.measurements import Array, Measurements
from melaudit.statistics.correction import clear, q_value
from melaudit.statistics.estimates import Tested, Z
from melaudit.statistics.ranks import stratified_auc
from melaudit.statistics.resampling import clusters, weights_drawn
from melaudit.wording.figures import correlation
from melaudit.wording.sentences import many

MIN_RIGHT = 20
"""Right, and wrong, predictions from which a trend is assessed. Chosen: as for groups of patients
(`measures.subgroups`)."""
MIN_BOTH = 20
"""Images with both angles from which their disagreement is told. Chosen: a round figure, not
measured."""
METHODS = (
    ("region", "all skin round the lesion", "Kinyanjui et al. 2020"),
    ("patches", "the lightest of eight small patches", "Bevan and Atapour-Abarghouei 2022"),
)
"""(id, what is measured, source)."""

Values = NDArray[np.float64]


class SkinTone(Detector):
    """Performance along the tone of the skin."""

    id = "skin_tone"
    title = "Skin tone"

    def measure(self, batch: Batch) -> Mapping[str, Array]:
        """Measure the angle of every image by both methods; NaN where there is none."""
        views = batch.images.views
        lesions = batch.user.objects or (None,) * len(views)
        region = [region_angle(v, lesion) for v, lesion in zip(views, lesions, strict=True)]
        return {
            "region": np.array(region, np.float32),
            "patches": np.array([patch_angle(view) for view in views], np.float32),
        }

    def conclude(self, measurements: Measurements) -> Sequence[Result]:
        """Hold right and wrong predictions against each other along each angle."""
        found = Measured(
            len(measurements.ids),
            tuple(_along(measurements, *method) for method in METHODS),
            _both(measurements),
        )
        if not any(m.n for m in found.methods):
            return [Skipped(self.id, "no image has skin whose tone can be estimated")]
        return [Claim(self.id, found, evidence=_evidence, word=lambda m, _: [_said(m)])]


@dataclass(frozen=True)
class Along:
    """One method: its angles, and the trend along them."""

    id: str
    title: str
    source: str
    n: int
    spread: tuple[float, float, float]
    n_right: int
    n_wrong: int
    trend: Tested | None


@dataclass(frozen=True)
class Both:
    """How far both methods agree."""

    n: int
    distance: Figure | None
    correlation: Figure | None


@dataclass(frozen=True)
class Measured:
    """What both methods measured."""

    images: int
    methods: tuple[Along, ...]
    both: Both


def _along(table: Measurements, identity: str, title: str, source: str) -> Along:
    angles = np.asarray(table[f"skin_tone.{identity}"], np.float64)
    finite = np.isfinite(angles)
    low, median, high = np.quantile(angles[finite], [0.1, 0.5, 0.9]) if finite.any() else [0.0] * 3
    use = finite & (table.labels >= 0)
    angle, label, right = _once(angles, table, use)
    n_right = int(right.sum())
    n_wrong = len(right) - n_right
    trend = None
    if min(n_right, n_wrong) >= MIN_RIGHT:
        trend = stratified_auc(angle, right, label)
    spread = (float(low), float(median), float(high))
    return Along(identity, title, source, int(finite.sum()), spread, n_right, n_wrong, trend)


def _once(
    angles: Values, table: Measurements, use: NDArray[np.bool_]
) -> tuple[Values, NDArray[np.int64], NDArray[np.bool_]]:
    """Return angle, label and whether it is right of each image; of a patient's alike ones, one."""
    right = table.predictions == table.labels
    if table.groups is None or not use.any():
        return angles[use], table.labels[use], right[use]
    _, who = np.unique(table.groups[use].astype(str), return_inverse=True)
    keys = np.stack([who, table.labels[use], right[use]], 1)
    distinct, member = np.unique(keys, axis=0, return_inverse=True)
    member = member.ravel()
    means = np.bincount(member, angles[use]) / np.bincount(member)
    return means, distinct[:, 1], distinct[:, 2].astype(bool)


def _both(table: Measurements) -> Both:
    """Return how far the two angles of an image lie apart, and whether they order images alike."""
    one, other = (np.asarray(table[f"skin_tone.{m[0]}"], np.float64) for m in METHODS)
    rows = np.isfinite(one) & np.isfinite(other)
    n = int(rows.sum())
    if n < MIN_BOTH:
        return Both(n, None, None)
    apart = np.abs(one - other)[rows]
    who = None if table.groups is None else table.groups[rows]
    drawn = [
        float(np.median(np.repeat(apart, w.astype(int))))
        for w in weights_drawn(clusters(n, table.seed, who), table.seed)
    ]
    low, high = np.quantile(drawn, [0.025, 0.975])
    distance = Figure(float(np.median(apart)), float(low), float(high))
    rho = float(stats.spearmanr(one[rows], other[rows]).statistic)
    return Both(n, distance, _correlation(rho, n) if math.isfinite(rho) else None)


def _correlation(rho: float, n: int) -> Figure:
    """Return a rank correlation with its interval (Bonett and Wright 2000)."""
    if abs(rho) >= 1:
        return Figure(rho, rho, rho)
    width = Z * math.sqrt((1 + rho**2 / 2) / (n - 3))
    return Figure(rho, math.tanh(math.atanh(rho) - width), math.tanh(math.atanh(rho) + width))


def _evidence(m: Measured) -> list[Evidence]:
    return [
        evidence_of(
            Rung.OPPORTUNITY,
            f"right predictions on lighter skin: {along.title}",
            along.trend,
            along.n_right + along.n_wrong,
            "right and wrong predictions of a label have skin of the same tone",
            _sentence(along),
        )
        for along in m.methods
        if along.trend is not None
    ]


def _said(m: Measured) -> Tone:
    return Tone(
        images=m.images,
        estimates=tuple(_estimate(along) for along in m.methods),
        n_both=m.both.n,
        disagreement=m.both.distance,
        correlation=m.both.correlation,
        min_right=MIN_RIGHT,
        statement=_summary(m),
    )


def _estimate(along: Along) -> ToneEstimate:
    t = along.trend
    return ToneEstimate(
        along.id,
        along.title,
        along.source,
        along.n,
        *along.spread,
        along.n_right,
        along.n_wrong,
        trend=None
        if t is None
        else ToneTrend(Figure(t.value, t.low, t.high), t.p_value, q_value(t), clear(t)),
        statement=_sentence(along),
    )


def _sentence(along: Along) -> str:
    if along.trend is None:
        return (
            f"By {along.title}: not assessable. It takes {MIN_RIGHT} right and {MIN_RIGHT} "
            f"wrong predictions with an angle; there are {along.n_right} and {along.n_wrong}."
        )
    t = along.trend
    pairs = (
        f"of two images of one label, one predicted right and one wrong, the right one has the "
        f"lighter skin in {100 * t.value:.0f} of 100 cases (95 % interval {100 * t.low:.0f} to "
        f"{100 * t.high:.0f}; 50 is no trend)"
    )
    if not clear(t):
        return f"By {along.title}: {pairs}. This is not clear of chance."
    better = "lighter" if t.value > 0.5 else "darker"
    return f"By {along.title}, the model is right more often on {better} skin: {pairs}."


def _summary(m: Measured) -> str:
    known = " and ".join(f"from {along.title} in {along.n}" for along in m.methods)
    said = f"Of {many(m.images, 'image')}, the individual typology angle could be told {known}."
    if m.both.distance is not None and m.both.correlation is not None:
        d, r = m.both.distance, m.both.correlation
        said += (
            f" The two methods differ by {d.value:.0f} degrees at the median (95 % interval "
            f"{d.low:.0f} to {d.high:.0f}), with a rank correlation of "
            f"{correlation(r.value)} ({correlation(r.low)} to {correlation(r.high)})."
        )
    return said + " An angle is no skin type: it measures lamp and camera as well."
