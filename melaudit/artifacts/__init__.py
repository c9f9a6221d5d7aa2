"""Dermoscopy artifacts: find them in an image."""

from melaudit.artifacts.dark_ring import DarkRing, seed_rule
from melaudit.artifacts.interface import Artifact, Found

__all__ = ["Artifact", "DarkRing", "Found", "seed_rule"]
