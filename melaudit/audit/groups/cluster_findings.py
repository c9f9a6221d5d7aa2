"""What may be claimed of a group of images that is decided, or looks, in a manner of its own.

Every class falls into groups, and most are as they should be. One becomes a finding when the model
looks away from the centre of its images more than in the rest of the class (attention), and more is
claimed when the channels that mark it carry its decisions as well (dependence).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from melaudit.audit.groups.portrait import columns
from melaudit.audit.groups.suspicion import PARTS
from melaudit.detectors.confidence import confidence
from melaudit.findings import (
    Cluster,
    Evidence,
    Finding,
    NotFound,
    Rung,
    Severity,
    Suppression,
    severity_of,
)
from melaudit.measurements import Measurements
from melaudit.statistics.estimates import Estimate, paired_mean, two_samples
from melaudit.wording.sentences import interval, many, percent

ID = "clusters"
ALPHA = 0.05
LOOKS = 0.05
"""Share of the relevance that must lie farther out than in the rest of the class."""
MOSTLY = 0.5
"""Share of the relevance out there from which a decision may be called one by what lies there."""
CARRIES = 0.1
"""Part of the decision's log-odds that must go without the marking channels."""
TIMES = 2.0
"""How many times the part that goes on others, or by placebo, it must be."""
NAMED = 0.5
"""Share of a group that must show an artifact before the finding is named for it."""

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Look:
    """How much farther from the centre the model looks on a group than on the rest of its class."""

    cluster: Cluster
    n: int
    """Images of the class."""
    inside: Estimate
    rest: float
    """Mean shares of absolute relevance outside the central half of the picture."""
    more: Estimate

    @property
    def reached(self) -> bool:
        """Whether it is clearly farther, and by enough to matter."""
        return (
            self.more.value >= LOOKS and self.more.low > 0 and (self.more.p_value or 0.0) <= ALPHA
        )

    @property
    def used(self) -> bool:
        """Whether clearly most of what the group's decisions rest on lies there, and they do so."""
        return self.reached and self.inside.low > MOSTLY and carried(self.cluster.suppression)


def looks(
    clusters: Sequence[Cluster], rows: Mapping[str, Rows], measurements: Measurements
) -> list[Look]:
    """Measure where the model looks on each cluster, whose rows are named by its id.

    A group is held against the rest of its class; p-values are multiplied by the number of groups.
    """
    outside = columns(measurements).outside
    names = measurements.groups
    found = []
    for cluster in clusters:
        inside = rows[cluster.id]
        kind = measurements.classes.index(cluster.predicted)
        rest = np.setdiff1d(np.flatnonzero(measurements.predictions == kind), inside)
        held = None if names is None else (names[inside], names[rest])
        more = two_samples(outside[inside], outside[rest], measurements.seed, held)
        p = min(1.0, (more.p_value or 0.0) * len(clusters))
        found.append(
            Look(
                cluster=cluster,
                n=len(inside) + len(rest),
                inside=paired_mean(
                    outside[inside], measurements.seed, None if held is None else held[0]
                ),
                rest=float(outside[rest].mean()) if len(rest) else float("nan"),
                more=Estimate(more.value, more.low, more.high, p),
            )
        )
    return found


def carried(suppression: Suppression | None) -> bool:
    """Tell whether the marking channels carry the decisions of a group, by enough to matter.

    Any channels carry some of any decision; these must carry more of the group's than others do.
    """
    return (
        suppression is not None
        and suppression.lost >= CARRIES
        and suppression.lost >= TIMES * max(suppression.lost_others, suppression.lost_placebo)
        and suppression.beyond_low > 0
        and suppression.p_value <= ALPHA
    )


def cluster_findings(seen: Sequence[Look], measurements: Measurements) -> list[Finding | NotFound]:
    """Return one finding for each predicted class with groups that look away from the centre."""
    found: list[Finding | NotFound] = []
    for name in dict.fromkeys(look.cluster.predicted for look in seen):
        of_class = [look for look in seen if look.cluster.predicted == name]
        away = [look for look in of_class if look.reached]
        found.append(_finding(away, measurements) if away else _missed(name, of_class))
    return found


def _finding(away: Sequence[Look], measurements: Measurements) -> Finding:
    """Claim of the most suspicious group that looks away; the others stand beside it."""
    first = max(away, key=lambda look: (look.used, look.cluster.suspicion))
    cluster = first.cluster
    evidence = [_attention(first)]
    if cluster.suppression is not None:
        evidence.append(_dependence(first, cluster.suppression))
    reached = {e.rung for e in evidence if e.reached}
    others = [look for look in away if look is not first]
    used = Rung.DEPENDENCE in reached
    does = "decides by" if used else "looks at"
    return Finding(
        id=f"{ID}.{cluster.predicted}",
        detector=ID,
        title=f"The model {does} what lies away from the centre of a group of images called "
        f"{cluster.predicted}",
        # A group that is merely looked at elsewhere is where to look, and no warning.
        severity=severity_of(reached, {e.rung for e in evidence}) if used else Severity.LOW,
        confidence=confidence(evidence, measurements.explanations),
        rung=max(reached, key=lambda rung: rung.rank),
        artifact=None,
        classes=(cluster.predicted,),
        statement=_statement(first, others),
        evidence=tuple(evidence),
        images=tuple(i for look in (first, *others) for i in look.cluster.images),
        remedy=_known_first(cluster)
        + f"Look at the images of cluster {cluster.id} and say what they share. If it is no "
        "part of the lesion, mark it in suspicious.csv and give that back with --labels to find "
        "all images that have it; then train on images of every class with it, or without it, and "
        "audit again.",
        does_not_show="That what they share is wrong to go by: a large lesion lies away from the "
        "centre, too. "
        + (
            "Suppressed channels say that the decision runs through them, not what in the picture "
            "they respond to."
            if used
            else "That the decisions depend on it: maps alone cannot tell."
        )
        + " The groups were found in the images they are judged on.",
    )


