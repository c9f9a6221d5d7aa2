"""What the settings of a run say to detectors.

A setting that one of our detectors needs is a field here, and an argument in `registry.ours`. The
configuration of a run takes these fields over as its own, so that each is an option of
`melaudit run`, a key of melaudit.toml and an argument of `melaudit.audit` at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from melaudit.settings import Topic, about


@dataclass(frozen=True, kw_only=True)
class DetectorSettings:
    """What the settings of a run say to detectors, ours and other packages'."""

    duplicate_correlation: float = field(
        default=0.93,
        metadata=about(
            Topic.DETECTORS,
            "Two pictures whose detail correlates by as much show one image twice; many pictures, "
            "and pictures that are much alike, need more.",
            least=0.5,
            most=1,
        ),
    )
    randomisation_copies: int = field(
        default=1,
        metadata=about(
            Topic.DETECTORS,
            "The check randomisation compares means of the maps of so many noisy copies of an "
            "image (Smooth MPRT); each takes as long as the image itself, which 1 stands for.",
            least=1,
            most=100,
        ),
    )
    without: tuple[str, ...] = field(
        default=(),
        metadata=about(
            Topic.DETECTORS,
            "Leave these out: artifacts and other detectors by id (ruler,hair), or artifacts for "
            "all that have a finder.",
            metavar="NAME,...",
            usual="none",
        ),
    )
    detectors: Mapping[str, Mapping[str, Any]] = field(
        default_factory=dict,
        metadata=about(
            Topic.DETECTORS, "Settings of detectors of other packages, by name.", option=False
        ),
    )

    def table(self, name: str) -> Mapping[str, Any]:
        """Return the settings of a detector of another package: the table [detectors.NAME]."""
        return self.detectors.get(name, {})
