"""What images show of an artifact: all of it or each of its kinds, and what else they show with it.

A kind is a thing of its own: skin looks pinkish under one clinic's lamp and bluish under another's.
One can go with benign and the other with malignant, so that both together go with neither.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from melaudit.artifacts.interface import Artifact, HasKinds
from melaudit.detectors.rungs.company import Company, apart, company
from melaudit.measurements import Measurements

MIN_OF_KIND = 5
"""Images of a kind from which it is looked at by itself. Chosen, not measured."""


@dataclass(frozen=True)
class Shown:
    """An artifact or one kind of it, and the images that show it."""

    key: str
    """Names its trials and its finding: "hair", "colour_cast.bluish"."""
    artifact: Artifact
    present: NDArray[np.bool_]
    """(n,) images that show it."""
    beside: tuple[Company, ...]
    """Other artifacts that may be what these images are about."""

    @property
    def alone(self) -> NDArray[np.bool_]:
        """Images (n,) that show it without what explains it."""
        return apart(self.present, self.beside)


def shown(artifact: Artifact, table: Measurements, others: Sequence[Artifact]) -> tuple[Shown, ...]:
    """Return each kind of an artifact that enough images show; else the artifact as a whole.

    others: all artifacts that were looked for. Raises KeyError for one that was not measured.
    """
    present = table[f"{artifact.id}.present"].astype(bool)
    of_kind: list[tuple[str, Artifact, NDArray[np.bool_]]] = []
    if isinstance(artifact, HasKinds):
        column = table[f"{artifact.id}.kind"]
        for index, kind in enumerate(artifact.kinds):
            rows, key = present & (column == index), f"{artifact.id}.{kind.kind}"
            learned = table.training[key][0].sum() if key in table.training else 0
            if max(rows.sum(), learned) >= MIN_OF_KIND:
                of_kind.append((key, kind, rows))
    return tuple(
        Shown(key, kind, rows, company(table, artifact, key, rows, others))
        for key, kind, rows in of_kind or [(artifact.id, artifact, present)]
    )
