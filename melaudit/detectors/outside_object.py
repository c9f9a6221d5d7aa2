"""Relevance outside the object: does the model look at what it is asked about?

Looks for: predicted classes whose maps hold more relevance outside the object (in dermoscopy the
lesion) than the share of area there, and errors that go with it. Needs masks of the object
(--object-masks).
Why: the surroundings of an object and its rim say little about it. A model that uses them uses the
background, the instrument or the clinic.
How scored: the share of relevance outside an image's own object (with a rim of 3 % of the side) is
compared with the share of area there (paired bootstrap over patients, sign-flip test). It is also
compared with the share that maps of other images of the same predicted class have in the same
place. Padding and the usual place of objects act on those as well, so only a map that follows its
own object holds less outside it. Errors: the share outside on wrong images against right images of
the same predicted class.
Do instead: look at the images listed; crop to the object while training, or add masks to the loss.
Reference: Bissoto et al. 2019, "(De)Constructing bias on skin lesion datasets", on models that
still predict the label with the lesion hidden.
"""

# Long because: the look and the errors that go with it are one claim, and each has its wording.

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from melaudit.detectors.claim import Claim, evidence_of, finding
from melaudit.detectors.interface import Batch, Detector, Result
from melaudit.detectors.measures.regions import (
    OTHERS,
    SHOWN,
    Excess,
    Stratum,
    excess,
    pooled,
    shares,
)
from melaudit.findings import (
    Evidence,
    Finding,
    NotFound,
    Rung,
    Skipped,
    Table,
    Words,
)
from melaudit.measurements import GRID, Array, Measurements
from melaudit.statistics.correction import bonferroni, clear
from melaudit.statistics.estimates import Tested, mean_difference, paired_mean, permutation_test
from melaudit.wording.sentences import interval, many, percent

RIM_SHARE = 0.03
"""Width of the rim that still counts as object, as a share of the longer side. Chosen, not
measured."""
MIN_IMAGES = 20
"""Images of a predicted class with a mask, at least. Chosen, not measured."""
MIN_ERRORS = 10
"""Wrong images, and right ones, that a comparison needs. Chosen, not measured."""
MIN_EXCESS = 0.02
"""Share of relevance outside, beyond the share of area there, from which the model looks away.
Chosen, not measured."""
MIN_EXCESS_OF_ERRORS = 0.05
"""Share of relevance by which wrong images must exceed right ones. Chosen, not measured."""


def named(words: Words) -> str:
    """Return the detector's id in a domain: "outside_lesion" where the object is a lesion."""
    return "outside_lesion" if words.object == "lesion" else "outside_object"


class OutsideObject(Detector):
    """Relevance outside the user's masks of the object, by predicted class and by error."""

    sums_places = True

    def __init__(self, words: Words | None = None) -> None:
        self.words = words or Words()
        self.id = named(self.words)
        self.title = f"Relevance outside the {self.words.object}"

    def measure(self, batch: Batch) -> Mapping[str, Array]:
        """Add up each map's relevance outside its object; NaN where there is no usable mask."""
        objects = batch.user.objects
        if objects is None:
            return {}
        n = len(batch)
        masks = np.zeros((n, GRID, GRID), np.uint8)
        outside = np.full((3, n), np.nan, np.float32)
        for i, mask in enumerate(objects):
            if mask is None:
                continue
            coverage = batch.images.project(mask, i)
            if not coverage.any():  # an empty mask, or an object that the crop leaves out
                continue
            around = 1 - widened(coverage)
            share = shares(batch.maps.relevance[i], around)
            outside[:, i] = share.absolute, share.signed, share.area
            masks[i] = pooled(around)
        return {"mask": masks, "share": outside[0], "signed": outside[1], "area": outside[2]}

    def conclude(self, measurements: Measurements) -> Sequence[Result]:
        """Compare the relevance outside with the area there, by class, then by error."""
        try:
            share = measurements[f"{self.id}.share"]
        except KeyError:
            option = f"--{self.id.removeprefix('outside_')}-masks"
            return [Skipped(self.id, f"no {self.words.object} masks were given ({option})")]
        if not measurements.explanations.usable:
            return [Skipped(self.id, f"the maps are {measurements.explanations}")]
        if not measurements.above_chance:
            return [Skipped(self.id, "the predictions do not follow the labels")]
        usable = np.isfinite(share)
        views = [
            _view(measurements, target, rows)
            for target in range(len(measurements.classes))
            if len(rows := np.flatnonzero(usable & (measurements.targets == target))) >= MIN_IMAGES
        ]
        if not views:
            few = f"{int(usable.sum()):,} of {many(len(share), 'image')} have a usable mask"
            return [Skipped(self.id, f"{few}; no predicted class has {MIN_IMAGES} of them")]
        classes, words = measurements.classes, self.words
        looked: Claim[tuple[View, ...]] = Claim(
            self.id,
            tuple(replace(view, beyond=bonferroni(view.beyond, len(views))) for view in views),
            evidence=lambda settled: tuple(
                e for view in settled for e in _evidence(view, classes, words)
            ),
            word=partial(_word, self.id, measurements),
        )
        return [looked, *_errors(self.id, measurements, usable)]


