"""Light, colour, sharpness and format: do they go with a class, and do predictions follow them?

Looks for: classes whose pictures are lighter, redder, sharper or larger than those of others.
Why: classes that come from different clinics come from different lamps, cameras and archives, and a
model can read those from any picture (DeGrave et al. 2023). They have no place on a map.
How scored: take all pairs of an image of the class and another image. The score is the share of
pairs in which the first has more of the property: the area under the ROC curve, with DeLong's
interval and the Mann-Whitney test, for the strongest class against the rest, corrected for the
classes tried. Then the same for the prediction among images of one label (van Elteren's test). An
area below .6 is not reported however many images there are, so neither shuffled nor unbalanced
labels raise an alarm. A model should see how dark or red an object is. So only what holds for what
lies around the middle, or for the file, counts as an opportunity; the rest is information. Images
of one patient count once.
Do instead: balance white and exposure, bring all images to one size, or vary these while training.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from melaudit.detectors.claim import Claim, evidence_of, finding
from melaudit.detectors.interface import Batch, Detector, Result
from melaudit.detectors.measures.properties import PROPERTIES, Family, Place, Property, measured
from melaudit.findings import Evidence, Finding, Mitigation, NotFound, Rung, Skipped, Table, Words
from melaudit.measurements import Array, Measurements
from melaudit.statistics.correction import bonferroni, clear
from melaudit.statistics.estimates import Tested, auc
from melaudit.statistics.ranks import minimum_detectable_auc, stratified_auc
from melaudit.wording.sentences import interval, many, percent

MIN_AUC = 0.6
"""Area under the ROC curve from which a difference is reported. Chosen, not measured."""
MIN_AUC_LOW = 0.55
"""The interval must lie above this area: a small difference that is clear of chance is still
small. Chosen, not measured."""
MIN_IMAGES = 10
"""Images (or patients) of a class, and of the others, that a comparison needs. Chosen, not
measured."""
FAR_QUANTILE = 0.9
"""Images beyond this quantile of the other classes are named. Chosen, not measured."""
MAX_P_VALUE = 0.001
"""p-value of the label below which a property is reported: a dozen properties are tested on
every data set, and one of them often differs by chance. Chosen, not measured."""

TITLE = {
    Place.AROUND: "In images of class {label} the {around} is {direction}",
    Place.WHOLE: "Images of class {label} are {direction} on the whole, their {around} is not",
    Place.FILE: "Images of class {label} are {direction} as files",
}
REMEDY = {
    Family.LIGHT: "Bring every image to the same lightness, or vary exposure and contrast while "
    "training; then audit again.",
    Family.COLOUR: "Balance the white of every image, or vary hue and white balance while "
    "training; then audit again.",
    Family.SHARPNESS: "Take the images of all classes from one source and size, or blur images of "
    "every class while training; then audit again.",
    Family.FORMAT: "Crop every image to one shape and reduce it to one size before training and in "
    "use; then audit again.",
}

Values = NDArray[np.float64]
Indices = NDArray[np.int64]


class PropertyLabel(Detector):
    """Pictures of one class that are lighter, redder, sharper or larger than the others."""

    id = "property_label"
    title = "Light, colour, sharpness and format by class"

    def measure(self, batch: Batch) -> Mapping[str, Array]:
        """Measure every property of every image."""
        views = batch.images.views
        sizes = batch.images.sizes or (None,) * len(views)
        rows = [measured(view, size) for view, size in zip(views, sizes, strict=True)]
        return {p.id: np.array([row[p.id] for row in rows], np.float32) for p in PROPERTIES}

    def conclude(self, measurements: Measurements) -> Sequence[Result]:
        """Compare the classes, family by family."""
        known = measurements.labels[measurements.labels >= 0]
        sizes = np.bincount(known, minlength=len(measurements.classes))
        if not ((sizes >= MIN_IMAGES) & (len(known) - sizes >= MIN_IMAGES)).any():
            reason = (
                f"no class has {MIN_IMAGES} labelled images with {MIN_IMAGES} of others beside them"
            )
            return [Skipped(self.id, reason)]
        return [_result(self.id, measurements, family) for family in Family]


@dataclass(frozen=True)
class Contrast:
    """How one property differs between a class and the rest."""

    of: Property
    target: int
    more: bool
    """Whether the class has more of it."""
    label: Tested
    """Share of pairs, .5 to 1, in which the image of the class lies on its side; p counts the
    classes tried."""
    prediction: Tested | None
    """The same of being called the class, among images of one label."""
    medians: tuple[float, float]
    """Of the class and of the others."""
    n: tuple[int, int]
    """Images (patients, where they are known) of the class and of the others."""

    @property
    def reached(self) -> bool:
        """Whether the difference is large enough and clear of chance after correction."""
        label = self.label
        strict = label.p_value < MAX_P_VALUE and clear(label)
        return label.value >= MIN_AUC and label.low > MIN_AUC_LOW and strict

    @property
    def direction(self) -> str:
        """What the class's pictures are: "darker"."""
        return self.of.more if self.more else self.of.less


