"""Dermoscopy artifacts: find them in an image, put them in, take them out."""

from melaudit.artifacts.dark_ring import DarkRing, seed_rule
from melaudit.artifacts.interface import Artifact, Edited, Found, Placebo, Words

__all__ = ["Artifact", "DarkRing", "Edited", "Found", "Placebo", "Words", "seed_rule"]
