"""A dermoscopy-like data set with a planted shortcut, and a small model that learns it.

It draws its artifacts itself and shares no code with melaudit.artifacts, so that finders and edits
are not tried on their own drawings.
"""

from melaudit.demo.dataset import DemoData, Planting, draw, generate, write
from melaudit.demo.lesion import lesion
from melaudit.demo.plants import Plant, bubbles, hairs, ring, ruler
from melaudit.demo.recipe import DemoResult, Recipe, build, build_demo, write_settings
from melaudit.demo.skin import skin
from melaudit.demo.training import TrainingReport, train

__all__ = [
    "DemoData",
    "DemoResult",
    "Plant",
    "Planting",
    "Recipe",
    "TrainingReport",
    "bubbles",
    "build",
    "build_demo",
    "draw",
    "generate",
    "hairs",
    "lesion",
    "ring",
    "ruler",
    "skin",
    "train",
    "write",
    "write_settings",
]
