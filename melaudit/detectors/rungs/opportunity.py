"""Opportunity: does an artifact go with a class, and do the predictions go with the artifact?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from melaudit.findings import Evidence, NotFound, Rung, Table
from melaudit.statistics.estimates import Estimate, common_odds_ratio, odds_ratio
from melaudit.statistics.power import minimum_detectable_odds_ratio
from melaudit.wording.sentences import interval, many, ratio

LEAST_ODDS = 1.5
"""Odds ratio from which an association is worth a word; known ones in public sets start there."""
ALPHA = 0.05

Rows = NDArray[np.bool_]
Indices = NDArray[np.int64]


@dataclass(frozen=True)
class Association:
    """How an artifact goes with the labels."""

    kind: int
    """The class that the artifact goes with the most."""
    odds: Estimate
    """Odds of that class with the artifact over those without; p counts the classes tried."""
    counts: tuple[int, int, int, int]
    """Images of the class with the artifact, images of the class, and the same of all others."""

    @property
    def reached(self) -> bool:
        """Whether the association is strong enough and clear of chance."""
        odds = self.odds
        return odds.value >= LEAST_ODDS and odds.low > 1 and (odds.p_value or 0.0) < ALPHA

    def counted(self, classes: tuple[str, ...], shows: str) -> str:
        """Return the association in counts: "206 of 500 malignant images show ..."."""
        with_it, of, others_with, others = self.counts
        rest = f"{classes[1 - self.kind]} ones" if len(classes) == 2 else "others"
        return (
            f"{with_it:,} of {of:,} {classes[self.kind]} images show {shows}, "
            f"{others_with:,} of {others:,} {rest} do"
        )


def associate(present: Rows, labels: Indices, classes: tuple[str, ...]) -> Association | None:
    """Find the class that goes with the artifact the most; None where labels cannot tell.

    `present` (n,), `labels` (n,) with -1 where unknown. Each class stands against the rest; the
    p-value is multiplied by the number of classes that were tried (one test for two classes).
    """
    known = labels >= 0
    present, labels = present[known], labels[known]
    found = [k for k in range(len(classes)) if 0 < (labels == k).sum() < len(labels)]
    best: Association | None = None
    for k in found:
        of = labels == k
        table = [[(present & of).sum(), (present & ~of).sum()]]
        table.append([(~present & of).sum(), (~present & ~of).sum()])
        odds = odds_ratio(table)
        tried = 1 if len(found) == 2 else len(found)
        odds = Estimate(odds.value, odds.low, odds.high, min(1.0, (odds.p_value or 0.0) * tried))
        (a, b), (c, d) = table
        candidate = Association(k, odds, (int(a), int(a + c), int(b), int(b + d)))
        if best is None or _strength(candidate) > _strength(best):
            best = candidate
    return best


def _strength(association: Association) -> tuple[bool, float, float]:
    odds = association.odds
    return odds.value > 1, -(odds.p_value or 0.0), odds.value


def evidence(
    association: Association,
    present: Rows,
    labels: Indices,
    predictions: Indices,
    classes: tuple[str, ...],
    shows: str,
    *,
    in_training: bool = False,
) -> tuple[Evidence, ...]:
    """Return the association with the label, and with the prediction among images of one label.

    `in_training` says that the first is about the images the model was trained on. The second
    (Mantel and Haenszel, by label) never carries the rung alone: images with the artifact may be
    clearer cases.
    """
    odds, kind = association.odds, classes[association.kind]
    first = Evidence(
        rung=Rung.OPPORTUNITY,
        name=f"odds ratio of the label{' in the training data' if in_training else ''}",
        estimate=odds.value,
        ci_low=odds.low,
        ci_high=odds.high,
        p_value=odds.p_value,
        q_value=None,
        n=association.counts[1] + association.counts[3],
        null=f"{kind} is as frequent among images with it as among images without",
        reached=association.reached,
        statement=f"{'Of the training data, ' if in_training else ''}"
        f"{association.counted(classes, shows)} "
        f"(odds ratio {ratio(odds.value)}, {interval(odds, ratio)}).",
    )
    known = labels >= 0
    called = predictions == association.kind
    tables = [
        [
            [(s & present & called).sum(), (s & present & ~called).sum()],
            [(s & ~present & called).sum(), (s & ~present & ~called).sum()],
        ]
        for s in (known & (labels == k) for k in range(len(classes)))
    ]
    common = common_odds_ratio(tables)
    if common is None or common.p_value is None:
        return (first,)
    second = Evidence(
        rung=Rung.OPPORTUNITY,
        name="odds ratio of the prediction, label held fixed",
        estimate=common.value,
        ci_low=common.low,
        ci_high=common.high,
        p_value=common.p_value,
        q_value=None,
        n=int(known.sum()),
        null=f"among images of one label, it makes no difference to being called {kind}",
        reached=association.reached and common.low > 1 and common.p_value < ALPHA,
        statement=f"Among images of the same label, those that show {shows} are called {kind} "
        f"{'more' if common.value > 1 else 'less'} often: odds ratio {ratio(common.value)}, "
        f"{interval(common, ratio)}.",
    )
    return first, second


def missed(
    association: Association, artifact: str, shows: str, *, in_training: bool = False
) -> NotFound:
    """Say that no class goes with the artifact, and what would have been seen."""
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
        f"show {shows}, and no class has more "
        f"of them than chance explains; {seen}.",
        p_value=association.odds.p_value,
    )


def tables(
    present: Rows,
    labels: Indices,
    predictions: Indices,
    classes: tuple[str, ...],
    header: str,
    strict: tuple[str, Rows] | None = None,
) -> tuple[Table, ...]:
    """Return the counts by label, by prediction, and of predictions by label and artifact.

    `strict` adds a column with the count by a stricter rule: its heading and its (n,) outcome.
    """
    heads = ("images", header, "share", *((strict[0],) if strict else ()))

    def row(name: str, chosen: Rows) -> tuple[str | int | float, ...]:
        n, k = int(chosen.sum()), int((chosen & present).sum())
        more = (int((chosen & strict[1]).sum()),) if strict else ()
        return (name, n, k, round(k / n, 3) if n else 0.0, *more)

    def rows(of: Indices) -> tuple[tuple[str | int | float, ...], ...]:
        return tuple(row(name, of == k) for k, name in enumerate(classes) if (of == k).any())

    out = [Table(f"{header.capitalize()} by prediction", ("called", *heads), rows(predictions))]
    if (labels >= 0).any():
        unknown = ((row("unknown", labels < 0)),) if (labels < 0).any() else ()
        by_label = Table(
            f"{header.capitalize()} by label", ("label", *heads), rows(labels) + unknown
        )
        cross = Table(
            f"Predictions by label and {header}",
            ("label", header, "images", *(f"called {name}" for name in classes)),
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
