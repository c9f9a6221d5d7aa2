"""Two audits side by side: which findings are new, fixed, worse, better or the same, by how much.

Findings are matched by their stable ids (of what audits discovered, by its images first), figures
by rung and name; a finding is judged by the
figure on the highest rung that both audits have. A finding that the second audit could not look
for, or did not exclude, is never called fixed. The worst finding and what became of it comes first;
what is said of the images alone comes last, and of the same images it cannot change.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from melaudit import wording
from melaudit.findings import Evidence, Finding, Findings, Missing, Rung
from melaudit.findings.evidence import DISCOVERED
from melaudit.reports.comparison.cautions import Caution, cautions_of
from melaudit.reports.comparison.figure_change import (
    FigureChange,
    Pairs,
    Shared,
    accuracy_change,
    figure_change,
    shared_images,
)
from melaudit.reports.comparison.looked_for import LEFT_OUT, left_out, not_found_by
from melaudit.reports.ladder import carrying

SAME_DISCOVERY = 0.5
"""Jaccard index of the images of two findings from which what they discovered is one. Chosen, not
measured."""
_NUMBERED = re.compile(rf"{DISCOVERED}_\d+")
"""Ids of what was discovered and has no name."""


class Change(StrEnum):
    """What became of a finding between the first audit and the second."""

    NEW = "new"
    WORSE = "worse"
    UNTESTED = "no longer tested"
    """The first audit found it; the second could not look for it."""
    GONE = "no longer found"
    """The second audit looked for it and did not find it, and does not exclude it either."""
    FIXED = "fixed"
    BETTER = "better"
    UNCHANGED = "unchanged"


@dataclass(frozen=True)
class FindingChange:
    """One finding in both audits, or in one of them."""

    id: str
    title: str
    change: Change
    before: Finding | None
    after: Finding | None
    figures: tuple[FigureChange, ...]
    """Figures that both audits have, those of the highest rung first."""
    statement: str
    """What differs and by how much, in a sentence."""
    of_images: bool = False
    """Whether it is said of the images alone, so that no model changes by it."""


@dataclass(frozen=True)
class Comparison:
    """Everything that differs between two audits."""

    before: Findings
    after: Findings
    headline: str
    """What differs most and by how much."""
    cautions: tuple[Caution, ...]
    """Why the two audits may not be comparable; empty when they are."""
    changes: tuple[FindingChange, ...]
    """What matters most first."""
    accuracy: FigureChange | None
    accuracy_statement: str

    def count(self, change: Change) -> int:
        """Return how many findings changed in this way."""
        return sum(c.change is change for c in self.changes)


def compare(before: Findings, after: Findings, right: Pairs | None = None) -> Comparison:
    """Return what differs between two audits.

    right: for the labelled images that both audits have, whether each was right, so that accuracy
    is compared image by image.
    """
    changes = sorted(_changes(before, after), key=_weight)
    accuracy = accuracy_change(before, after, right)
    spoken = _accuracy(before, after, accuracy, 0 if right is None else len(right[0]))
    cautions = cautions_of(before, after)
    return Comparison(
        before=before,
        after=after,
        headline=_verdicts(before, after) + _headline(changes, spoken, cautions),
        cautions=cautions,
        changes=tuple(changes),
        accuracy=accuracy,
        accuracy_statement=spoken,
    )


def _changes(before: Findings, after: Findings) -> list[FindingChange]:
    old = {f.id: f for f in before.findings}
    new = _renamed({f.id: f for f in after.findings}, old)
    shared = shared_images(before, after)
    changes = [_both(old[i], new[i], shared) for i in old if i in new]
    changes += [_gone(old[i], before, after) for i in old if i not in new]
    return changes + [_new(new[i], before, after) for i in new if i not in old]


def _renamed(new: Mapping[str, Finding], old: Mapping[str, Finding]) -> dict[str, Finding]:
    """Return the findings after by the ids that they have before.

    What audits discovered is one where most of its images are, for its name may have changed. Where
    images do not tell, names do; a number is no name.
    """
    out = {identity: finding for identity, finding in new.items() if not finding.discovered}
    free = {f.id: f for f in old.values() if f.discovered}
    left = []
    for finding in (f for f in new.values() if f.discovered):
        likest = max(free.values(), key=lambda f: _alike(f, finding), default=None)
        if likest is not None and _alike(likest, finding) >= SAME_DISCOVERY:
            out[free.pop(likest.id).id] = finding
        else:
            left.append(finding)
    for finding in left:
        named = _NUMBERED.fullmatch(finding.id) is None
        same = free.pop(finding.id, None) if named else None
        taken = same is None and (finding.id in old or finding.id in out)
        out[f"{finding.id} (after)" if taken else finding.id] = finding
    return out


def _alike(one: Finding, other: Finding) -> float:
    """Return the Jaccard index of the images of two findings."""
    first, second = set(one.images), set(other.images)
    return len(first & second) / max(1, len(first | second))


def _both(old: Finding, new: Finding, shared: Shared) -> FindingChange:
    of_images = _of_images(old) and _of_images(new)
    if of_images and shared is not Shared.NOTHING:
        title = _plain_title(new.title)
        statement = f"{title}; said of the images, which are the same in both audits."
        return FindingChange(
            new.id, new.title, Change.UNCHANGED, old, new, (), statement, of_images=True
        )
    figures = _figures(old, new, shared)
    change, words = _judged(old, new, figures)
    spoken = [figure_words(figures[0], new.artifact)] if figures else []
    if old.classes != new.classes:
        sides = (", ".join(f.classes) or "no class" for f in (old, new))
        spoken.append("about {} before and {} after".format(*sides))
    statement = "; ".join([*spoken, *([words] if words else [])])
    # Where less is left of the claim, the earlier title says what it was.
    title = (old if change in (Change.BETTER, Change.UNTESTED) else new).title
    claim = _plain_title(title)
    if change is Change.BETTER and old.title != new.title:
        claim = f"before, \u201c{claim}\u201d; after, \u201c{_plain_title(new.title)}\u201d"
    return FindingChange(
        new.id,
        title,
        change,
        old,
        new,
        figures,
        f"{claim}; {statement or 'no figure stands in both audits'}.",
        of_images,
    )


def _of_images(finding: Finding) -> bool:
    """Tell whether a finding is about the images and their labels, and not about the model."""
    return all(_data_alone(e) for e in finding.evidence if e.reached)


def _data_alone(evidence: Evidence) -> bool:
    """Tell whether a figure is of images and labels, and no model had a part in it."""
    return evidence.rung is Rung.OPPORTUNITY and "predict" not in evidence.name


def _judged(old: Finding, new: Finding, figures: tuple[FigureChange, ...]) -> tuple[Change, str]:
    """Return what became of a finding that both audits have, and the change of severity in words.

    A severity that rests on a rung which the other audit did not test is no sign of a change.
    """
    fell = new.severity.rank < old.severity.rank
    if new.severity is not old.severity:
        words = f"severity {old.severity.value} before, {new.severity.value} after"
        if fell and not _beyond(old, new):
            return Change.UNTESTED, f"{words}, for {old.rung.value} was not tested after"
        if not fell and not _beyond(new, old):
            return Change.NEW, f"{words}, for {new.rung.value} was not tested before"
        return (Change.BETTER if fell else Change.WORSE), words
    if figures and figures[0].clear:
        return (Change.WORSE if figures[0].worse else Change.BETTER), ""
    return Change.UNCHANGED, ""


def _beyond(worse: Finding, milder: Finding) -> bool:
    """Tell whether the milder finding was tested for what makes the other one worse.

    It was if it has evidence on the worse one's rung, or on another rung that the worse one reached
    and it did not: where dependence was not reached, harm need not be tested.
    """
    tested = {e.rung for e in milder.evidence}
    reached = {e.rung for e in milder.evidence if e.reached}
    lost = {e.rung for e in worse.evidence if e.reached} - reached
    return worse.rung in tested or bool(lost & tested)


def _figures(old: Finding, new: Finding, shared: Shared) -> tuple[FigureChange, ...]:
    """Return the changes of all figures that both audits have, the highest rung first."""
    known = {(e.rung, e.name): e for e in old.evidence}
    pairs = [(known[e.rung, e.name], e) for e in new.evidence if (e.rung, e.name) in known]
    if shared is not Shared.NOTHING:  # of the images alone: the same, whatever the models do
        pairs = [pair for pair in pairs if not _data_alone(pair[1])]
    # On one rung, a figure that reached it in one of the audits comes first.
    pairs.sort(key=lambda pair: (-pair[1].rung.rank, not (pair[0].reached or pair[1].reached)))
    return tuple(c for pair in pairs if (c := figure_change(*pair, shared)) is not None)


def _gone(old: Finding, before: Findings, after: Findings) -> FindingChange:
    """Return the change of a finding that only the first audit has: fixed, or no longer tested."""
    reasons = [s.reason for s in after.skipped if s.detector == old.detector]
    not_found = not_found_by(old, after)
    title = _plain_title(old.title)
    figure = _worst_figure(old)
    open_ = [s for s in after.shortfalls if s.subject in (old.artifact, old.id) and s.subject]
    if left_out(old, before, after):
        change, words = Change.UNTESTED, f"the second audit did not look ({LEFT_OUT})"
    elif open_ and open_[0].missing is Missing.UNTESTED:
        change, words = Change.UNTESTED, f"not tested ({open_[0].statement})"
    elif open_:
        change, words = Change.GONE, f"not found, and not excluded ({open_[0].statement})"
    elif not_found and old.discovered and _NUMBERED.fullmatch(old.id) is None:
        change = Change.GONE
        words = f"tried again under this name and not found. {not_found[-1].statement}"
    elif old.discovered:
        change = Change.UNTESTED
        words = "the second audit discovered nothing on these images, so nobody tried it again"
    elif not_found:
        change, words = Change.FIXED, f"looked for and not found. {not_found[-1].statement}"
    elif reasons:
        change, words = Change.UNTESTED, f"the second audit could not look ({reasons[0]})"
    else:
        change, words = Change.FIXED, "not found"
    if change is not Change.UNTESTED:
        title = f"\u201c{title}\u201d is no longer found"
    statement = f"{title}; {figure} before; after, {words.rstrip('.')}."
    return FindingChange(old.id, old.title, change, old, None, (), statement, _of_images(old))


def _new(new: Finding, before: Findings, after: Findings) -> FindingChange:
    reasons = [s.reason for s in before.skipped if s.detector == new.detector]
    not_found = not_found_by(new, before)
    figure = _worst_figure(new)
    if left_out(new, after, before):
        words = f"the first audit did not look ({LEFT_OUT})"
    elif not_found:
        words = f"before, looked for and not found. {not_found[-1].statement}"
    elif reasons:
        words = f"the first audit could not look ({reasons[0]})"
    else:
        words = "before, not found"
    statement = f"{_plain_title(new.title)}; {figure} after; {words.rstrip('.')}."
    return FindingChange(new.id, new.title, Change.NEW, None, new, (), statement, _of_images(new))


def _worst_figure(finding: Finding) -> str:
    """Return the figure that carries a finding's highest rung, in words."""
    on_rung = [e for e in finding.evidence if e.rung is finding.rung]
    e = carrying(finding) or next(iter(on_rung), None)
    if e is None:
        return f"severity {finding.severity.value}"
    return (
        f"{_subject(e.rung, finding.artifact)} ({e.name}) {wording.figure(e.estimate)} "
        f"(95 % interval {wording.span(e.ci_low, e.ci_high)})"
    )


