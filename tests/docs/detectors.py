"""Writes docs/detectors.md: each detector, check of the maps and artifact, from its own docstring.

python -m tests.docs.detectors
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator

from melaudit.artifacts.registry import OURS as ARTIFACTS
from melaudit.detectors.artifact import ArtifactDetector
from melaudit.detectors.interface import Detector
from melaudit.detectors.registry import ours
from melaudit.detectors.settings import DetectorSettings
from melaudit.domains.registry import FALLBACK
from melaudit.domains.registry import OURS as DOMAINS
from melaudit.findings import Subject
from tests.docs.pages import ROOT

PAGE = ROOT / "docs" / "detectors.md"
HEAD = """\
# Detectors and artifacts

Written by `make reference` from the docstrings of the code; a test checks that it is current.
`melaudit detectors` lists what is installed, with what other packages register
([how to write one](api.md)).

A detector asks one question of all images. Artifacts share one detector, which climbs the four
rungs of evidence ([how](evidence.md)); how well each is found in photographs stands in
[artifacts](artifacts.md), which fields seek which in [domains](domains.md). Checks ask about the
maps themselves: maps that fail them, or on which fewer than half of the checks could be made, feed
no finding.

"""
LABELS = (
    "Looks for",
    "Why",
    "How scored",
    "Do instead",
    "References?",
    "How (?:it|they) (?:is|are) found",
)
LABEL = re.compile(rf"\n+({'|'.join(LABELS)}): ")
"""What begins a paragraph of a docstring: "Looks for: ..."."""


def page() -> str:
    """Return the whole page."""
    return HEAD + "\n".join(_parts()).rstrip() + "\n"


def questions() -> dict[str, Detector]:
    """Return id -> detector of ours, of every domain, those of single artifacts left out."""
    every = [ours(DetectorSettings(), domain) for domain in (FALLBACK, *DOMAINS)]
    found = [d for each in every for d in each if not isinstance(d, ArtifactDetector)]
    return {detector.id: detector for detector in found}


def _parts() -> Iterator[str]:
    known = questions().values()
    yield "## Questions about the model and the data\n"
    artifact = inspect.getmodule(ArtifactDetector)
    yield _entry("an artifact", "one for every artifact below", artifact.__doc__ or "")
    for detector in (d for d in known if d.subject is not Subject.EXPLANATIONS):
        yield _entry(f"`{detector.id}`", detector.title, _module(detector))
    yield "## Checks of the maps\n"
    for detector in (d for d in known if d.subject is Subject.EXPLANATIONS):
        yield _entry(f"`{detector.id}`", detector.asks, _module(detector))
    yield "## Artifacts\n"
    for each in ARTIFACTS:
        yield _entry(f"`{each.id}`", each.title, _module(each))


def _module(it: object) -> str:
    return sys.modules[type(it).__module__].__doc__ or ""


def _entry(name: str, title: str, docstring: str) -> str:
    """Return a heading, the title, and the docstring with a paragraph for each of its labels."""
    text = LABEL.sub(r"\n\n**\1:** ", docstring.strip())
    return f"### {name}\n\n*{title.rstrip('.')}*\n\n{text}\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
