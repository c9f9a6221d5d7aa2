"""Which artifacts there are: ours, in a plain tuple, and others' by entry point.

A package registers an artifact class (or a function that returns an artifact) so:

    [project.entry-points."melaudit.artifacts"]
    sticker = "my_package.sticker:Sticker"
"""

from __future__ import annotations

from importlib.metadata import entry_points

from melaudit.artifacts.blur import Blur
from melaudit.artifacts.brightness import Brightness
from melaudit.artifacts.colour_cast import ColourCast
from melaudit.artifacts.colour_patch import ColourPatch
from melaudit.artifacts.dark_ring import DarkRing
from melaudit.artifacts.gel_bubble import GelBubble
from melaudit.artifacts.hair import Hair
from melaudit.artifacts.ink import Ink
from melaudit.artifacts.interface import Artifact
from melaudit.artifacts.jpeg_quality import JpegQuality
from melaudit.artifacts.picture_size import PictureSize
from melaudit.artifacts.ruler import Ruler
from melaudit.artifacts.text import Text
from melaudit.artifacts.vignette import Vignette
from melaudit.artifacts.white_frame import WhiteFrame
from melaudit.errors import ArtifactError

GROUP = "melaudit.artifacts"

OURS: tuple[Artifact, ...] = (
    DarkRing(),
    Vignette(),
    Ruler(),
    Ink(),
    ColourPatch(),
    Hair(),
    GelBubble(),
    Text(),
    WhiteFrame(),
    ColourCast(),
    Brightness(),
    Blur(),
    JpegQuality(),
    PictureSize(),
)

CONTRACT = (
    "id",
    "title",
    "words",
    "remedy",
    "overall",
    "threshold",
    "doses",
    "find",
    "add",
    "remove",
    "placebos",
)
"""What an artifact must have."""


def artifacts() -> tuple[Artifact, ...]:
    """Return our artifacts and then the registered ones, by name.

    Raises ArtifactError for one that cannot be loaded, breaks the contract or takes another's id.
    """
    found = list(OURS)
    for entry in sorted(entry_points(group=GROUP), key=lambda e: e.name):
        try:
            artifact = entry.load()()
        except Exception as error:
            raise ArtifactError(
                f"artifact {entry.name!r} ({entry.value}) cannot be loaded: {error}; "
                "mend or uninstall the package that registers it"
            ) from error
        lacking = [name for name in CONTRACT if not hasattr(artifact, name)]
        if lacking:
            raise ArtifactError(
                f"artifact {entry.name!r} ({entry.value}) lacks {lacking}; an artifact has all of "
                f"{list(CONTRACT)}, see melaudit.artifacts.Artifact"
            )
        if any(artifact.id == other.id for other in found):
            raise ArtifactError(
                f"two artifacts have the id {artifact.id!r}; {entry.value} is one of them: "
                "give it another id or uninstall it"
            )
        found.append(artifact)
    return tuple(found)
