"""What keeps an audit from a pass: what was not tested, or on too little to tell.

A pass says that no dependence which matters is there. That is an equivalence test for every
artifact, not a test that found nothing; and since all of them must hold, each may have the level of
one (the intersection-union principle of Berger 1982), however many artifacts there are.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from melaudit.audit.conclude.conclusions import Conclusions
from melaudit.detectors.interface import Detector
from melaudit.detectors.rungs.effect import MIN_SHARE
from melaudit.findings import (
    Acceptance,
    Answer,
    Control,
    Failed,
    Missing,
    Rung,
    Shortfall,
    Subject,
    Trust,
)
from melaudit.findings.evidence import DISCOVERED
from melaudit.wording.detectors import belongs
from melaudit.wording.sentences import many, points

MIN_IMAGES = 100
"""Images below which nothing passes: from 100 on the 95 % interval of any share reaches at most 10
of 100 to either side, the change of decisions that matters (Wilson's, at one half)."""
EDITS = 40
"""Images of each class to edit where none were: the default of --edits."""
USED = (Rung.DEPENDENCE, Rung.HARM)


def shortfalls(
    detectors: Sequence[Detector],
    conclusions: Conclusions,
    controls: Sequence[Control],
    trust: Trust,
    *,
    doubts: Sequence[str],
    images: int,
    edits: int,
    limits: Sequence[Acceptance] = (),
    failed: Sequence[tuple[str, Failed]] = (),
) -> tuple[Shortfall, ...]:
    """Return what a pass lacks, the gravest first.

    doubts: reasons why nothing this run says can be relied on. images: how many were read. edits:
    how many of each class were to be edited. limits: figures held against the intended use.
    failed: what broke off with an error, and what to call it.
    """
    lacking = (
        *(Shortfall(Missing.EVIDENCE, "", "", doubt, "") for doubt in doubts),
        *_maps(trust),
        *_images(images),
        *_controls(controls, edits),
        *(
            Shortfall(Missing.LIMIT, limit.measure, limit.measure, limit.statement, "")
            for limit in limits
            if limit.answer is Answer.OPEN
        ),
        *_artifacts(detectors, conclusions, edits),
        *_broken(detectors, failed),
    )
    most = max((_asked(lack.settle) for lack in lacking), default=0)
    return tuple(_asking(lack, most) for lack in lacking)


_EDITS = re.compile(r"--edits (\d+)(, with \d+ images)?")


def _asked(settle: str) -> int:
    """Return how many images of each class a remedy asks to edit; 0 where it asks for none."""
    found = _EDITS.search(settle)
    return int(found[1]) if found else 0


def _asking(lack: Shortfall, edits: int) -> Shortfall:
    """Return a shortfall whose remedy asks for the edits that settle all of them."""

    def more(found: re.Match[str]) -> str:
        return f"--edits {edits}" + (f", with {edits} images" if found[2] else "")

    return replace(lack, settle=_EDITS.sub(more, lack.settle))


def _maps(trust: Trust) -> Iterator[Shortfall]:
    if trust is Trust.UNUSABLE:
        yield Shortfall(
            Missing.EVIDENCE,
            "",
            "",
            "The relevance maps of this run are not valid for this model, so nothing that rests on "
            "them is reported.",
            "See which check failed, and run with another engine.",
        )
    if trust is Trust.NOT_CHECKED:
        yield Shortfall(
            Missing.MAPS,
            "",
            "",
            "Fewer than half of the checks of the relevance maps could be made, so nothing rests "
            "on the maps.",
            "See which could not and why; more check images (--check-images 16) or another engine "
            "(--engine) may do.",
        )


def _images(images: int) -> Iterator[Shortfall]:
    if images < MIN_IMAGES:
        statement = f"{many(images, 'image')} were audited; a pass needs {MIN_IMAGES}."
        yield Shortfall(Missing.IMAGES, "", "", statement, f"Audit {MIN_IMAGES} images or more.")


def _controls(controls: Sequence[Control], edits: int) -> Iterator[Shortfall]:
    for control in controls:
        if control.kind == "positive" and not control.passed:
            yield Shortfall(
                Missing.CONTROL, control.id, control.title, control.statement, _more(edits)
            )


def _artifacts(
    detectors: Sequence[Detector], conclusions: Conclusions, edits: int
) -> Iterator[Shortfall]:
    for detector in detectors:
        if detector.subject is not Subject.ARTIFACT:
            continue
        if detector.artifact is not None:
            yield from _artifact(detector.id, detector.title, conclusions, edits)
            continue
        for name in _results(detector.id, conclusions):
            title = name.removeprefix(f"{detector.id}.").replace("_", " ")
            yield from _artifact(name, title, conclusions, None)


def _broken(
    detectors: Sequence[Detector], failed: Sequence[tuple[str, Failed]]
) -> Iterator[Shortfall]:
    """Say what else broke off: artifacts and checks of the maps have what they lack already."""
    said = [d.id for d in detectors if d.subject in (Subject.ARTIFACT, Subject.EXPLANATIONS)]
    for title, each in failed:
        if any(belongs(each.detector, one) for one in said):
            continue
        yield Shortfall(
            Missing.UNTESTED, each.detector, title, each.reason, _mend(detectors, each.detector)
        )


def _mend(detectors: Sequence[Detector], failed: str) -> str:
    """Say what can be done about something that broke off."""
    mend = "Report the error to whoever wrote it"
    if failed.partition("_")[0] == DISCOVERED:
        return f"{mend}, or leave it out: --discover 0."
    ids = [d.id for d in detectors if belongs(failed, d.id)]
    return f"{mend}, or leave it out: --without {ids[0]}." if ids else f"{mend}."


def _results(detector: str, conclusions: Conclusions) -> list[str]:
    """Return the artifacts that a detector of several speaks of, by the ids of its results."""
    names = (
        *(f.id for f in conclusions.findings),
        *(n.artifact for n in conclusions.not_found),
        *(s.detector for s in conclusions.skipped),
    )
    return list(dict.fromkeys(name for name in names if name.startswith(f"{detector}.")))


def _artifact(
    name: str, title: str, conclusions: Conclusions, edits: int | None
) -> Iterator[Shortfall]:
    """Say what is open of one artifact; `edits` is None where nothing could be edited."""
    used = any(name in (f.id, f.artifact) and f.rung in USED for f in conclusions.findings)
    if used or any(r.artifact == name for r in conclusions.reactions):
        return
    # What no edit showed is excluded where all images are alike in it.
    tested = [n for n in conclusions.not_found if n.artifact == name and (n.edited or n.excluded)]
    skipped = [s.reason for s in conclusions.skipped if belongs(s.detector, name)]
    said = [n.excluded for n in tested]
    if True in said and False not in said and not skipped:
        return
    if tested and not skipped:
        matters = points(MIN_SHARE)
        reason = f"edited on too few images to exclude that it changes {matters} decisions"
        if any(n.excluded is False and n.needed is None for n in tested):
            reason = (
                f"edits changed about {matters} decisions or more, by themselves or against "
                "placebos, but it is not clear that this is what did it"
            )
        settle = _enough(conclusions, edits or 0)
        yield Shortfall(Missing.UNDECIDED, name, title, reason, settle)
        return
    if edits == 0:
        reason, settle = "no image was edited", f"Edit images of each class: --edits {EDITS}."
    elif edits is None:
        reason = "only your labels tell where it is, so it cannot be put in or taken out"
        settle = "Register an artifact that draws it (entry point melaudit.artifacts)."
    else:
        reason = skipped[0] if skipped else "it could not be put in or taken out often enough"
        settle = f"Audit more images, and edit more of them: --edits {max(2 * edits, EDITS)}."
    yield Shortfall(Missing.UNTESTED, name, title, reason, settle)


def _enough(conclusions: Conclusions, edits: int) -> str:
    """Say how many edits would exclude a change that matters, were all estimates to stay.

    Where one of them is too large for that, or nearly so, more edits show whether it is: four times
    as many make intervals half as wide, and no more are asked for.
    """
    edited = [n for n in conclusions.not_found if n.edited and n.n]
    decided = {n.artifact for n in edited if n.excluded}
    open_ = [n for n in edited if n.excluded is False or n.artifact not in decided]
    if not open_ or any(n.needed is None for n in open_):
        return _more(edits)
    factor = max((n.needed or 0) / n.n for n in open_)
    return _edit(max(EDITS, min(4 * edits, 10 * math.ceil(edits * factor / 10))))


def _more(edits: int) -> str:
    """Say what makes the intervals of edits half as wide."""
    return _edit(max(4 * edits, EDITS))


def _edit(more: int) -> str:
    return f"Edit more images: --edits {more}, with {more} images of each class."
