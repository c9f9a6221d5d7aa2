"""Which domain the pictures are of: the one that the user names, or the one they look like."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from melaudit.domains.interface import Domain
from melaudit.domains.registry import AUTO, FALLBACK, domain, domains
from melaudit.findings import DomainInfo
from melaudit.images.imagefile import Read, read_image, shrink
from melaudit.wording.sentences import many

SAMPLE = 48
"""Images that are looked at, spread evenly over the data."""
MIN_SHARE = 0.5
"""Share of them that must look like a domain's; docs/domains.md has what was measured."""


@dataclass(frozen=True)
class ChosenDomain:
    """A domain, and why it is this one."""

    domain: Domain
    why: str
    """A sentence for the reader."""

    @property
    def info(self) -> DomainInfo:
        """What the findings keep of it."""
        of = self.domain
        return DomainInfo(of.id, of.title, self.why, of.words, of.facts)


USUAL = ChosenDomain(FALLBACK, "No images were looked at.")


def choose_domain(name: str, paths: Sequence[str], read: Read = read_image) -> ChosenDomain:
    """Return the domain named, or for "auto" the one that most of the pictures look like.

    paths: the image files; `read` decodes them. Raises ConfigurationError for a name that no
    domain has.
    """
    if name != AUTO:
        return ChosenDomain(domain(name), f"--domain says that these are {domain(name).title}.")
    rows = np.unique(np.linspace(0, len(paths) - 1, min(SAMPLE, len(paths))).astype(int))
    images = (read(paths[row]).image for row in rows)
    pictures = [shrink(image) for image in images if image is not None]
    if not pictures:
        return ChosenDomain(FALLBACK, "None of the images that were looked at could be read.")
    able = [each for each in domains() if each.recognises is not None]
    counts = {each.id: sum(map(each.recognises, pictures)) for each in able if each.recognises}
    n = len(pictures)
    best = max(able, key=lambda each: counts[each.id], default=FALLBACK)
    if counts.get(best.id, 0) >= MIN_SHARE * n:
        why = (
            f"{counts[best.id]} of {many(n, 'image')} that were looked at seem to be {best.title}: "
            f"they are {best.looks}. --domain says otherwise."
        )
        return ChosenDomain(best, why)
    near = " or ".join(f"{each.title} ({counts[each.id]} of {n} seem so)" for each in able)
    why = f"The images that were looked at are not clearly {near}. --domain names another domain."
    return ChosenDomain(FALLBACK, why)
