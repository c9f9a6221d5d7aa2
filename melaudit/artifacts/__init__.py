"""Dermoscopy artifacts: find them in an image, put them in, take them out."""

from melaudit.artifacts.blur import Blur
from melaudit.artifacts.brightness import Brightness
from melaudit.artifacts.colour_cast import ColourCast
from melaudit.artifacts.dark_ring import DarkRing, seed_rule
from melaudit.artifacts.interface import Artifact, Edited, Found, Placebo, Words
from melaudit.artifacts.jpeg_quality import JpegQuality
from melaudit.artifacts.picture_size import PictureSize
from melaudit.artifacts.registry import artifacts

__all__ = [
    "Artifact",
    "Blur",
    "Brightness",
    "ColourCast",
    "DarkRing",
    "Edited",
    "Found",
    "JpegQuality",
    "PictureSize",
    "Placebo",
    "Words",
    "artifacts",
    "seed_rule",
]
