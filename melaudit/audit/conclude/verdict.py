"""The verdict: one word and one sentence, from everything the audit found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from melaudit import wording
from melaudit.findings import Finding, Severity, Trust, Verdict

CLASS_LIMIT = 5
"""A class may lose this many times the run's share of unreadable images before it counts."""


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
    trust: Trust,
    doubts: Sequence[str],
    fail_on: Severity,
    looked_for: Mapping[str, int],
) -> tuple[Verdict, str]:
    """Return the verdict and its sentence.

    findings: the most severe first. doubts: reasons why nothing this run says can be relied on.
    looked_for: what was looked for in vain -> images it was looked for in.
    """
    if doubts:
        return Verdict.INCONCLUSIVE, doubts[0]
    if trust is Trust.UNUSABLE:
        return (
            Verdict.INCONCLUSIVE,
            "The relevance maps of this run are not valid for this model, so nothing that rests on "
            "them is reported. See which check failed, and run with another engine.",
        )
    worst = findings[0] if findings else None
    if worst and worst.severity.rank >= fail_on.rank:
        return Verdict.FAIL, sentence(worst)
    if worst and worst.severity.rank >= Severity.MEDIUM.rank:
        return Verdict.WARN, sentence(worst)
    names = ", ".join(f"{wording.human(name)} (n {n})" for name, n in looked_for.items())
    return (
        Verdict.PASS,
        "No finding reached the level at which this audit warns."
        + (f" Looked for in vain: {names}." if names else ""),
    )


def sentence(finding: Finding) -> str:
    """Return a finding's title as a sentence: what it claims, before any figure."""
    return finding.title.rstrip(".") + "."
