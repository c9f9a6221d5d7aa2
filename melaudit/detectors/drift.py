"""Drift: are the audited images like those that the model was trained on?

Looks for: artifacts that are more or less frequent, and properties (light, contrast, colour,
sharpness, size) that are higher or lower, than in a sample of the training images.
Why: what a model does on images unlike those it learned from is not known; a ring that every
training image of one clinic has is no shortcut to find where none of the audited images has one.
How scored: rates and means side by side, with the difference and its 95 % interval. Both samples
are compared class by class, each class counting alike, so that another mix of classes is no drift.
p by permutation within classes, corrected with everything else that the run tested. Images of one
patient count once. Nothing here enters the verdict.
Do instead: audit on images like those that the model will meet, or train on such images.
Reference: Finlayson et al. 2021, "The clinician and dataset shift in artificial intelligence".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from melaudit.detectors.claim import Claim, evidence_of
from melaudit.detectors.interface import Batch, Detector, Result
from melaudit.detectors.measures.properties import PROPERTIES
from melaudit.findings import Drift as Drifted
from melaudit.findings import Evidence, Figure, Rung, Skipped
from melaudit.measurements import Array, Measurements
from melaudit.statistics.correction import clear, q_value
from melaudit.statistics.estimates import Tested
from melaudit.statistics.stratified import (
    TwoSamples,
    mean_shift,
    rate_difference,
    two_samples_of,
)
from melaudit.wording.names import human
from melaudit.wording.sentences import capitalised, percent, points

MIN_OF_CLASS = 10
"""Images (or patients) of a class in either sample; classes with fewer are left out. Chosen: a
round figure, not measured."""

Values = NDArray[np.float64]


class Drift(Detector):
    """Differences between the training images and the audited ones."""

    id = "drift"
    title = "Training images and audited images"

    def measure(self, batch: Batch) -> Mapping[str, Array]:
        """Measure nothing: other detectors have measured artifacts and properties."""
        return {}

    def conclude(self, measurements: Measurements) -> Sequence[Result]:
        """Hold every artifact and property of both samples against each other."""
        if not measurements.training and not measurements.training_properties:
            reason = "no training images are known; name them with --train-data"
            return [Skipped(self.id, reason)]
        compared = _compared(measurements)
        if not compared:
            reason = f"no class has {MIN_OF_CLASS} images in the training data and in the audit"
            return [Skipped(self.id, reason)]
        return [
            Claim(self.id, compared, evidence=_evidence, word=lambda c, _: [_said(d) for d in c])
        ]


@dataclass(frozen=True)
class Compared:
    """One artifact or property in both samples."""

    id: str
    name: str
    is_rate: bool
    unit: str
    more: str
    less: str
    training: float
    audited: float
    n_training: int
    n_audited: int
    difference: Tested


def _compared(table: Measurements) -> tuple[Compared, ...]:
    found = []
    for artifact, (present, labels) in table.training.items():
        own = _column(table, f"{artifact}.present")
        samples = None if own is None else _samples(table, own, present.astype(float), labels)
        if samples is not None:
            difference = rate_difference(samples, table.seed)
            words = (human(artifact), True, "share of images", "more often", "less often")
            found.append(Compared(artifact, *words, *_facts(samples), difference))
    for p in PROPERTIES:
        if p.id not in table.training_properties:
            continue
        values, labels = table.training_properties[p.id]
        own = _column(table, f"property_label.{p.id}")
        samples = None if own is None else _samples(table, own, values, labels)
        if samples is not None:
            difference = mean_shift(samples, table.seed)
            words = (p.called(table.words), False, p.unit, p.more, p.less)
            found.append(Compared(p.id, *words, *_facts(samples), difference))
    return tuple(found)


def _column(table: Measurements, name: str) -> Values | None:
    try:
        values: Values = np.asarray(table[name], np.float64)
    except KeyError:  # the detector failed in the pass
        return None
    return values


def _samples(
    table: Measurements, own: Values, trained: Values, labels: NDArray[np.int64]
) -> TwoSamples | None:
    """Return both samples by class; as one class where no audited image has a label."""
    known = table.labels >= 0
    patients = table.groups
    if not known.any():
        nothing = np.zeros(len(own), np.int64)
        return two_samples_of(
            (own, nothing), (trained, np.zeros(len(trained), np.int64)), MIN_OF_CLASS, patients
        )
    who = None if patients is None else patients[known].astype(str)
    return two_samples_of((own[known], table.labels[known]), (trained, labels), MIN_OF_CLASS, who)


def _facts(samples: TwoSamples) -> tuple[float, float, int, int]:
    """Return what training and audited images have on average, and how many there are of each."""
    audited, training = samples.means
    n_audited, n_training = (sum(map(len, s)) for s in (samples.first, samples.second))
    return training, audited, n_training, n_audited


def _evidence(compared: Sequence[Compared]) -> list[Evidence]:
    return [
        evidence_of(
            Rung.OPPORTUNITY,
            f"difference between audited and training images: {c.name}",
            c.difference,
            c.n_training + c.n_audited,
            "training images and audited images of a class are alike",
            _sentence(c),
        )
        for c in compared
    ]


def _said(c: Compared) -> Drifted:
    return Drifted(
        id=c.id,
        title=capitalised(c.name),
        is_rate=c.is_rate,
        unit=c.unit,
        training=c.training,
        audited=c.audited,
        difference=Figure(c.difference.value, c.difference.low, c.difference.high),
        p_value=c.difference.p_value,
        q_value=q_value(c.difference),
        clear=clear(c.difference),
        n_training=c.n_training,
        n_audited=c.n_audited,
        statement=_sentence(c),
    )


def _sentence(c: Compared) -> str:
    d = c.difference
    if c.is_rate:
        share = percent(c.training)
        figures = f"{share} of the training images, {percent(c.audited)} of the audited ones"
        change = (
            f"a difference of {points(d.value)}, 95 % interval {points(d.low)} to {points(d.high)}"
        )
    else:
        figures = f"{c.training:.3g} in the training images, {c.audited:.3g} in the audited ones"
        change = f"a difference of {d.value:.2g}, 95 % interval {d.low:.2g} to {d.high:.2g}"
    name = capitalised(c.name)
    if not clear(d):
        return f"{name}: {figures} ({change}). This is not clear of chance."
    if c.is_rate:
        how = c.more if d.value > 0 else c.less
        return f"{name} is seen {how} in the audited images: {figures} ({change})."
    how = c.more if d.value > 0 else c.less
    return f"The audited images are {how} ({c.name}): {figures} ({change})."
