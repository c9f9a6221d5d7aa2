"""Marks at a fixed position: does the model look at what stands at one place of many images?

Looks for: structure of any kind that recurs at the same place of the picture (time stamps,
watermarks, logos, lettering), and relevance on it.
Why: what stands at a fixed place comes from the camera, the software or the clinic; where these see
other patients, it tells the label. Nobody has to know what it looks like.
How scored: places by the part of their structure that is the same in all images of a predicted
class, beyond what their mirror images and quarter turns have (centred lesions and vignettes
cancel); then the relevance there on images that bear the mark against the relevance at the very
same place on images of the same predicted class that do not (bootstrap interval, permutation test,
times the places tried). Place against place would not do: strides and padding put several times the
usual relevance on one side or corner of every map, with nothing to see there.
Do instead: look at the images that are named; crop or cover what is there in images of all classes.
Reference: Lapuschkin et al. 2019, "Unmasking Clever Hans predictors", on a source tag in photos.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from melaudit.detectors.confidence import confidence
from melaudit.detectors.interface import Batch, Result
from melaudit.detectors.measures.recurrence import Place, detail, floor_of, places, structure
from melaudit.detectors.measures.regions import OTHERS, SHOWN, Excess, Stratum, excess
from melaudit.detectors.rungs import opportunity as association
from melaudit.detectors.rungs.opportunity import Association, associate
from melaudit.findings import (
    Evidence,
    Finding,
    NotFound,
    Rung,
    Skipped,
    Table,
    Trust,
    severity_of,
)
from melaudit.measurements import Array, Measurements
from melaudit.statistics.estimates import Estimate
from melaudit.wording.sentences import interval, many, percent, ratio

FEWEST = 50
"""Images of a predicted class in which structure can be said to recur."""
MOST = 1500
"""Images of one class in which places are looked for."""
FEWEST_BEARING, FEWEST_OTHERS = 5, 10
LEAST_RATIO, LEAST_ACROSS = 1.25, 2.0
"""Relevance over that at the same place without the mark, from which the model looks: against
images of the same predicted class, and against those of other classes, whose maps differ anyway."""
ALPHA = 0.05
BLOCK = 4096
"""Images whose structure is held in memory at a time."""

Rows = NDArray[np.intp]


class FixedPosition:
    """Marks of unknown look at a fixed position: their labels, and the relevance on them."""

    id = "fixed_position"
    title = "Marks at a fixed position"
    checks_explanations = False

    def measure(self, batch: Batch) -> Mapping[str, Array]:
        """Keep how much detail each place of the model's input shows."""
        return {"detail": detail(batch.inputs)}

    def conclude(self, measurements: Measurements) -> Sequence[Result]:
        """Find places at which structure recurs, then compare the relevance on them."""
        if measurements.explanations is Trust.UNUSABLE:
            return [Skipped(self.id, "the maps are unusable")]
        if not measurements.skilled:
            return [Skipped(self.id, "the predictions do not follow the labels")]
        looked = [
            (kind, rows)
            for kind in range(len(measurements.classes))
            if len(rows := _rows(measurements, kind)) >= FEWEST
        ]
        if not looked:
            reason = f"no predicted class has {FEWEST} images (ring-free, where rings were sought)"
            return [Skipped(self.id, reason)]
        n = sum(len(rows) for _, rows in looked)
        marks = _marks(measurements, looked)
        found = [mark for mark in marks if mark.reached]
        if found:
            return [_finding(self.id, measurements, mark, i) for i, mark in enumerate(found)]
        if marks:
            return [_ignored(self.id, n, marks)]
        statement = (
            f"Nothing recurs at one place of {many(n, 'image')}, seen by predicted class. A mark "
            "on about a third of a class would have been seen."
        )
        return [NotFound(self.id, n, None, "relevance excess at a fixed position", statement)]


