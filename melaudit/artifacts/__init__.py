"""Dermoscopy artifacts: find them in an image, put them in, take them out."""

from melaudit.artifacts.interface import Artifact, Edited, Found, Phrases, Placebo
from melaudit.artifacts.kinds.blur import Blur
from melaudit.artifacts.kinds.brightness import Brightness
from melaudit.artifacts.kinds.colour_cast import ColourCast
from melaudit.artifacts.kinds.dark_ring import DarkRing, seed_rule
from melaudit.artifacts.kinds.jpeg_quality import JpegQuality
from melaudit.artifacts.kinds.picture_size import PictureSize
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
    "Phrases",
    "PictureSize",
    "Placebo",
    "artifacts",
    "seed_rule",
]