def _statement(look: Look, others: Sequence[Look]) -> str:
    cluster = look.cluster
    shown = cluster.exclusive
    common = (
        "show something away from the centre of which "
        f"{percent(shown.others)} of the {shown.others_n:,} images called otherwise show as much"
        if shown is not None and cluster.views == (PARTS,)
        else "are decided in a like manner"
    )
    said = (
        f"{many(cluster.n, 'image')} of the {look.n:,} called {cluster.predicted} (cluster "
        f"{cluster.id}) {common}: {percent(look.inside.value)} of the "
        "relevance lies outside the central half of the picture, "
        f"{percent(look.rest)} in the rest of the class"
    )
    if known := _known(cluster):
        shares = ", ".join(f"{percent(cluster.artifacts[n])} show {_words(n)}" for n in known)
        said += f". {shares}, more than in the rest"
    if look.used:
        assert cluster.suppression is not None
        said += f". {_lost(cluster.suppression)}"
    if others:
        more = sum(other.cluster.n for other in others)
        names = ", ".join(other.cluster.id for other in others)
        said += f". It looks away from the centre of {more:,} more in the same way ({names})"
    return f"{said}."


def _known(cluster: Cluster) -> list[str]:
    """Return the artifacts that most of the group shows, and more than the rest does."""
    return [name for name in cluster.odds_ratios if cluster.artifacts.get(name, 0.0) >= NAMED]


def _known_first(cluster: Cluster) -> str:
    shown = " or ".join(_words(name) for name in _known(cluster))
    return f"See what this audit says of {shown} first: it may be the same. " if shown else ""


def _attention(look: Look) -> Evidence:
    more = look.more
    return Evidence(
        rung=Rung.ATTENTION,
        name="relevance outside the centre, beyond the rest of the class",
        estimate=more.value,
        ci_low=more.low,
        ci_high=more.high,
        p_value=more.p_value,
        q_value=None,
        n=look.n,
        null="the group's images are any images of the class",
        reached=look.reached,
        statement=f"{percent(look.inside.value)} of the relevance of {look.cluster.n:,} images "
        f"lies outside the central half of the picture, {percent(look.rest)} in the other "
        f"{look.n - look.cluster.n:,} called {look.cluster.predicted} (difference "
        f"{interval(more, percent)}).",
    )


def _dependence(look: Look, s: Suppression) -> Evidence:
    """Claim use only of what is looked at: channels carry every decision, right or wrong.

    Both must hold, so the larger of the two p-values counts (intersection-union test, Berger 1982).
    """
    return Evidence(
        rung=Rung.DEPENDENCE,
        name="decision carried by the marking channels",
        estimate=s.beyond,
        ci_low=s.beyond_low,
        ci_high=s.beyond_high,
        p_value=max(s.p_value, look.more.p_value or 0.0),
        q_value=None,
        n=2 * s.n,
        null="suppressing them moves the group no more than other images as sure, beyond what "
        "other channels do",
        reached=look.used,
        statement=f"{_lost(s)}; beyond both it is {percent(s.beyond)} "
        f"({percent(s.beyond_low)} to {percent(s.beyond_high)}). {s.changed:,} of {s.n:,} "
        f"decisions change, {s.changed_others:,} of as many others.",
    )


def _lost(s: Suppression) -> str:
    return (
        f"Without the {s.channels:,} channels that mark it, {percent(s.lost)} of the decision's "
        f"log-odds goes on {s.n:,} images of the group, {percent(s.lost_others)} on as many others "
        f"of the class, and {percent(s.lost_placebo)} on the group without as many other channels"
    )


def _missed(name: str, of_class: Sequence[Look]) -> NotFound:
    return NotFound(
        artifact=f"{ID}.{name}",
        n=of_class[0].n,
        minimum_detectable_effect=LOOKS,
        effect="share of relevance outside the centre, beyond the rest of the class",
        statement=f"On none of the {many(len(of_class), 'group')} of images called {name} does the "
        f"model look clearly farther from the centre than on the rest, by {percent(LOOKS)} of the "
        "relevance or more.",
        p_value=min(1.0, min(look.more.p_value or 0.0 for look in of_class)),
    )


def _words(artifact: str) -> str:
    return f"a {artifact.replace('_', ' ')}"
