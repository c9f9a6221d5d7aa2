"""Opportunity: does an artifact go with a class, and do the predictions go with the artifact?"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from melaudit.detectors.claim import evidence_of
from melaudit.findings import Evidence, NotFound, Rung, Table
from melaudit.statistics.correction import bonferroni, clear
from melaudit.statistics.estimates import Tested, common_odds_ratio, odds_ratio
from melaudit.statistics.power import minimum_detectable_odds_ratio
from melaudit.wording.sentences import interval, many, ratio

MIN_ODDS_RATIO = 1.5
"""Odds ratio from which an association is reported: known associations in public sets start
there."""

RowMask = NDArray[np.bool_]
Indices = NDArray[np.int64]


@dataclass(frozen=True)
class Association:
    """How an artifact goes with the labels."""

    target: int
    """The class that the artifact goes with the most."""
    odds: Tested
    """Odds of that class with the artifact over those without; p counts the classes tried."""
    counts: tuple[int, int, int, int]
    """Images of the class with the artifact, images of the class, and the same of all others."""
    predicted: Tested | None = None
    """The same odds of being called that class, among images of one label (Mantel, Haenszel)."""
    explained: bool = False
    """Whether another artifact explains it, which the same images show."""

    @property
    def strong(self) -> bool:
        """Whether the association is strong enough to matter, were it clear of chance."""
        return self.odds.value >= MIN_ODDS_RATIO and self.odds.low > 1

    @property
    def reached(self) -> bool:
        """Whether it is its own, strong enough, and clear once the run's tests are corrected."""
        return self.strong and not self.explained and clear(self.odds)

    def counted(self, classes: tuple[str, ...], shows: str) -> str:
        """Return the association in counts: "206 of 500 malignant images show ..."."""
        with_it, of, others_with, others = self.counts
        rest = f"{classes[1 - self.target]} ones" if len(classes) == 2 else "others"
        return (
            f"{with_it:,} of {of:,} {classes[self.target]} images show {shows}, "
            f"{others_with:,} of {others:,} {rest} do"
        )


def associate(
    present: RowMask, labels: Indices, classes: tuple[str, ...], at_most: float = 1.0
) -> Association | None:
    """Find the class that goes with the artifact the most; None where labels cannot tell.

    `present` (n,), `labels` (n,) with -1 where unknown. Each class stands against the rest; the
    p-value is multiplied by the number of classes that were tried (one test for two classes).
    `at_most`: the p-value above which no interval is asked for.
    """
    known = labels >= 0
    present, labels = present[known], labels[known]
    found = [k for k in range(len(classes)) if 0 < (labels == k).sum() < len(labels)]
    best: Association | None = None
    for k in found:
        of = labels == k
        table = [[(present & of).sum(), (present & ~of).sum()]]
        table.append([(~present & of).sum(), (~present & ~of).sum()])
        odds = odds_ratio(table, at_most)
        odds = bonferroni(odds, 1 if len(found) == 2 else len(found))
        (a, b), (c, d) = table
        candidate = Association(k, odds, (int(a), int(a + c), int(b), int(b + d)))
        if best is None or _strength(candidate) > _strength(best):
            best = candidate
    return best


def _strength(association: Association) -> tuple[bool, float, float]:
    odds = association.odds
    return odds.value > 1, -odds.p_value, odds.value


def with_predictions(
    association: Association | None, present: RowMask, labels: Indices, predictions: Indices
) -> Association | None:
    """Add how the predictions go with the artifact among images of one label.

    present, labels and predictions (n,). None stays None; where no label has images of all four
    kinds, nothing is added.
    """
    if association is None:
        return None
    called = predictions == association.target
    tables = [
        [
            [(s & present & called).sum(), (s & present & ~called).sum()],
            [(s & ~present & called).sum(), (s & ~present & ~called).sum()],
        ]
        for s in (labels == k for k in np.unique(labels[labels >= 0]))
    ]
    return replace(association, predicted=common_odds_ratio(tables))