_RUNGS = {
    Rung.OPPORTUNITY: ("opportunity", "opportunity of"),
    Rung.ATTENTION: ("attention", "attention to"),
    Rung.DEPENDENCE: ("dependence", "dependence on"),
    Rung.HARM: ("harm", "harm by"),
}


def _subject(rung: Rung, artifact: str | None) -> str:
    """Return "dependence on the dark ring", or the rung alone."""
    alone, joined = _RUNGS[rung]
    return f"{joined} the {wording.human(artifact)}" if artifact else alone


def figure_words(change: FigureChange, artifact: str | None = None) -> str:
    """Return what a figure was, what it is, and its change with the interval, in words."""
    span = wording.span(change.low, change.high)
    values = f"{wording.figure(change.before)} before, {wording.figure(change.after)} after"
    size = wording.figure(change.change)
    most = "at most " if change.shared is Shared.IMAGES else ""
    interval = f"(95 % interval {most}{span})"
    if change.shared is Shared.MODEL and change.before == change.after:
        return f"{_subject(change.rung, artifact)} ({change.name}): {size_of(change)} in both"
    if change.ratio:
        size_words = f"a factor of {size} {interval}"
    else:
        sign = "+" if change.change > 0 else ""
        size_words = f"a change of {sign}{size} {interval}"
    doubt = "" if change.clear else ", which may be none"
    return f"{_subject(change.rung, artifact)} ({change.name}): {values}, {size_words}{doubt}"


