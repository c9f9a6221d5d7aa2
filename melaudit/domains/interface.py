"""What a domain is: what is known beforehand of the pictures of one field.

A domain says which artifacts come up in its pictures, what sentences call things, how a picture
without the object is made, and which class names mean the class that matters. Nothing else in
melaudit knows a field.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from melaudit.artifacts.interface import RGB, Artifact
from melaudit.artifacts.registry import named
from melaudit.findings import Words

Sought = TypeVar("Sought", bound=Artifact)


@dataclass(frozen=True)
class Domain:
    """One field, such as dermoscopy."""

    id: str
    """What `--domain` takes: "dermoscopy"."""
    title: str
    """What the report calls it: "dermoscopy"."""
    words: Words
    artifacts: tuple[Artifact, ...]
    """Those that come up in its pictures, in the order of the report and in words of the field."""
    positive: tuple[str, ...] = ()
    """Names of the class that matters, in lower case, the surest first: "malignant"."""
    joined: tuple[str, str] = ("negative", "positive")
    """What two classes are called that many diagnoses are joined into, the one that matters last.
    """
    diagnoses: frozenset[str] = frozenset()
    """Names of classes, letters and digits only, that belong to the class that matters."""
    shows_skin: bool = False
    """Whether skin is in the picture, so that its tone can be measured there."""
    without_object: Callable[[RGB, np.random.Generator], RGB] | None = None
    """without_object(image (h, w, 3), rng) -> the picture without what the model is to look at;
    None where such a picture cannot be made."""
    recognises: Callable[[RGB], bool] | None = None
    """recognises(image (h, w, 3)) -> whether a picture looks like one of the field; None for a
    domain that is never chosen by looks."""
    looks: str = ""
    """What `recognises` goes by, after "they are": "grey, and symmetric or surrounded by black"."""
    facts: tuple[str, ...] = ()
    """What is known of shortcuts in this field, each a sentence that names its source."""

    def artifact(self, key: str) -> Artifact:
        """Return the artifact of that id that is sought in pictures of the field, or a kind of it.

        Raises ArtifactError for a key that no such artifact has.
        """
        return named(key, self.artifacts)


def dressed(artifact: Sought, **words: Any) -> Sought:
    """Return an artifact with other `title`, `phrases`, `remedy`, `ground`: words of a field."""
    own = copy.copy(artifact)
    for name, value in words.items():
        if not hasattr(own, name):
            raise TypeError(f"{artifact.id} has no {name!r} to put in other words")
        setattr(own, name, value)
    return own