def evidence(
    association: Association,
    classes: tuple[str, ...],
    shows: str,
    labelled: int,
    *,
    in_training: bool = False,
) -> tuple[Evidence, ...]:
    """Return the association with the label, and with the prediction among images of one label.

    `labelled` counts the images of the second. `in_training` says that the first is about the
    images the model was trained on. The second never carries the rung alone: images with the
    artifact may be clearer cases.
    """
    odds, name = association.odds, classes[association.target]
    first = evidence_of(
        Rung.OPPORTUNITY,
        f"odds ratio of the label{' in the training data' if in_training else ''}",
        odds,
        association.counts[1] + association.counts[3],
        f"{name} is as frequent among images with it as among images without",
        f"{'Of the training data, ' if in_training else ''}"
        f"{association.counted(classes, shows)} "
        f"(odds ratio {ratio(odds.value)}, {interval(odds, ratio)}).",
        reached=association.reached,
    )
    common = association.predicted
    if common is None:
        return (first,)
    second = evidence_of(
        Rung.OPPORTUNITY,
        "odds ratio of the prediction, label held fixed",
        common,
        labelled,
        f"among images of one label, it makes no difference to the prediction {name}",
        f"Among images of the same label, those that show {shows} are predicted {name} "
        f"{'more' if common.value > 1 else 'less'} often: odds ratio {ratio(common.value)}, "
        f"{interval(common, ratio)}.",
        reached=association.reached and common.low > 1 and clear(common),
    )
    return first, second


def missed(
    association: Association,
    artifact: str,
    shows: str,
    *,
    in_training: bool = False,
    seen_with: str = "",
) -> NotFound:
    """Say that no class goes with the artifact, and what would have been seen.

    `seen_with` says so where another artifact explains why one does.
    """
    with_it, of, others_with, others = association.counts
    n, exposed = of + others, with_it + others_with
    share = of / n
    least = minimum_detectable_odds_ratio(n, exposed / n, share)
    seen = (
        f"an odds ratio of {ratio(least)} or more would have been seen"
        if least is not None
        else "too few for any association to be seen"
    )
    return NotFound(
        artifact=artifact,
        n=n,
        minimum_detectable_effect=least,
        effect="odds ratio",
        statement=f"{many(exposed, 'labelled image')} of {n:,}{' used in training' * in_training} "
        f"show {shows}"
        + (
            f". {seen_with}"
            if association.explained
            else f", and no class has more of them than chance explains; {seen}."
        ),
        p_value=association.odds.p_value,
    )


def tables(
    present: RowMask,
    labels: Indices,
    predictions: Indices,
    classes: tuple[str, ...],
    header: str,
    strict: tuple[str, RowMask] | None = None,
) -> tuple[Table, ...]:
    """Return the counts by label, by prediction, and of predictions by label and artifact.

    `strict` adds a column with the count by a stricter rule: its heading and its (n,) outcome.
    """
    heads = ("images", header, "share", *((strict[0],) if strict else ()))

    def row(name: str, chosen: RowMask) -> tuple[str | int | float, ...]:
        n, k = int(chosen.sum()), int((chosen & present).sum())
        more = (int((chosen & strict[1]).sum()),) if strict else ()
        return (name, n, k, round(k / n, 3) if n else 0.0, *more)

    def rows(of: Indices) -> tuple[tuple[str | int | float, ...], ...]:
        return tuple(row(name, of == k) for k, name in enumerate(classes) if (of == k).any())

    out = [Table(f"{header.capitalize()} by prediction", ("predicted", *heads), rows(predictions))]
    if (labels >= 0).any():
        unknown = ((row("unknown", labels < 0)),) if (labels < 0).any() else ()
        by_label = Table(
            f"{header.capitalize()} by label", ("label", *heads), rows(labels) + unknown
        )
        cross = Table(
            f"Predictions by label and {header}",
            ("label", header, "images", *(f"predicted {name}" for name in classes)),
            tuple(
                (
                    name,
                    "yes" if with_it else "no",
                    int(chosen.sum()),
                    *(int((chosen & (predictions == c)).sum()) for c in range(len(classes))),
                )
                for k, name in enumerate(classes)
                for with_it in (True, False)
                if (chosen := (labels == k) & (present == with_it)).any()
            ),
        )
        out = [by_label, cross, *out]
    return tuple(out)