def contrast(measurements: Measurements, of: Property) -> Contrast | None:
    """Compare the class that a property tells best with the rest; None where nothing varies."""
    values = measurements[f"property_label.{of.id}"].astype(np.float64)
    labels = measurements.labels
    use = np.flatnonzero((labels >= 0) & np.isfinite(values))
    value, label = _once(values[use], measurements, use, labels[use])
    if not len(value) or np.ptp(value) == 0:
        return None
    two = measurements.positive if measurements.positive is not None else 1
    tried = [
        k
        for k in (range(len(measurements.classes)) if len(measurements.classes) > 2 else (two,))
        if min((label == k).sum(), (label != k).sum()) >= MIN_IMAGES
    ]
    found = [_against_rest(value, label == k, k, of) for k in tried]
    if not found:
        return None
    best = min(found, key=lambda c: (c.label.p_value, -c.label.value))
    return _with_prediction(best, measurements, values, use, len(tried))


def _against_rest(value: Values, member: NDArray[np.bool_], target: int, of: Property) -> Contrast:
    area = auc(value, member)
    more = area.value >= 0.5
    medians = float(np.median(value[member])), float(np.median(value[~member]))
    n = int(member.sum()), int((~member).sum())
    return Contrast(of, target, more, area if more else _turned(area), None, medians, n)


def _with_prediction(
    best: Contrast, measurements: Measurements, values: Values, use: NDArray[np.intp], tests: int
) -> Contrast:
    """Count the classes tried into p, and add how predictions follow, label held fixed."""
    predicted = measurements.predictions[use]
    value, label, called = _once(
        values[use], measurements, use, measurements.labels[use], predicted
    )
    area = stratified_auc(value, called == best.target, label)
    if area is not None and not best.more:
        area = _turned(area)
    return replace(best, label=bonferroni(best.label, tests), prediction=area)


def _turned(area: Tested) -> Tested:
    return Tested(1 - area.value, 1 - area.high, 1 - area.low, area.p_value)


def _once(
    values: Values, measurements: Measurements, rows: NDArray[np.intp], *keys: Indices
) -> tuple[NDArray[Any], ...]:
    """Return values and keys with the images of one patient (and equal keys) averaged to one."""
    if measurements.groups is None or not len(values):
        return values, *keys
    _, group = np.unique(measurements.groups[rows], return_inverse=True)
    columns = np.stack([group, *keys], 1)
    distinct, member = np.unique(columns, axis=0, return_inverse=True)
    member = member.ravel()
    means = np.bincount(member, values) / np.bincount(member)
    return means, *(distinct[:, i + 1] for i in range(len(keys)))


