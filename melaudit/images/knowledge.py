"""What the user knows about the images besides their labels.

That is masks of the object, artifact labels and artifact masks. For each image, the user's answer
replaces the finder's; if the user says nothing about an image, the finder decides.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from melaudit.artifacts.interface import Found, Mask
from melaudit.errors import DatasetError
from melaudit.images.masks import Masks, open_masks
from melaudit.images.tables.artifact_labels import Codes, read_artifact_labels
from melaudit.wording.names import visible


@dataclass(frozen=True)
class BatchKnowledge:
    """What the user knows about a batch of N images."""

    objects: tuple[Mask | None, ...] | None = None
    """(N,) masks as large as the images, None without a usable one; None as a whole without
    masks."""
    user_found: Mapping[str, tuple[Found | None, ...]] = field(default_factory=dict)
    """Artifact id -> (N,) the user's answer; None for an image that the user says nothing about."""
    doubts: tuple[tuple[str, ...], ...] = ()
    """(N,) reasons to flag an image: an unusable mask, or a contradiction."""


@dataclass(frozen=True, eq=False)
class Knowledge:
    """What the user knows about the n images of a data set."""

    objects: Masks | None = None
    masks: Mapping[str, Masks] = field(default_factory=dict)
    """Artifact id -> its masks."""
    labels: Mapping[str, Codes] = field(default_factory=dict)
    """Artifact id -> (n,) 1 if the image shows it, 0 if not, -1 if unknown; for artifacts that have
    a finder."""
    others: Mapping[str, Codes] = field(default_factory=dict)
    """The same for artifacts that have no finder."""
    fingerprint: str = ""
    """Hash of all masks and labels; empty if there are none."""
    notes: tuple[str, ...] = ()

    def of_batch(self, rows: Sequence[int], shapes: Sequence[tuple[int, int]]) -> BatchKnowledge:
        """Return what is known about the images `rows`; `shapes` are the sizes (h, w) of masks."""
        doubts: list[list[str]] = [[] for _ in rows]
        objects = None
        if self.objects is not None:
            read = [self.objects.read(*which) for which in zip(rows, shapes, strict=True)]
            objects = tuple(_usable(m, "object", d) for m, d in zip(read, doubts, strict=True))
        user_found = {
            artifact: tuple(
                self._found(artifact, row, shape, doubt)
                for row, shape, doubt in zip(rows, shapes, doubts, strict=True)
            )
            for artifact in dict.fromkeys([*self.labels, *self.masks])
        }
        return BatchKnowledge(objects, user_found, tuple(map(tuple, doubts)))

    def _found(
        self, artifact: str, row: int, shape: tuple[int, int], doubts: list[str]
    ) -> Found | None:
        label = int(self.labels[artifact][row]) if artifact in self.labels else -1
        read = self.masks[artifact].read(row, shape) if artifact in self.masks else None
        mask = _usable(read, artifact, doubts)
        nothing = np.zeros(shape, np.bool_)
        if label == 0:
            if mask is not None and mask.any():
                doubts.append(f"{artifact}_label_contradicts_mask")
            return Found(0.0, False, nothing)
        if label == 1:
            return Found(1.0, True, nothing if mask is None else mask)
        return None if mask is None else Found(float(mask.any()), bool(mask.any()), mask)


def gather(
    ids: Sequence[str],
    known: Collection[str],
    *,
    object_masks: Path | None = None,
    artifact_labels: Path | None = None,
    artifact_masks: Path | None = None,
) -> Knowledge:
    """Read what the user knows about the images `ids`; `known` are the artifacts with finders.

    Raises DatasetError for a folder or table that does not exist or fits no image.
    """
    digest = hashlib.sha256(b"melaudit-knowledge-1")
    notes: list[str] = []
    objects = None
    if object_masks is not None:
        objects = open_masks(object_masks, ids, "masks of the object")
        notes.append(
            _covered(objects, ids, "mask of the object", "they tell nothing of what lies around it")
        )
        objects.update(digest)
    masks = _artifact_masks(artifact_masks, ids, known) if artifact_masks is not None else {}
    for artifact, of in masks.items():
        rest = "our finder decides for them; an empty mask says that there is none"
        notes.append(_covered(of, ids, f"mask of {artifact}", rest))
        digest.update(artifact.encode())
        of.update(digest)
    columns: Mapping[str, Codes] = {}
    if artifact_labels is not None:
        user_labels = read_artifact_labels(artifact_labels, ids, known)
        columns, notes = user_labels.columns, [*notes, *user_labels.notes]
        for artifact, codes in columns.items():
            digest.update(artifact.encode() + b"\0" + codes.tobytes())
    anything = objects is not None or masks or columns
    return Knowledge(
        objects=objects,
        masks=masks,
        labels={k: v for k, v in columns.items() if k in known},
        others={k: v for k, v in columns.items() if k not in known},
        fingerprint=digest.hexdigest() if anything else "",
        notes=tuple(notes),
    )


def _artifact_masks(folder: Path, ids: Sequence[str], known: Collection[str]) -> dict[str, Masks]:
    """Open a folder that holds one folder of masks per artifact."""
    if not folder.is_dir():
        raise DatasetError(f"the folder of artifact masks {folder} does not exist")
    names = sorted(p.name for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))
    strange = [visible(name) for name in names if name not in known]
    if strange or not names:
        seen = f"folders {', '.join(strange[:6])}" if strange else "no folders"
        raise DatasetError(
            f"{folder} holds {seen}; expected a folder of masks per artifact, named as it: "
            f"{', '.join(known)}"
        )
    return {name: open_masks(folder / name, ids, f"{name} masks") for name in names}


def _covered(masks: Masks, ids: Sequence[str], what: str, rest: str) -> str:
    lacking = len(ids) - masks.count
    without = f"; {lacking} have none, and {rest}" if lacking else ""
    return f"{masks.count} of {len(ids)} images have a {what}{without}."


def _usable(mask: Mask | str | None, what: str, doubts: list[str]) -> Mask | None:
    """Return a usable mask or None; add to `doubts` why a mask cannot be used."""
    if isinstance(mask, str):
        doubts.append(f"{what}_mask_{mask}")
        return None
    return mask