@dataclass(frozen=True)
class Mark:
    """What recurs at one place of the images of a predicted class, and the relevance on it."""

    kind: int
    place: Place
    bears: NDArray[np.bool_]
    """(n,) of all images."""
    of: int
    """Images of the class that were looked at."""
    bearing: int
    excess: Excess | None
    """None where too few images bear it, or too few do not."""
    across: bool
    """Whether the comparison is with images of other predicted classes."""
    p_value: float
    """Counts the places tried."""

    @property
    def reached(self) -> bool:
        """Whether the model looks there clearly more than without the mark."""
        if self.excess is None:
            return False
        difference, factor = self.excess.difference, self.excess.ratio
        least = LEAST_ACROSS if self.across else LEAST_RATIO
        enough = factor.value >= least and factor.low > 1
        return enough and difference.low > 0 and self.p_value < ALPHA


def _rows(measurements: Measurements, kind: int) -> Rows:
    """Return the images of a predicted class without a black ring, which has its own detector."""
    of = measurements.targets == kind
    try:
        return np.flatnonzero(of & ~measurements["dark_ring.present"].astype(bool))
    except KeyError:
        return np.flatnonzero(of)


def _marks(measurements: Measurements, looked: Sequence[tuple[int, Rows]]) -> list[Mark]:
    details = measurements["fixed_position.detail"]
    rng = np.random.default_rng(measurements.seed)
    some = {kind: _some(rows, MOST, rng) for kind, rows in looked}
    floor = floor_of(details[np.concatenate(list(some.values()))])
    seen = [
        (kind, rows, place)
        for kind, rows in looked
        for place in places(structure(details[some[kind]], floor))
    ]
    every = [rows for _, rows in looked]
    marks = []
    for kind, rows, place in seen:
        bears = np.zeros(len(details), np.bool_)
        for block in np.array_split(np.sort(np.concatenate(every)), 1 + len(details) // BLOCK):
            bears[block] = place.bears(structure(details[block], floor))
        marks.append(_mark(measurements, kind, rows, place, bears, every, len(seen), rng))
    return marks


def _mark(
    measurements: Measurements,
    kind: int,
    rows: Rows,
    place: Place,
    bears: NDArray[np.bool_],
    every: Sequence[Rows],
    tried: int,
    rng: np.random.Generator,
) -> Mark:
    own, others = rows[bears[rows]], rows[~bears[rows]]
    across = len(others) < FEWEST_OTHERS
    if across:
        others = np.concatenate([r[~bears[r]] for r in every])
    own, others = _some(own, SHOWN, rng), _some(others, OTHERS, rng)
    result = None
    if len(own) >= FEWEST_BEARING and len(others) >= FEWEST_OTHERS:
        masks = np.repeat(place.mask.reshape(1, -1).astype(np.float64), len(own), 0)
        maps = measurements.absolute_shares
        stratum = Stratum(masks, maps(own), maps(others))
        result = excess([stratum], measurements.seed)
    p = 1.0 if result is None else min(1.0, (result.difference.p_value or 0.0) * tried)
    count = int(bears[rows].sum())
    return Mark(kind, place, bears, len(rows), count, result, across, p)


def _some(rows: Rows, most: int, rng: np.random.Generator) -> Rows:
    return rows if len(rows) <= most else np.sort(rng.choice(rows, most, replace=False))


def _counted(mark: Mark, name: str) -> str:
    assert mark.excess is not None
    rest = "images called otherwise" if mark.across else f"other images called {name}"
    return (
        f"{mark.bearing:,} of {mark.of:,} images called {name} show the same kind of structure "
        f"{mark.place.where()}; {percent(mark.excess.own)} of the relevance lies on it, and "
        f"{percent(mark.excess.elsewhere)} lies at that place on {rest} that lack it"
    )


def _evidence(mark: Mark, classes: tuple[str, ...]) -> tuple[Evidence, ...]:
    result = mark.excess
    assert result is not None
    rest = "other predicted classes" if mark.across else "the same predicted class"
    n, null = result.n_own + result.n_others, f"images of {rest} that lack it, at the same place"

    def one(name: str, estimate: Estimate, p: float | None, statement: str) -> Evidence:
        reached = mark.reached and p is not None
        low, high = estimate.low, estimate.high
        return Evidence(
            Rung.ATTENTION, name, estimate.value, low, high, p, None, n, null, reached, statement
        )

    difference, factor = result.difference, result.ratio
    return (
        one(
            f"relevance excess {mark.place.where()}",
            difference,
            mark.p_value,
            f"{_counted(mark, classes[mark.kind])}: a difference of {percent(difference.value)} of "
            f"all relevance, {interval(difference, percent)}.",
        ),
        one(
            "relevance over that at the same place without the mark",
            factor,
            None,
            f"The place holds {ratio(factor.value)} times the relevance where the mark is "
            f"({interval(factor, ratio)}).",
        ),
    )


def _finding(identity: str, measurements: Measurements, mark: Mark, number: int) -> Finding:
    classes, where = measurements.classes, mark.place.where()
    shows = f"the same structure {where}"
    ringless = np.concatenate([_rows(measurements, k) for k in range(len(classes))])
    chain = _evidence(mark, classes)
    tables: tuple[Table, ...] = (_table(mark, classes),)
    data = associate(mark.bears[ringless], measurements.labels[ringless], classes)
    if data is not None:
        labels, predictions = measurements.labels[ringless], measurements.predictions[ringless]
        bears = mark.bears[ringless]
        chain = (*association.evidence(data, bears, labels, predictions, classes, shows), *chain)
        tables += association.tables(bears, labels, predictions, classes, f"structure {where}")
    reached = {e.rung for e in chain if e.reached}
    rows = np.flatnonzero(mark.bears & (measurements.targets == mark.kind))
    share = measurements.absolute_shares(rows)[:, mark.place.mask.reshape(-1)].sum(1)
    place = where.removeprefix("at the ").removeprefix("in the ").replace(" ", "_")
    return Finding(
        id=f"{identity}.{place}" if number == 0 else f"{identity}.{place}_{number + 1}",
        detector=identity,
        title=f"The model looks at something that stands {where} of many images",
        severity=severity_of(reached),
        confidence=confidence(chain, measurements.explanations),
        rung=Rung.ATTENTION,
        artifact=None,
        classes=(classes[mark.kind],),
        statement=f"{_counted(mark, classes[mark.kind])}{_allowed(data, classes, shows)}.",
        evidence=chain,
        images=tuple(measurements.ids[row] for row in rows[np.argsort(-share, kind="stable")]),
        remedy="Look at the images listed. If it is a time stamp, a watermark or other lettering, "
        "crop or cover it in images of every class, train again and audit again.",
        does_not_show="What stands there, nor that the decision depends on it: only covering it "
        "tells. A mark on less than about a third of the images of a class, or one without any "
        "detail of its own, is not seen here.",
        tables=tables,
    )


def _allowed(data: Association | None, classes: tuple[str, ...], shows: str) -> str:
    if data is None:
        return "; the labels cannot tell whether it pays to look there"
    if not data.reached:
        return "; these labels do not reward it"
    odds = f"odds ratio {ratio(data.odds.value)}"
    return f"; and the data allow it: {data.counted(classes, shows)} ({odds})"


def _table(mark: Mark, classes: tuple[str, ...]) -> Table:
    result = mark.excess
    assert result is not None
    heads = ("called", "images", "bear it", "share there", "share without it", "same structure")
    row = (
        classes[mark.kind],
        mark.of,
        mark.bearing,
        round(result.own, 4),
        round(result.elsewhere, 4),
        round(mark.place.coherence, 2),
    )
    return Table(f"Relevance {mark.place.where()}", heads, (row,))


def _ignored(identity: str, n: int, marks: Sequence[Mark]) -> NotFound:
    """Say that something recurs and that the model looks no more there, or that nobody can tell."""
    where = " and ".join(dict.fromkeys(mark.place.where() for mark in marks))
    tested = [mark for mark in marks if mark.excess is not None]
    rest = "the model looks there no more than on images without it"
    if not tested:
        rest = f"too few images bear it ({FEWEST_BEARING}) or lack it ({FEWEST_OTHERS}) to compare"
    return NotFound(
        artifact=identity,
        n=n,
        minimum_detectable_effect=None,
        effect="relevance excess at a fixed position",
        statement=f"The same structure stands {where} of many of {n:,} images; {rest}.",
        p_value=min(mark.p_value for mark in tested) if tested else None,
    )
