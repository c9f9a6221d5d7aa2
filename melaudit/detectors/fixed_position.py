"""Marks at a fixed position: does the model look at something at the same place of many images?

Looks for: structure of any kind that recurs at one place of the picture (time stamps, watermarks,
logos, lettering), and relevance on it.
Why: what is at a fixed place comes from the camera, the software or the clinic. Where these see
other patients, it predicts the label. Nobody has to know what the mark looks like.
How scored: first, find places whose structure is the same in all images of a predicted class,
beyond what their mirror images and quarter turns share (so centred objects and vignettes cancel).
Then compare the relevance there on images with the mark and on images of the same predicted class
without it (bootstrap interval, permutation test, corrected for the places tried). Comparing one
place with another would not do: strides and padding put several times the usual relevance on one
side or corner of every map.
Do instead: look at the images that are named; crop or cover the mark in images of all classes.
Reference: Lapuschkin et al. 2019, "Unmasking Clever Hans predictors", on a source tag in photos.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from melaudit.detectors.claim import Claim, evidence_of, finding
from melaudit.detectors.interface import Batch, Detector, Result
from melaudit.detectors.measures.recurrence import Place, detail, floor_of, places, structure
from melaudit.detectors.measures.regions import OTHERS, SHOWN, Excess, Stratum, excess
from melaudit.detectors.rungs import opportunity
from melaudit.detectors.rungs.opportunity import Association, associate
from melaudit.findings import (
    Evidence,
    Finding,
    NotFound,
    Rung,
    Skipped,
    Table,
)
from melaudit.measurements import CHUNK, Array, Measurements
from melaudit.statistics.correction import bonferroni, clear
from melaudit.wording.sentences import interval, many, percent, ratio

MIN_IMAGES = 50
"""Images of a predicted class that are needed to say that structure recurs. Chosen, not
measured."""
MAX_IMAGES = 1500
"""Images of one class that places are searched on, at most. Limits the time."""
MIN_BEARING, MIN_OTHERS = 5, 10
"""Images with the mark, and without, that a comparison needs. Chosen, not measured."""
MIN_RATIO, MIN_RATIO_ACROSS = 1.25, 2.0
"""Relevance over that at the same place without the mark, from which the model looks at it:
against images of the same predicted class, and against those of other classes, whose maps differ
anyway. Chosen, not measured."""
MAX_IMAGES_IN_MEMORY = 4096
"""Images whose structure is held in memory at a time."""

Rows = NDArray[np.intp]


class FixedPosition(Detector):
    """Marks of unknown look at a fixed position: their labels, and the relevance on them."""

    id = "fixed_position"
    title = "Marks at a fixed position"

    def measure(self, batch: Batch) -> Mapping[str, Array]:
        """Keep how much detail each place of the model's input shows."""
        return {"detail": detail(batch.images.inputs)}

    def conclude(self, measurements: Measurements) -> Sequence[Result]:
        """Find places at which structure recurs, then compare the relevance on them."""
        if not measurements.explanations.usable:
            return [Skipped(self.id, f"the maps are {measurements.explanations}")]
        if not measurements.above_chance:
            return [Skipped(self.id, "the predictions do not follow the labels")]
        looked = [
            (target, rows)
            for target in range(len(measurements.classes))
            if len(rows := _rows(measurements, target)) >= MIN_IMAGES
        ]
        if not looked:
            kind = "" if _ringed(measurements) is None else " without a ring"
            return [Skipped(self.id, f"no predicted class has {MIN_IMAGES} images{kind}")]
        n = sum(len(rows) for _, rows in looked)
        marks = _marks(measurements, looked)
        if marks:
            return [
                Claim(
                    self.id,
                    marks,
                    evidence=partial(_all_evidence, measurements),
                    word=partial(_word, self.id, measurements, n),
                )
            ]
        statement = (
            f"Nothing recurs at one place of {many(n, 'image')}, seen by predicted class. A mark "
            "on about a third of a class would have been seen."
        )
        return [NotFound(self.id, n, None, "relevance excess at a fixed position", statement)]


@dataclass(frozen=True)
class Mark:
    """What recurs at one place of the images of a predicted class, and the relevance on it."""

    target: int
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
    data: Association | None
    """How it goes with the labels; None where they cannot tell, or where it was not compared."""

    @property
    def reached(self) -> bool:
        """Whether the model looks there clearly more than without the mark."""
        if self.excess is None:
            return False
        difference, factor = self.excess.difference, self.excess.ratio
        enough = factor.value >= (MIN_RATIO_ACROSS if self.across else MIN_RATIO)
        return enough and factor.low > 1 and difference.low > 0 and clear(difference)


