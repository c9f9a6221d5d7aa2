"""Dermoscopy artifacts: find them in an image, put them in, take them out."""

from melaudit.artifacts.dark_ring import DarkRing, seed_rule
from melaudit.artifacts.interface import Artifact, Edited, Found, Placebo, Words
from melaudit.artifacts.registry import artifacts

__all__ = [
    "Artifact",
    "DarkRing",
    "Edited",
    "Found",
    "Placebo",
    "Words",
    "artifacts",
    "seed_rule",
]