def _result(identity: str, measurements: Measurements, family: Family) -> Result:
    wanted = [p for p in PROPERTIES if p.family is family]
    found = tuple(c for c in (contrast(measurements, p) for p in wanted) if c is not None)
    if not found:
        n = int((measurements.labels >= 0).sum())
        statement = f"All of {many(n, 'labelled image')} are alike in {family.value}."
        return NotFound(f"{identity}.{family.value}", n, None, "", statement)
    return Claim(
        f"{identity}.{family.value}",
        found,
        evidence=partial(_chain, measurements.classes, measurements.words),
        word=partial(_word, identity, measurements, family),
    )


def _carrying(found: Sequence[Contrast]) -> list[Contrast]:
    """Return what is reported: differences around the middle or of files, else of pictures."""
    reported = [c for c in found if c.reached]
    return [c for c in reported if c.of.place is not Place.WHOLE] or reported


def _chain(
    classes: tuple[str, ...], words: Words, found: tuple[Contrast, ...]
) -> tuple[Evidence, ...]:
    carrying = _carrying(found)
    # The difference that the finding is worded by comes first, for whoever shows one figure.
    ordered = sorted(found, key=lambda c: (c not in carrying, -c.label.value))
    return tuple(e for c in ordered for e in _evidence(c, classes, words, c in carrying))


def _word(
    identity: str,
    measurements: Measurements,
    family: Family,
    found: tuple[Contrast, ...],
    evidence: tuple[Evidence, ...],
) -> Sequence[Finding | NotFound]:
    """Claim the differences of a family of properties, or say that none is clear."""
    if not _carrying(found):
        return [_missed(identity, measurements, family, found)]
    return [_finding(identity, measurements, family, found, evidence)]


def _finding(
    identity: str,
    measurements: Measurements,
    family: Family,
    found: Sequence[Contrast],
    chain: tuple[Evidence, ...],
) -> Finding:
    classes, words = measurements.classes, measurements.words
    first = max(_carrying(found), key=lambda c: c.label.value)
    whole = first.of.place is Place.WHOLE
    followed = any(e.reached and "prediction" in e.name for e in chain)
    label = classes[first.target]
    statement = _sentence(first, classes, words)
    if followed:
        statement += f" Among images of one label, those that are {first.direction} are also "
        statement += f"predicted {label} more often."
    if whole:
        statement += f" On the {words.surroundings} round the middle there is no such difference, "
        statement += f"so it may be the {words.object}'s own."
    return finding(
        chain,
        measurements.explanations,
        id=f"{identity}.{family.value}",
        detector=identity,
        title=TITLE[first.of.place].format(
            label=label, direction=first.direction, around=words.surroundings
        ),
        mitigation=Mitigation.NATURAL if whole else None,
        classes=(label,),
        statement=statement,
        images=_far(measurements, first),
        remedy=f"See that {words.objects} of all classes are pictured in the same way; "
        f"the {words.object}'s own look needs no remedy."
        if whole
        else REMEDY[family],
        does_not_show=_does_not_show(whole, family, words),
        tables=(_table(measurements, family),),
    )


def _sentence(c: Contrast, classes: tuple[str, ...], words: Words) -> str:
    """Return the difference in pairs and in medians."""
    label = classes[c.target]
    other = classes[1 - c.target] if len(classes) == 2 else "other"
    return (
        f"In {percent(c.label.value)} of the pairs of one {label} and one {other} image, the "
        f"{label} one is {c.direction} ({c.of.called(words)}: medians {c.medians[0]:.3g} and "
        f"{c.medians[1]:.3g}, {c.of.unit})."
    )