def _rows(measurements: Measurements, target: int) -> Rows:
    """Return the images of a predicted class without a black ring, which has its own detector."""
    of = measurements.targets == target
    ringed = _ringed(measurements)
    return np.flatnonzero(of if ringed is None else of & ~ringed)


def _ringed(measurements: Measurements) -> NDArray[np.bool_] | None:
    """Return which images have a ring, None when nobody looked."""
    try:
        return measurements["dark_ring.present"].astype(bool)
    except KeyError:
        return None


def _marks(measurements: Measurements, looked: Sequence[tuple[int, Rows]]) -> tuple[Mark, ...]:
    details = measurements["fixed_position.detail"]
    rng = np.random.default_rng(measurements.seed)
    some = {target: _some(rows, MAX_IMAGES, rng) for target, rows in looked}
    floor = floor_of(details[np.concatenate(list(some.values()))])
    seen = [
        (target, rows, place)
        for target, rows in looked
        for place in places(structure(details[some[target]], floor))
    ]
    every = [rows for _, rows in looked]
    marks = []
    for target, rows, place in seen:
        bears = np.zeros(len(details), np.bool_)
        for block in np.array_split(
            np.sort(np.concatenate(every)), 1 + len(details) // MAX_IMAGES_IN_MEMORY
        ):
            bears[block] = place.bears(structure(details[block], floor))
        marks.append(_mark(measurements, target, rows, place, bears, every, len(seen), rng))
    return tuple(marks)


def _mark(
    measurements: Measurements,
    target: int,
    rows: Rows,
    place: Place,
    bears: NDArray[np.bool_],
    every: Sequence[Rows],
    tried: int,
    rng: np.random.Generator,
) -> Mark:
    own, others = rows[bears[rows]], rows[~bears[rows]]
    across = len(others) < MIN_OTHERS
    if across:
        others = np.concatenate([r[~bears[r]] for r in every])
    own, others = _some(own, SHOWN, rng), _some(others, OTHERS, rng)
    result = None
    if len(own) >= MIN_BEARING and len(others) >= MIN_OTHERS:
        masks = np.repeat(place.mask.reshape(1, -1).astype(np.float64), len(own), 0)
        maps = measurements.absolute_shares
        stratum = Stratum(masks, maps(own), maps(others))
        result = excess([stratum], measurements.seed)
        result = replace(result, difference=bonferroni(result.difference, tried))
    count = int(bears[rows].sum())
    data = None if result is None else _associated(measurements, bears)
    return Mark(target, place, bears, len(rows), count, result, across, data)


def _associated(measurements: Measurements, bears: NDArray[np.bool_]) -> Association | None:
    """Return how bearing a mark (n,) goes with the labels of images without a black ring."""
    rows = _ringless(measurements)
    bears, labels = bears[rows], measurements.labels[rows]
    data = associate(bears, labels, measurements.classes)
    return opportunity.with_predictions(data, bears, labels, measurements.predictions[rows])


def _ringless(measurements: Measurements) -> Rows:
    """Return the images without a black ring, by predicted class."""
    return np.concatenate([_rows(measurements, k) for k in range(len(measurements.classes))])


def _some(rows: Rows, most: int, rng: np.random.Generator) -> Rows:
    return rows if len(rows) <= most else np.sort(rng.choice(rows, most, replace=False))


def _counted(mark: Mark, name: str) -> str:
    assert mark.excess is not None
    rest = "images with another prediction" if mark.across else f"other images predicted {name}"
    return (
        f"{mark.bearing:,} of {mark.of:,} images predicted {name} show the same kind of structure "
        f"{mark.place.where()}; {percent(mark.excess.own)} of the relevance lies on it, and "
        f"{percent(mark.excess.elsewhere)} lies at that place on {rest} that lack it"
    )


def _all_evidence(measurements: Measurements, marks: tuple[Mark, ...]) -> tuple[Evidence, ...]:
    """Return the evidence on every mark that was compared."""
    return tuple(e for mark in marks if mark.excess for e in _evidence(measurements, mark))