def _word(
    identity: str,
    measurements: Measurements,
    views: tuple[View, ...],
    evidence: tuple[Evidence, ...],
) -> Sequence[Finding | NotFound]:
    """Claim the classes that are decided from around the object, or say that none is."""
    away = [view for view in views if view.reached]
    if not away:
        return [_missed(identity, views, measurements.words)]
    return [_finding(identity, measurements, views, away, evidence)]


def widened(coverage: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return an object's coverage (H, W) grown by `RIM_SHARE` of its longer side."""
    reach = max(1, round(RIM_SHARE * max(coverage.shape)))
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    grown: NDArray[np.float32] = ndimage.grey_dilation(
        coverage, footprint=np.hypot(y, x) <= reach, mode="constant", cval=0.0
    )
    return grown


@dataclass(frozen=True)
class View:
    """The relevance outside the objects of one predicted class."""

    target: int
    rows: NDArray[np.intp]
    share: float
    """Mean share of the absolute relevance outside."""
    area: float
    """Mean share of the area outside."""
    beyond: Tested
    """Share minus area, paired; p counts the classes tried."""
    others: Excess | None
    """Against other images' maps in the same place; None where there are too few."""

    @property
    def reached(self) -> bool:
        """Whether the class is decided more by the surroundings than by the object."""
        follows = self.others is not None and self.others.difference.high < 0
        large = self.beyond.value >= MIN_EXCESS and self.beyond.low > 0
        return large and not follows and clear(self.beyond)


def _view(measurements: Measurements, target: int, rows: NDArray[np.intp]) -> View:
    share = measurements[f"{named(measurements.words)}.share"][rows].astype(np.float64)
    area = measurements[f"{named(measurements.words)}.area"][rows].astype(np.float64)
    groups = None if measurements.groups is None else measurements.groups[rows]
    beyond = paired_mean(share - area, measurements.seed, groups)
    others = _others(measurements, rows) if len(rows) >= 2 * MIN_IMAGES else None
    return View(target, rows, float(share.mean()), float(area.mean()), beyond, others)


def _others(measurements: Measurements, rows: NDArray[np.intp]) -> Excess:
    """Hold half of the maps in their own masks against the other half's maps in those masks."""
    rng = np.random.default_rng(measurements.seed)
    dealt = rng.permutation(rows)
    own, others = dealt[: len(rows) // 2][:SHOWN], dealt[len(rows) // 2 :][:OTHERS]
    masks = measurements[f"{named(measurements.words)}.mask"][own].reshape(len(own), -1) / 255.0
    maps = measurements.absolute_shares
    return excess([Stratum(masks, maps(own), maps(others))], measurements.seed)


def _counted(view: View, classes: tuple[str, ...], words: Words) -> str:
    return (
        f"{percent(view.share)} of the relevance for {classes[view.target]} lies outside the "
        f"{words.object} and its rim, which is {percent(view.area)} of the area "
        f"({len(view.rows):,} images predicted {classes[view.target]})"
    )


def _evidence(view: View, classes: tuple[str, ...], words: Words) -> tuple[Evidence, ...]:
    name, beyond = classes[view.target], view.beyond
    first = evidence_of(
        Rung.ATTENTION,
        f"{name}: relevance outside the {words.object} beyond its area",
        beyond,
        len(view.rows),
        "relevance is spread evenly over the image",
        f"{_counted(view, classes, words)}: {percent(beyond.value)} beyond it, "
        f"{interval(beyond, percent)}.",
        reached=view.reached,
    )
    if view.others is None:
        return (first,)
    difference = view.others.difference
    follows = difference.high < 0
    second = evidence_of(
        Rung.ATTENTION,
        f"{name}: relevance outside the own {words.object} over that of other maps there",
        difference,
        view.others.n_own + view.others.n_others,
        "maps of other images of the same predicted class, in the same place",
        f"Maps of other images predicted {name} hold {percent(view.others.elsewhere)} "
        f"outside these {words.objects}, their own hold {percent(view.others.own)}: the maps "
        f"{'follow' if follows else 'do not clearly follow'} the {words.object} "
        f"({interval(difference, percent)} for the difference).",
    )
    return first, second


def _finding(
    identity: str,
    measurements: Measurements,
    views: Sequence[View],
    away: Sequence[View],
    evidence: tuple[Evidence, ...],
) -> Finding:
    classes, words = measurements.classes, measurements.words
    rows = np.concatenate([view.rows for view in away])
    beyond = measurements[f"{identity}.share"] - measurements[f"{identity}.area"]
    return finding(
        evidence,
        measurements.explanations,
        id=identity,
        detector=identity,
        title=f"The model looks around the {words.object} rather than at it",
        classes=tuple(classes[view.target] for view in away),
        statement="; ".join(_counted(view, classes, words) for view in away) + ".",
        images=tuple(measurements.ids[i] for i in rows[np.argsort(-beyond[rows], kind="stable")]),
        remedy="Look at the images listed for what draws the model away. "
        f"Crop to the {words.object} while "
        "training, or add the masks to the loss; then audit again.",
        does_not_show="That the decision depends on the surroundings: padding and sharp edges draw "
        f"relevance of their own. Only hiding the {words.object}, or what is around it, tells.",
        tables=(_table(views, classes, words),),
    )


def _table(views: Sequence[View], classes: tuple[str, ...], words: Words) -> Table:
    return Table(
        f"Relevance outside the {words.object} by predicted class",
        ("predicted", "images with a mask", "share outside", "area outside", "other maps there"),
        tuple(
            (
                classes[view.target],
                len(view.rows),
                round(view.share, 3),
                round(view.area, 3),
                "too few" if view.others is None else round(view.others.elsewhere, 3),
            )
            for view in views
        ),
    )


def _missed(identity: str, views: Sequence[View], words: Words) -> NotFound:
    n = sum(len(view.rows) for view in views)
    worst = max(views, key=lambda view: view.beyond.value)
    return NotFound(
        artifact=identity,
        n=n,
        minimum_detectable_effect=max(
            MIN_EXCESS, max((view.beyond.high - view.beyond.low) / 2 for view in views)
        ),
        effect=f"share of relevance outside the {words.object} beyond its area",
        statement=f"No predicted class is decided from around the {words.object}: at most "
        f"{percent(worst.share)} of the relevance lies outside it, on {percent(worst.area)} of the "
        f"area, or the maps follow the {words.object}.",
    )


def _errors(
    identity: str, measurements: Measurements, usable: NDArray[np.bool_]
) -> Sequence[Result]:
    """Say whether wrong images hold more relevance outside than right ones of the same call."""
    labels, targets = measurements.labels, measurements.targets
    known = usable & (labels >= 0)
    rows = np.flatnonzero(known)
    wrong = (labels != measurements.predictions)[rows]
    if wrong.sum() < MIN_ERRORS or (~wrong).sum() < MIN_ERRORS:
        few = f"{int(wrong.sum()):,} wrong and {int((~wrong).sum()):,} right images have a mask"
        return [Skipped(f"{identity} (errors)", f"{few}; a comparison needs {MIN_ERRORS} each")]
    share = measurements[f"{named(measurements.words)}.share"][rows].astype(np.float64)
    called = targets[rows]
    for target in np.unique(called):  # classes differ in how much they hold outside
        share[called == target] -= share[called == target].mean()
    groups = measurements.groups
    split = None if groups is None else (groups[rows][wrong], groups[rows][~wrong])
    more = mean_difference(share[wrong], share[~wrong], measurements.seed, split)
    p = permutation_test(share, wrong, measurements.seed, called)
    worst = rows[wrong][np.argsort(-share[wrong], kind="stable")]
    return [
        Claim(
            f"{identity}.errors",
            Errors(
                Tested(more.value, more.low, more.high, p),
                int(wrong.sum()),
                len(rows),
                measurements.words,
            ),
            evidence=lambda errors: (errors.evidence(),),
            word=partial(_word_errors, identity, measurements, worst),
        )
    ]


@dataclass(frozen=True)
class Errors:
    """How much more of their relevance wrong images hold outside the object than right ones."""

    more: Tested
    """Difference of the mean shares, predicted class held fixed."""
    wrong: int
    n: int
    words: Words

    @property
    def reached(self) -> bool:
        """Whether it is clearly more, and by enough to matter."""
        return self.more.low > 0 and self.more.value >= MIN_EXCESS_OF_ERRORS and clear(self.more)

    def counted(self) -> str:
        """Return the comparison in a sentence."""
        return (
            f"Wrong images hold {percent(abs(self.more.value))} "
            f"{'more' if self.more.value > 0 else 'less'} of their relevance outside the "
            f"{self.words.object} "
            f"than right ones of the same predicted class ({self.wrong:,} wrong, "
            f"{self.n - self.wrong:,} right; {interval(self.more, percent)})."
        )

    def evidence(self) -> Evidence:
        """Return the difference as evidence."""
        return evidence_of(
            Rung.ATTENTION,
            f"relevance outside the {self.words.object}, wrong over right images",
            self.more,
            self.n,
            "errors are as frequent whatever the share outside, by predicted class",
            self.counted(),
            reached=self.reached,
        )


def _word_errors(
    identity: str,
    measurements: Measurements,
    worst: NDArray[np.intp],
    errors: Errors,
    evidence: tuple[Evidence, ...],
) -> Sequence[Finding | NotFound]:
    """Claim that errors go with looking around the object, or say that they do not clearly."""
    name, words = f"{identity}.errors", measurements.words
    if not errors.reached:
        effect = f"difference of the share of relevance outside the {words.object}"
        least = max(MIN_EXCESS_OF_ERRORS, (errors.more.high - errors.more.low) / 2)
        p = errors.more.p_value
        return [NotFound(name, errors.n, least, effect, errors.counted(), p)]
    targets = np.unique(measurements.targets[worst])
    return [
        finding(
            evidence,
            measurements.explanations,
            id=name,
            detector=identity,
            title=f"The model errs where it looks around the {words.object}",
            classes=tuple(measurements.classes[target] for target in targets),
            statement=errors.counted(),
            images=tuple(measurements.ids[i] for i in worst),
            remedy="Look at the images listed for what draws the model away, and see that images "
            "of every class have it while training.",
            does_not_show="That looking away causes the errors: small or pale "
            f"{words.objects} are hard, and leave more of the map to their surroundings.",
        )
    ]
