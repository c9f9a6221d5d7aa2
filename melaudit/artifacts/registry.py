"""The list of artifacts: ours in a plain tuple, those of other packages by entry point.

A package registers an artifact class (or a function that returns an artifact) like this:

    [project.entry-points."melaudit.artifacts"]
    sticker = "my_package.sticker:Sticker"
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from importlib.metadata import entry_points

from melaudit.artifacts.interface import Artifact, HasAliases, HasKinds, Phrases
from melaudit.artifacts.kinds.annotation import Annotation
from melaudit.artifacts.kinds.black_border import BlackBorder
from melaudit.artifacts.kinds.blur import Blur
from melaudit.artifacts.kinds.brightness import Brightness
from melaudit.artifacts.kinds.colour_cast import ColourCast
from melaudit.artifacts.kinds.colour_patch import ColourPatch
from melaudit.artifacts.kinds.dark_ring import DarkRing
from melaudit.artifacts.kinds.gel_bubble import GelBubble
from melaudit.artifacts.kinds.hair import Hair
from melaudit.artifacts.kinds.ink import Ink
from melaudit.artifacts.kinds.inverted import Inverted
from melaudit.artifacts.kinds.jpeg_quality import JpegQuality
from melaudit.artifacts.kinds.picture_size import PictureSize
from melaudit.artifacts.kinds.ruler import Ruler
from melaudit.artifacts.kinds.side_marker import SideMarker
from melaudit.artifacts.kinds.text import Text
from melaudit.artifacts.kinds.tube import Tube
from melaudit.artifacts.kinds.vignette import Vignette
from melaudit.artifacts.kinds.white_frame import WhiteFrame
from melaudit.errors import ArtifactError

ENTRY_POINTS = "melaudit.artifacts"
"""The entry point group in which other packages register artifacts."""

OURS: tuple[Artifact, ...] = (
    DarkRing(),
    Vignette(),
    Ruler(),
    Ink(),
    ColourPatch(),
    Hair(),
    GelBubble(),
    Text(),
    SideMarker(),
    Annotation(),
    Tube(),
    WhiteFrame(),
    BlackBorder(),
    Inverted(),
    ColourCast(),
    Brightness(),
    Blur(),
    JpegQuality(),
    PictureSize(),
)
"""All our artifacts; a domain (`melaudit.domains`) says which come up in its pictures."""

ATTRIBUTES: Mapping[str, type | tuple[type, ...]] = {
    "id": str,
    "title": str,
    "phrases": Phrases,
    "remedy": str,
    "whole_picture": bool,
    "threshold": (float, int),
    "doses": str,
}
"""The attributes that an artifact must have, and of which type."""
METHODS = ("find", "add", "remove", "placebos")
"""The methods that it must have; `held` holds what they return to the contract."""
_ID = re.compile("[a-z][a-z0-9_]*")


def artifacts(ours: Sequence[Artifact] = ()) -> tuple[Artifact, ...]:
    """Return artifacts of ours, all unless some are given, then the registered ones by name.

    Raises ArtifactError if one cannot be loaded, breaks the contract or repeats an id.
    """
    found = list(ours or OURS)
    for entry in sorted(entry_points(group=ENTRY_POINTS), key=lambda e: e.name):
        try:
            artifact = entry.load()()
        except Exception as error:
            raise ArtifactError(
                f"artifact {entry.name!r} ({entry.value}) cannot be loaded: {error}; "
                "fix or uninstall the package that registers it"
            ) from error
        lacking = [name for name in (*ATTRIBUTES, *METHODS) if not hasattr(artifact, name)]
        if lacking:
            raise ArtifactError(
                f"artifact {entry.name!r} ({entry.value}) lacks {lacking}; an artifact needs all "
                f"of {[*ATTRIBUTES, *METHODS]}, see melaudit.artifacts.Artifact"
            )
        for name, kind in ATTRIBUTES.items():
            value = getattr(artifact, name)
            if not isinstance(value, kind) or (name == "id" and not _ID.fullmatch(str(value))):
                raise ArtifactError(
                    f"artifact {entry.name!r} ({entry.value}) has the {name} {value!r:.80}, which "
                    "is not what melaudit.artifacts.Artifact says of it; mend or uninstall it"
                )
        if any(artifact.id == other.id for other in found):
            raise ArtifactError(
                f"two artifacts have the id {artifact.id!r}; {entry.value} is one of them: "
                "give it another id or uninstall it"
            )
        found.append(artifact)
    return tuple(found)


def named(key: str, ours: Sequence[Artifact] = ()) -> Artifact:
    """Return the artifact with an id ("hair"), or one kind of it ("colour_cast.bluish").

    `ours` are those of a domain, all unless some are given. Raises ArtifactError for another key.
    """
    known = {artifact.id: artifact for artifact in artifacts(ours)}
    for artifact in tuple(known.values()):
        for kind in artifact.kinds if isinstance(artifact, HasKinds) else ():
            known[f"{artifact.id}.{kind.kind}"] = kind
    if key in known:
        return known[key]
    close = difflib.get_close_matches(key, known, n=1)
    hint = f"did you mean {close[0]!r}?" if close else f"there is: {', '.join(known)}"
    raise ArtifactError(f"no artifact is named {key!r}; {hint}")


def aliases() -> dict[str, str]:
    """Return alias -> artifact id: the names that public annotations use for artifacts."""
    return {
        alias: artifact.id
        for artifact in artifacts()
        if isinstance(artifact, HasAliases)
        for alias in artifact.aliases
    }