def size_of(change: FigureChange) -> str:
    """Return the figure of the second audit."""
    return wording.figure(change.after)


def _accuracy(before: Findings, after: Findings, change: FigureChange | None, pairs: int) -> str:
    if change is None:
        return "Accuracy cannot be compared: one of the audits has no labels."
    first, second = (wording.rounded_percent(v, 1) for v in (change.before, change.after))
    low, high = (wording.figure(round(100 * v, 1)) for v in (change.low, change.high))
    points = wording.figure(round(100 * change.change, 1))
    sign = "+" if change.change > 0 else ""
    doubt = "" if change.clear else ", which may be none"
    if change.shared is not Shared.NOTHING and not (change.change or change.low or change.high):
        n = pairs or before.performance.n
        return f"Accuracy: {first} in both audits, right and wrong on the same of {n:,} images."
    how = f"image by image on {pairs:,} images, " if pairs else ""
    how += "at most " if change.shared is Shared.IMAGES and not pairs else ""
    return (
        f"Accuracy: {first} before (n {wording.count(before.performance.n)}), {second} after "
        f"(n {wording.count(after.performance.n)}), a change of {sign}{points} points "
        f"({how}95 % interval {low} to {high}){doubt}."
    )


def _headline(changes: list[FindingChange], accuracy: str, cautions: tuple[Caution, ...]) -> str:
    tags = ", ".join(dict.fromkeys(caution.tag for caution in cautions))
    care = f" Compare with care: {tags}." if tags else ""
    if any(c.change is not Change.UNCHANGED for c in changes):
        first = changes[0]
        return f"{wording.capitalised(first.change.value)}: {first.statement}{care}"
    if not changes:
        return f"Neither audit has a finding. {accuracy}{care}"
    same = wording.many_unbroken(len(changes), "finding")
    worst = f"; the worst: {_plain_title(changes[0].title)}"
    return f"No finding differs ({same} in both audits{worst}). {accuracy}{care}"


def _verdicts(before: Findings, after: Findings) -> str:
    if before.verdict is after.verdict:
        return ""
    return f"{wording.capitalised(before.verdict.value)} before, {after.verdict.value} after. "


_ORDER: Mapping[Change, int] = {change: k for k, change in enumerate(Change)}


def _weight(change: FindingChange) -> tuple[bool, int, int, bool, float, int, str]:
    """Return a sort key: the worst finding of a model first, whatever became of it."""
    sides = [f for f in (change.before, change.after) if f is not None]
    figure = change.figures[0] if change.figures else None
    size = 0.0
    if figure is not None and figure.clear:
        size = abs(math.log(figure.change)) if figure.ratio else abs(figure.change)
    return (
        change.of_images,
        -max(f.severity.rank for f in sides),
        -max(f.rung.rank for f in sides),
        change.change is Change.UNCHANGED,
        -size,
        _ORDER[change.change],
        change.id,
    )


def _plain_title(title: str) -> str:
    return title.rstrip(".")
