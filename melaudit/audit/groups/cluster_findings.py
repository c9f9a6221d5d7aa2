"""What may be claimed of a group of images that is decided, or looks, unlike the rest of its class.

Every class falls into groups, and most groups are as they should be. A group becomes a finding when
the model looks farther from the centre of its images than in the rest of the class (attention).
Whether the channels that mark the group carry its decisions as well is told beside it, and claims
no more: it says what the decision runs through, and not what in the picture that answers to. That
decisions depend on it is claimed of artifacts alone, which are put in and taken out, and what a
group is looked at for is made one (`audit.discovery`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from melaudit.audit.groups.portrait import columns
from melaudit.audit.groups.suspicion import PARTS_VIEW
from melaudit.detectors.claim import Claim, evidence_of, finding
from melaudit.findings import (
    Cluster,
    Evidence,
    Finding,
    Mitigation,
    NotFound,
    Rung,
    Suppression,
    Trust,
    Words,
)
from melaudit.measurements import Measurements
from melaudit.statistics.correction import bonferroni, clear
from melaudit.statistics.estimates import Estimate, Tested, mean, two_samples
from melaudit.wording.sentences import interval, many, percent

ID = "clusters"
MIN_EXCESS_OUTSIDE = 0.05
"""Share of the relevance that must lie farther out than in the rest of the class. Chosen, not
measured."""
MIN_SHARE_OUTSIDE = 0.5
"""Share of the relevance outside the centre from which the decisions rest mostly on it: one
half, by the meaning of "mostly"."""
MIN_CARRIED = 0.1
"""Share of the log-odds of the decision that must be lost without the marking channels. Chosen,
not measured."""
MIN_CARRIED_RATIO = 2.0
"""How many times the loss on other images, and the loss by placebo, it must be. Chosen, not
measured."""
MIN_SHARE_WITH_ARTIFACT = 0.5
"""Share of a group that must show an artifact before the finding is named after it: one half."""

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
    more: Tested
    """How much larger that share is on the group; p counts the groups tried."""
    carried: Tested | None
    """Part of the decision that the marking channels carry beyond others and placebos; None where
    it was not tried. Both this and `more` must hold, so the larger of the two p-values counts
    (intersection-union test, Berger 1982)."""

    @property
    def reached(self) -> bool:
        """Whether it is clearly farther, and by enough to matter."""
        return self.more.value >= MIN_EXCESS_OUTSIDE and self.more.low > 0 and clear(self.more)

    @property
    def carries(self) -> bool:
        """Whether clearly most of the relevance lies there, and the group's channels carry it."""
        if self.carried is None or not carry(self.cluster.suppression):
            return False
        return self.reached and self.inside.low > MIN_SHARE_OUTSIDE and clear(self.carried)


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
        target = measurements.classes.index(cluster.predicted)
        rest = np.setdiff1d(np.flatnonzero(measurements.predictions == target), inside)
        held = None if names is None else (names[inside], names[rest])
        more = two_samples(outside[inside], outside[rest], measurements.seed, held)
        more = bonferroni(more, len(clusters))
        found.append(
            Look(
                cluster=cluster,
                n=len(inside) + len(rest),
                inside=mean(outside[inside], measurements.seed, None if held is None else held[0]),
                rest=float(outside[rest].mean()) if len(rest) else float("nan"),
                more=more,
                carried=_carried(cluster.suppression, more),
            )
        )
    return found


def _carried(s: Suppression | None, more: Tested) -> Tested | None:
    if s is None:
        return None
    return Tested(s.beyond, s.beyond_low, s.beyond_high, max(s.p_value, more.p_value))


def carry(suppression: Suppression | None) -> bool:
    """Tell whether the marking channels carry enough of a group's decisions to matter; untested.

    Any channels carry some of any decision; these must carry more of the group's than others do.
    """
    return (
        suppression is not None
        and suppression.lost >= MIN_CARRIED
        and suppression.lost
        >= MIN_CARRIED_RATIO * max(suppression.lost_others, suppression.lost_placebo)
        and suppression.beyond_low > 0
    )


def cluster_claims(
    seen: Sequence[Look], measurements: Measurements
) -> list[Claim[tuple[Look, ...]]]:
    """Return one claim for each predicted class: that the model looks away from the centre."""
    return [
        Claim(
            f"{ID}.{name}",
            tuple(look for look in seen if look.cluster.predicted == name),
            evidence=lambda looks: tuple(e for look in looks for e in _evidence(look)),
            word=partial(_word, name, measurements.explanations, measurements.words),
        )
        for name in dict.fromkeys(look.cluster.predicted for look in seen)
    ]


def _word(
    name: str,
    trust: Trust,
    words: Words,
    of_class: tuple[Look, ...],
    evidence: tuple[Evidence, ...],
) -> list[Finding | NotFound]:
    away = [look for look in of_class if look.reached]
    return [_finding(away, trust, words)] if away else [_missed(name, of_class)]


def _evidence(look: Look) -> tuple[Evidence, ...]:
    s = look.cluster.suppression
    return (_attention(look),) if s is None else (_attention(look), _by_channels(look, s))