def _evidence(
    c: Contrast, classes: tuple[str, ...], words: Words, carries: bool
) -> Iterator[Evidence]:
    label = classes[c.target]
    yield evidence_of(
        Rung.OPPORTUNITY,
        f"{c.of.called(words)}: area under the ROC curve of the label",
        c.label,
        sum(c.n),
        f"{label} images are {c.direction} in half of the pairs",
        f"{_sentence(c, classes, words)[:-1]}; {interval(c.label, percent)} of the pairs.",
        reached=carries,
    )
    area = c.prediction
    if area is None:
        return
    yield evidence_of(
        Rung.OPPORTUNITY,
        f"{c.of.called(words)}: area under the ROC curve of the prediction, label held fixed",
        area,
        sum(c.n),
        f"of images of one label, those predicted {label} are {c.direction} in half of the pairs",
        f"Among images of one label, the one predicted {label} is {c.direction} in "
        f"{percent(area.value)} of the pairs ({interval(area, percent)}).",
        reached=carries and area.low > 0.5 and clear(area),
    )


def _far(measurements: Measurements, c: Contrast) -> tuple[str, ...]:
    """Return the images of the class that few of the others come near, the farthest first."""
    values = measurements[f"property_label.{c.of.id}"].astype(np.float64)
    side = values if c.more else -values
    member = measurements.labels == c.target
    others = side[(measurements.labels >= 0) & ~member]
    line = float(np.nanquantile(others, FAR_QUANTILE))
    rows = np.flatnonzero(member & (side >= line))
    return tuple(measurements.ids[i] for i in rows[np.argsort(-side[rows], kind="stable")])


def _does_not_show(whole: bool, family: Family, words: Words) -> str:
    if whole:
        return (
            f"That anything but the {words.object} differs: how {words.objects} look is what a "
            "model is meant to see."
        )
    varies = (
        ""
        if family is Family.FORMAT
        else f" {words.surroundings_vary}, and {words.an_object} that reaches the edge counts as "
        f"{words.surroundings} here."
    )
    return (
        "That the model goes by it: predictions may follow what goes along with it. Only changing "
        f"it in an image and asking again tells.{varies}"
    )


def _table(measurements: Measurements, family: Family) -> Table:
    rows = []
    for p in (p for p in PROPERTIES if p.family is family):
        values = measurements[f"property_label.{p.id}"].astype(np.float64)
        for k, label in enumerate(measurements.classes):
            own = values[(measurements.labels == k) & np.isfinite(values)]
            if len(own):
                low, middle, high = (round(float(v), 3) for v in np.quantile(own, [0.1, 0.5, 0.9]))
                rows.append(
                    (p.called(measurements.words), p.unit, label, len(own), low, middle, high)
                )
    columns = ("property", "unit", "label", "images", "lowest tenth", "median", "highest tenth")
    return Table(f"{family.value.capitalize()} by label", columns, tuple(rows))


def _missed(
    identity: str, measurements: Measurements, family: Family, found: Sequence[Contrast]
) -> NotFound:
    """Say that a family tells no class, and how large a difference would have been seen."""
    name, n = f"{identity}.{family.value}", int((measurements.labels >= 0).sum())
    sizes = min((c.n for c in found), key=min)
    bars = (
        minimum_detectable_auc(*sizes, beyond=MIN_AUC_LOW),
        minimum_detectable_auc(*sizes, alpha=MAX_P_VALUE),
    )
    least = None if None in bars else max(bar for bar in bars if bar is not None)
    seen = max(MIN_AUC, least) if least is not None else None
    most = max(found, key=lambda c: c.label.value)
    would = (
        f"a difference in {percent(seen)} of the pairs or more would have been told"
        if seen is not None
        else "too few for any difference to be seen"
    )
    return NotFound(
        artifact=name,
        n=n,
        minimum_detectable_effect=seen,
        effect="area under the ROC curve",
        statement=f"No class of {many(n, 'labelled image')} stands out by its {family.value}: the "
        f"largest difference, the {most.of.called(measurements.words)}, orders "
        f"{percent(most.label.value)} of the pairs, where chance orders half; {would}.",
        p_value=min(1.0, len(found) * min(c.label.p_value for c in found)),
    )