def _evidence(measurements: Measurements, mark: Mark) -> tuple[Evidence, ...]:
    result, classes = mark.excess, measurements.classes
    assert result is not None
    rest = "other predicted classes" if mark.across else "the same predicted class"
    n, null = result.n_own + result.n_others, f"images of {rest} that lack it, at the same place"
    difference, factor = result.difference, result.ratio
    looked = (
        evidence_of(
            Rung.ATTENTION,
            f"relevance excess {mark.place.where()}",
            difference,
            n,
            null,
            f"{_counted(mark, classes[mark.target])}: a difference of {percent(difference.value)} "
            f"of all relevance, {interval(difference, percent)}.",
            reached=mark.reached,
        ),
        evidence_of(
            Rung.ATTENTION,
            "relevance over that at the same place without the mark",
            factor,
            n,
            null,
            f"The place holds {ratio(factor.value)} times the relevance where the mark is "
            f"({interval(factor, ratio)}).",
        ),
    )
    if mark.data is None:
        return looked
    labelled = int((measurements.labels[_ringless(measurements)] >= 0).sum())
    return (*opportunity.evidence(mark.data, classes, _shows(mark), labelled), *looked)


def _shows(mark: Mark) -> str:
    return f"the same structure {mark.place.where()}"


def _word(
    identity: str,
    measurements: Measurements,
    n: int,
    marks: tuple[Mark, ...],
    evidence: tuple[Evidence, ...],
) -> Sequence[Finding | NotFound]:
    """Claim every mark that the model looks at, or say that it looks at none."""
    found = [mark for mark in marks if mark.reached]
    if not found:
        return [_ignored(identity, n, marks)]
    return [_finding(identity, measurements, mark, i) for i, mark in enumerate(found)]


def _finding(identity: str, measurements: Measurements, mark: Mark, number: int) -> Finding:
    classes, where = measurements.classes, mark.place.where()
    tables: tuple[Table, ...] = (_table(mark, classes),)
    if mark.data is not None:
        rows = _ringless(measurements)
        tables += opportunity.tables(
            mark.bears[rows],
            measurements.labels[rows],
            measurements.predictions[rows],
            classes,
            f"structure {where}",
        )
    rows = np.flatnonzero(mark.bears & (measurements.targets == mark.target))
    some = [rows[start : start + CHUNK] for start in range(0, len(rows), CHUNK)] or [rows]
    there = mark.place.mask.reshape(-1)
    share = np.concatenate([measurements.absolute_shares(part)[:, there].sum(1) for part in some])
    place = where.removeprefix("at the ").removeprefix("in the ").replace(" ", "_")
    return finding(
        _evidence(measurements, mark),
        measurements.explanations,
        id=f"{identity}.{place}" if number == 0 else f"{identity}.{place}_{number + 1}",
        detector=identity,
        title=f"The model looks at something that stands {where} of many images",
        classes=(classes[mark.target],),
        statement=f"{_counted(mark, classes[mark.target])}{_allowed(mark, classes)}.",
        images=tuple(measurements.ids[row] for row in rows[np.argsort(-share, kind="stable")]),
        remedy="Look at the images listed. If it is a time stamp, a watermark or other lettering, "
        "crop or cover it in images of every class, train again and audit again.",
        does_not_show="What stands there, nor that the decision depends on it: only covering it "
        "tells. A mark on less than about a third of the images of a class, or one without any "
        "detail of its own, is not seen here.",
        tables=tables,
    )


def _allowed(mark: Mark, classes: tuple[str, ...]) -> str:
    if mark.data is None:
        return "; the labels cannot tell whether it pays to look there"
    if not mark.data.reached:
        return "; these labels do not reward it"
    odds = f"odds ratio {ratio(mark.data.odds.value)}"
    return f"; and the data allow it: {mark.data.counted(classes, _shows(mark))} ({odds})"


def _table(mark: Mark, classes: tuple[str, ...]) -> Table:
    result = mark.excess
    assert result is not None
    heads = ("predicted", "images", "bear it", "share there", "share without it", "same structure")
    row = (
        classes[mark.target],
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
        rest = f"too few images bear it ({MIN_BEARING}) or lack it ({MIN_OTHERS}) to compare"
    return NotFound(
        artifact=identity,
        n=n,
        minimum_detectable_effect=None,
        effect="relevance excess at a fixed position",
        statement=f"The same structure stands {where} of many of {n:,} images; {rest}.",
        p_value=min((m.excess.difference.p_value for m in tested if m.excess), default=None),
    )