def _finding(away: Sequence[Look], trust: Trust, words: Words) -> Finding:
    """Claim of the most suspicious group that looks away; the others stand beside it."""
    first = max(away, key=lambda look: (look.carries, look.cluster.suspicion))
    cluster = first.cluster
    evidence = _evidence(first)
    others = [look for look in away if look is not first]
    return finding(
        evidence,
        trust,
        id=f"{ID}.{cluster.predicted}",
        detector=ID,
        title="The model looks at what lies away from the centre, in a group of images predicted "
        f"{cluster.predicted}",
        # A group that is merely looked at elsewhere is where to look, and no warning.
        mitigation=Mitigation.SELECTED,
        classes=(cluster.predicted,),
        statement=_statement(first, others),
        images=tuple(i for look in (first, *others) for i in look.cluster.images),
        remedy=_known_first(cluster)
        + f"Look at the images of cluster {cluster.id} and say what they share. If it does "
        f"not belong to the {words.object}, mark it in suspicious.csv and give that back with "
        "--labels to find all images that have it; then train on images of every class with it, or "
        "without it, and audit again.",
        does_not_show=f"That what they share is wrong to go by: a large {words.object} lies away "
        "from the centre, too. That the decisions depend on it: "
        + (
            "suppressed channels say that they run through these, not what in the picture these "
            "respond to."
            if first.carries
            else "maps alone cannot tell."
        )
        + " The groups were found in the images they are judged on.",
    )


def _statement(look: Look, others: Sequence[Look]) -> str:
    cluster = look.cluster
    shown = cluster.exclusive
    common = (
        "show something away from the centre; "
        f"{percent(shown.others)} of the {shown.others_n:,} images of other classes show as much "
        "of it"
        if shown is not None and cluster.views == (PARTS_VIEW,)
        else "are decided alike"
    )
    said = (
        f"{cluster.n:,} of the {many(look.n, 'image')} predicted {cluster.predicted} (cluster "
        f"{cluster.id}) {common}. On them {percent(look.inside.value)} of the relevance lies "
        f"outside the central half of the picture, {percent(look.rest)} in the rest of the class"
    )
    if known := _known(cluster):
        shares = ", ".join(f"{percent(cluster.artifacts[n])} show {_words(n)}" for n in known)
        said += f". {shares}, more than in the rest"
    if look.carries:
        assert cluster.suppression is not None
        said += f". {_lost(cluster.suppression)}"
    if others:
        more = sum(other.cluster.n for other in others)
        names = ", ".join(other.cluster.id for other in others)
        said += f". The model also looks away from the centre of {more:,} more images ({names})"
    return f"{said}."


def _known(cluster: Cluster) -> list[str]:
    """Return the artifacts that most of the group shows, and more than the rest does."""
    return [
        name
        for name in cluster.odds_ratios
        if cluster.artifacts.get(name, 0.0) >= MIN_SHARE_WITH_ARTIFACT
    ]


def _known_first(cluster: Cluster) -> str:
    shown = " or ".join(_words(name) for name in _known(cluster))
    return f"See what this audit says of {shown} first: it may be the same. " if shown else ""


def _attention(look: Look) -> Evidence:
    more = look.more
    return evidence_of(
        Rung.ATTENTION,
        "relevance outside the centre, beyond the rest of the class",
        more,
        look.n,
        "the group's images are any images of the class",
        f"{percent(look.inside.value)} of the relevance of {look.cluster.n:,} images "
        f"lies outside the central half of the picture, {percent(look.rest)} in the other "
        f"{look.n - look.cluster.n:,} predicted {look.cluster.predicted} (difference "
        f"{interval(more, percent)}).",
        reached=look.reached,
    )


def _by_channels(look: Look, s: Suppression) -> Evidence:
    """Count channels only of what is looked at: they carry every decision, right or wrong."""
    assert look.carried is not None
    return evidence_of(
        Rung.ATTENTION,
        "decision carried by the marking channels",
        look.carried,
        2 * s.n,
        "suppressing them moves the group no more than other images as sure, beyond what "
        "other channels do",
        f"{_lost(s)}. Beyond both it is {percent(s.beyond)} "
        f"({percent(s.beyond_low)} to {percent(s.beyond_high)}). {s.changed:,} of {s.n:,} "
        f"decisions change, {s.changed_others:,} of as many others.",
        reached=look.carries,
    )


def _lost(s: Suppression) -> str:
    return (
        f"Suppressing the {s.channels:,} channels that mark the group takes {percent(s.lost)} of "
        f"the decision's log-odds from {s.n:,} of its images, and {percent(s.lost_others)} from as "
        f"many others of the class. Suppressing as many other channels takes "
        f"{percent(s.lost_placebo)} from the group"
    )


def _missed(name: str, of_class: Sequence[Look]) -> NotFound:
    return NotFound(
        artifact=f"{ID}.{name}",
        n=of_class[0].n,
        minimum_detectable_effect=MIN_EXCESS_OUTSIDE,
        effect="share of relevance outside the centre, beyond the rest of the class",
        statement=f"On none of the {many(len(of_class), 'group')} of images predicted {name} does "
        "the model look clearly farther from the centre than on the rest, by "
        f"{percent(MIN_EXCESS_OUTSIDE)} of the relevance or more.",
        p_value=min(1.0, min(look.more.p_value for look in of_class)),
    )


def _words(artifact: str) -> str:
    return f"{'an' if artifact[0] in 'aeiou' else 'a'} {artifact.replace('_', ' ')}"
