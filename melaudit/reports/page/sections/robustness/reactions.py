"""Robustness: strong reactions to what the images do not show."""

from __future__ import annotations

from dataclasses import dataclass

from melaudit import wording
from melaudit.findings import Evidence, Findings, Reaction
from melaudit.reports.page.sections.finding_cards import Statistic, statistic
from melaudit.wording.sentences import first_sentence


@dataclass(frozen=True)
class ReactionCard:
    """One reaction."""

    title: str
    sentence: str
    """It in counts, where it has them; else how its statement begins."""
    statement: str
    n: str
    classes: tuple[str, ...]
    """Where decisions go."""
    statistics: tuple[Statistic, ...]
    does_not_show: str


def reactions(findings: Findings) -> tuple[ReactionCard, ...]:
    """Return the reactions in the order the audit gave them."""
    return tuple(_card(r) for r in findings.reactions)


def _card(reaction: Reaction) -> ReactionCard:
    counted = [e.counts for e in reaction.evidence if e.reached and e.counts is not None]
    sentence = wording.frequencies(counted[0]) if counted else first_sentence(reaction.statement)
    return ReactionCard(
        title=reaction.title,
        sentence=wording.unbroken(sentence),
        statement=wording.unbroken(reaction.statement),
        n=wording.many_unbroken(reaction.n, "image"),
        classes=tuple(wording.name(c) for c in reaction.classes),
        statistics=tuple(statistic(e, charted=False) for e in _ordered(reaction.evidence)),
        does_not_show=reaction.does_not_show,
    )


def _ordered(evidence: tuple[Evidence, ...]) -> list[Evidence]:
    return sorted(evidence, key=lambda e: not e.reached)
