"""The verdict: one word and one sentence, from everything the audit found."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from melaudit import wording
from melaudit.detectors.rungs.effect import MIN_SHARE
from melaudit.findings import (
    Acceptance,
    Answer,
    Control,
    Finding,
    Missing,
    NotFound,
    Reaction,
    Severity,
    Shortfall,
    Verdict,
)
from melaudit.wording.sentences import many, points, within
from melaudit.wording.terms import LIMITS_MISSED

CLASS_LIMIT = 5
"""A class may lose this many times the run's share of unreadable images before it counts."""
MAX_NAMED = 8
"""Artifacts that a sentence names."""


def one_answer(
    labels: NDArray[np.int64], predictions: NDArray[np.int64], classes: Sequence[str]
) -> str | None:
    """Say that the model predicts one class for all images (n,), or None where it does not.

    Where every image has that class as its label the model may be right, and nothing is said.
    """
    if not len(predictions) or np.ptp(predictions) > 0 or (labels == predictions[0]).all():
        return None
    return (
        f"The model predicts {classes[predictions[0]]} for all {many(len(predictions), 'image')}, "
        "whatever they show, so no decision can be explained or tested: weights, classes or "
        "preprocessing are probably wrong."
    )


def coverage_doubt(
    labels: NDArray[np.int64],
    skipped: NDArray[np.bool_],
    classes: Sequence[str],
    max_skipped: float,
    unopened: int = 0,
    unseen: Sequence[str] = (),
) -> str | None:
    """Say where too many images could not be used, or where nobody knows how many; else None.

    labels, skipped: (n,) over every image of the data set; unopened: further images that were
    named but not even there; unseen: names of folders that were not looked into, which may hold any
    number of images. One class may be hit harder than the whole: unreadable files can hide the very
    group a shortcut lives in.
    """
    if unseen:
        what = "folder was" if len(unseen) == 1 else "folders were"
        shown = ", ".join(unseen[:3]) + (", ..." if len(unseen) > 3 else "")
        return (
            f"{len(unseen)} {what} not looked into ({shown}), so how many images are missing is "
            "unknown; make them readable, name the folder that a link leads to with --image-root, "
            "or move them out of the data, and run again."
        )
    lost, named = int(skipped.sum()) + unopened, len(labels) + unopened
    advice = "mend or remove these files and run again, or raise --max-skipped"
    if lost > max_skipped * named:
        return f"{lost} of {named} images could not be used; {advice}."
    for index, name in enumerate(classes):
        of_class = labels == index
        gone, n = int(skipped[of_class].sum()), int(of_class.sum())
        if gone > CLASS_LIMIT * max_skipped * n:
            return f"{gone} of {n} images of class {name} could not be used; {advice}."
    return None


def judge(
    findings: Sequence[Finding],
    shortfalls: Sequence[Shortfall],
    fail_on: Severity,
    not_found: Sequence[NotFound] = (),
    reactions: Sequence[Reaction] = (),
    controls: Sequence[Control] = (),
    limits: Sequence[Acceptance] = (),
    called: Callable[[str], str] = wording.human,
) -> tuple[Verdict, str]:
    """Return the verdict and why it is this one, in a few sentences.

    findings: the most severe first. shortfalls: what a pass lacks, the gravest first. limits: of
    the intended use; one that is not met fails the model. called: what an artifact is called, from
    its id. A failure is a claim of presence and
    stands whatever else was not tested; a pass or a warning also says that nothing worse is there,
    which only tests with the power to see it can say.
    """
    doubts = [shortfall for shortfall in shortfalls if shortfall.missing is Missing.EVIDENCE]
    if doubts:
        return Verdict.INCONCLUSIVE, " ".join(filter(None, (doubts[0].statement, doubts[0].settle)))
    worst = findings[0] if findings else None
    broken = [limit.statement for limit in limits if limit.answer is Answer.NOT_MET]
    further = [_robustness(reactions, called), _alarms(controls)]
    if worst and worst.severity.rank >= fail_on.rank:
        return Verdict.FAIL, _joined(sentence(worst), *broken, *further[1:])
    if broken:
        return Verdict.FAIL, _joined(LIMITS_MISSED, *broken, *further[1:])
    warns = worst is not None and worst.severity.rank >= Severity.MEDIUM.rank
    if shortfalls:
        first = "No finding reached the level at which this audit warns"
        if warns and worst is not None:
            first = f"{sentence(worst)} It fails nothing by itself"
        return Verdict.INCONCLUSIVE, _joined(
            f"{first}, but too little was tested to pass the model.",
            *open_points(shortfalls),
            *further,
        )
    if warns and worst is not None:
        return Verdict.WARN, _joined(sentence(worst), *further)
    first = "No finding reached the level at which this audit warns."
    return Verdict.PASS, _joined(first, _excluded(not_found, called), *further)


def sentence(finding: Finding) -> str:
    """Return a finding's title as a sentence: what it claims, before any figure."""
    return finding.title.rstrip(".") + "."


def open_points(shortfalls: Sequence[Shortfall]) -> list[str]:
    """Return what is open, a sentence for each reason, and after it what would settle it."""
    whole = (Missing.MAPS, Missing.IMAGES, Missing.LIMIT)
    said = [g.statement for g in shortfalls if g.missing in whole]
    said += [f"{g.title}: {g.statement}" for g in shortfalls if g.missing is Missing.CONTROL]
    for missing, words in _OPEN.items():
        by_reason: dict[str, list[str]] = {}
        for shortfall in shortfalls:
            if shortfall.missing is missing:
                by_reason.setdefault(shortfall.statement, []).append(wording.human(shortfall.title))
        said += [f"{words}: {_named(names)} ({why})." for why, names in by_reason.items()]
    return [*said, *dict.fromkeys(shortfall.settle for shortfall in shortfalls if shortfall.settle)]


_OPEN = {Missing.UNTESTED: "Not tested", Missing.UNDECIDED: "Not decided"}


def _named(names: Sequence[str]) -> str:
    more = len(names) - MAX_NAMED
    listed = ", ".join(names[:MAX_NAMED])
    return f"{listed} and {more} more" if more > 0 else listed


def _joined(*sentences: str) -> str:
    return " ".join(sentence for sentence in sentences if sentence)


def _excluded(not_found: Sequence[NotFound], called: Callable[[str], str]) -> str:
    """Say of which artifacts a dependence that matters is excluded."""
    names = dict.fromkeys(within(called(n.artifact)) for n in not_found if n.excluded and n.edited)
    alike = dict.fromkeys(
        within(called(n.artifact)) for n in not_found if n.excluded and not n.edited
    )
    return _joined(
        f"A change of {points(MIN_SHARE)} decisions or more is excluded for every artifact that "
        f"decisions do not follow: {', '.join(names)}."
        if names
        else "",
        "All images are alike in this, so the model cannot tell them apart by it: "
        f"{', '.join(alike)}."
        if alike
        else "",
    )


def _robustness(reactions: Sequence[Reaction], called: Callable[[str], str]) -> str:
    """Name what the model reacts to though no image shows it."""
    if not reactions:
        return ""
    named = ", ".join(within(called(r.artifact)) for r in reactions)
    return f"Robustness: the model reacts to what these images do not show ({named})."


def _alarms(controls: Sequence[Control]) -> str:
    """Say which tests of the audit itself raised too many false alarms."""
    failed = [c.title for c in controls if c.kind == "negative" and not c.passed]
    if not failed:
        return ""
    return (
        "Read findings with care: this audit raised more false alarms than chance explains "
        f"where nothing was ({', '.join(failed)})."
    )
