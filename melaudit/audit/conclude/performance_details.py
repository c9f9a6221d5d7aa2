"""What stands behind the accuracy: calibration, curves, confusions, telling images, groups.

Intervals are 95 % and treat the images of one patient (or lesion) together where these are known.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.metrics import brier_score_loss

from melaudit.audit.conclude.table import class_probabilities
from melaudit.detectors.measures.subgroups import MIN_IMAGES as MIN_OF_GROUP
from melaudit.detectors.measures.subgroups import grouping
from melaudit.detectors.metadata import looked_at
from melaudit.findings import (
    Calibration,
    ConfusedPair,
    CurvePoint,
    Discrimination,
    Example,
    Figure,
    GroupPerformance,
    GroupRange,
    OperatingPoint,
    Performance,
    ReliabilityBin,
)
from melaudit.measurements import Array, Measurements
from melaudit.relevance.model.outputs import probabilities
from melaudit.statistics.calibration import calibration_error, reliability
from melaudit.statistics.discrimination import area, average_precision, threshold_points
from melaudit.statistics.estimates import Estimate, mean
from melaudit.statistics.resampling import share

MIN_CALIBRATION = 50
"""Labelled images from which calibration is measured: five bins of ten. Chosen, not measured."""
MIN_OF_CLASS = 10
"""Images of a class, and of the rest, from which curves are drawn. Chosen: a round figure, not
measured."""
MAX_CLASSES, MAX_CURVES = 20, 4
"""Classes, of many, that are held against the rest, those with the most images; and those of them
whose curves are kept, the least area first: a drawing of more is not read."""
MAX_PAIRS, MAX_EXAMPLES = 10, 5
"""Confused pairs, and images of either kind. Chosen: what a reader looks through."""


@dataclasses.dataclass(frozen=True)
class _Labelled:
    """The labelled images."""

    ids: tuple[str, ...]
    labels: NDArray[np.int64]
    predictions: NDArray[np.int64]
    probabilities: NDArray[np.float64]
    """(n, classes)."""
    classes: tuple[str, ...]
    patients: NDArray[np.object_] | None
    """(n,) None where each image stands for itself."""
    seed: int

    @property
    def right(self) -> NDArray[np.bool_]:
        """(n,) whether the prediction is the label."""
        right: NDArray[np.bool_] = self.labels == self.predictions
        return right

    def share(self, is_true: Array, rows: NDArray[np.bool_]) -> Figure:
        """Return the share of some rows for which something is true."""
        who = None if self.patients is None else self.patients[rows]
        return _figure(share(is_true[rows], self.seed, who))


def detailed(performance: Performance, table: Measurements) -> Performance:
    """Add to the figures of the labelled images what they do not tell by themselves."""
    known = table.labels >= 0
    if not known.any():
        return performance
    images = _Labelled(
        ids=tuple(name for name, there in zip(table.ids, known, strict=True) if there),
        labels=table.labels[known],
        predictions=table.predictions[known],
        probabilities=class_probabilities(table)[known].astype(np.float64),
        classes=table.classes,
        patients=_patients(table, known),
        seed=table.seed,
    )
    finite = bool(np.isfinite(images.probabilities).all())
    target = _target(table)
    mistakes, right = _examples(images) if finite else ((), ())
    return dataclasses.replace(
        performance,
        resampled="images" if images.patients is None else "patients",
        calibration=_calibration(images, target) if finite else None,
        discrimination=_discrimination(images, target, _threshold(table)) if finite else (),
        confused=_confused(images),
        surest_mistakes=mistakes,
        unsure_right=right,
        ranges=_ranges(images, table, known),
    )


def _target(table: Measurements) -> int | None:
    """Return the class that probabilities are of: the positive one, of two classes the second."""
    return 1 if table.positive is None and len(table.classes) == 2 else table.positive


def _patients(table: Measurements, known: NDArray[np.bool_]) -> NDArray[np.object_] | None:
    if table.groups is None:
        return None
    groups = table.groups[known]
    return groups if len(set(groups)) < len(groups) else None


def _threshold(table: Measurements) -> float | None:
    """Return the probability of class 1 from which a model of two classes decides for it."""
    if len(table.classes) != 2:
        return None
    if not table.shift:
        return 0.5
    return float(probabilities(torch.tensor([table.shift]))[0, 1])


def _figure(estimate: Estimate) -> Figure:
    return Figure(estimate.value, estimate.low, estimate.high)


def _calibration(images: _Labelled, target: int | None) -> Calibration | None:
    n = len(images.labels)
    if n < MIN_CALIBRATION:
        return None
    everything = np.eye(len(images.classes))[images.labels]
    if target is None:
        p, came = images.probabilities.max(1), images.right
        squares = ((images.probabilities - everything) ** 2).sum(1)
        constant = 1 - float((everything.mean(0) ** 2).sum())
    else:
        p, came = images.probabilities[:, target], images.labels == target
        squares = (p - came) ** 2
        constant = float(brier_score_loss(came, np.full(n, came.mean()))) if came.any() else 0.0
    found = calibration_error(p, came, images.seed, images.patients)
    curve = reliability(p, came, images.seed, images.patients)
    return Calibration(
        target=None if target is None else images.classes[target],
        n=n,
        error=_figure(found.error),
        error_usual=found.usual,
        error_usual_high=found.usual_high,
        brier=_figure(mean(squares, images.seed, images.patients)),
        brier_constant=constant,
        bins=tuple(ReliabilityBin(b.predicted, _figure(b.observed), b.n) for b in curve),
    )


def _discrimination(
    images: _Labelled, target: int | None, threshold: float | None
) -> tuple[Discrimination, ...]:
    sizes = np.bincount(images.labels, minlength=len(images.classes))
    n = len(images.labels)
    wanted = range(len(images.classes)) if target is None else (target,)
    enough = [k for k in wanted if MIN_OF_CLASS <= sizes[k] <= n - MIN_OF_CLASS]
    largest = sorted(enough, key=lambda k: -sizes[k])[:MAX_CLASSES]
    found = [_one_against_the_rest(images, k, threshold) for k in sorted(largest)]
    hardest = sorted(found, key=lambda d: d.auc.value)[:MAX_CURVES]
    return tuple(d if d in hardest else dataclasses.replace(d, curve=()) for d in found)


def _one_against_the_rest(
    images: _Labelled, target: int, threshold: float | None
) -> Discrimination:
    score, positive = images.probabilities[:, target], images.labels == target
    called = images.predictions == target
    least = threshold if threshold is None or target == 1 else 1 - threshold
    return Discrimination(
        target=images.classes[target],
        n=int(positive.sum()),
        n_others=int((~positive).sum()),
        auc=_figure(area(score, positive, images.seed, images.patients)),
        average_precision=_figure(average_precision(score, positive, images.seed, images.patients)),
        operating=OperatingPoint(
            threshold=least,
            sensitivity=images.share(called, positive),
            specificity=images.share(~called, ~positive),
            precision=images.share(positive, called) if called.any() else None,
        ),
        curve=tuple(
            CurvePoint(p.threshold, p.sensitivity, p.false_positive_rate, p.precision)
            for p in threshold_points(score, positive)
        ),
    )


def _confused(images: _Labelled) -> tuple[ConfusedPair, ...]:
    """Return which class is predicted for which; of two classes the confusion table says it."""
    if len(images.classes) < 3:
        return ()
    wrong = ~images.right
    pairs, counts = np.unique(
        np.stack([images.labels[wrong], images.predictions[wrong]], 1), axis=0, return_counts=True
    )
    found = []
    for k in np.argsort(-counts, kind="stable")[:MAX_PAIRS]:
        label, predicted = (int(v) for v in pairs[k])
        rows = images.labels == label
        found.append(
            ConfusedPair(
                label=images.classes[label],
                predicted=images.classes[predicted],
                n=int(counts[k]),
                of=int(rows.sum()),
                share=images.share(images.predictions == predicted, rows),
            )
        )
    return tuple(found)


def _examples(images: _Labelled) -> tuple[tuple[Example, ...], tuple[Example, ...]]:
    """Return the surest mistakes and the least sure right predictions."""
    sure = images.probabilities[np.arange(len(images.labels)), images.predictions]

    def first(rows: NDArray[np.int64]) -> tuple[Example, ...]:
        return tuple(
            Example(
                images.ids[row],
                images.classes[images.labels[row]],
                images.classes[images.predictions[row]],
                float(sure[row]),
            )
            for row in rows[:MAX_EXAMPLES]
        )

    rising = np.argsort(sure, kind="stable")
    falling = np.argsort(-sure, kind="stable")
    return first(falling[~images.right[falling]]), first(rising[images.right[rising]])


def _ranges(
    images: _Labelled, table: Measurements, known: NDArray[np.bool_]
) -> tuple[GroupRange, ...]:
    """Compare, label by label, the groups of each column that tells patients or sources apart."""
    found = []
    for column in looked_at(table.metadata):
        cells = table.metadata[column][known]
        groups = grouping(column, cells, np.ones(len(cells), np.bool_), 1)
        for index in np.unique(images.labels):
            of = images.labels == index
            masks = {name: of & (groups.member == k) for k, name in enumerate(groups.names)}
            large = [
                GroupPerformance(
                    images.classes[index],
                    name,
                    int(rows.sum()),
                    *dataclasses.astuple(images.share(images.right, rows)),
                )
                for name, rows in masks.items()
                if rows.sum() >= MIN_OF_GROUP
            ]
            large.sort(key=lambda g: g.right)
            there = sum(bool(rows.any()) for rows in masks.values())
            found.append(
                GroupRange(
                    column=column,
                    label=images.classes[index],
                    best=large[-1] if len(large) > 1 else None,
                    worst=large[0] if len(large) > 1 else None,
                    compared=len(large),
                    too_few=there - len(large),
                    min_images=MIN_OF_GROUP,
                )
            )
    return tuple(found)
