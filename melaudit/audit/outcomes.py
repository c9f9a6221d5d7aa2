"""Decisions by their outcome: true and false, positive and negative, each beside its map."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from melaudit.audit.method import explain
from melaudit.audit.prepare.configuration import Configuration
from melaudit.audit.prepare.preparation import Prepared, prepare
from melaudit.audit.prepare.reader import reading
from melaudit.errors import ConfigurationError, DatasetError
from melaudit.images.imagefile import Read
from melaudit.logits import predictions
from melaudit.relevance import Explainer
from melaudit.relevance.model.outputs import probabilities
from melaudit.reports.page.panel import Tile, panel
from melaudit.wording.sentences import many, percent

_AT_A_TIME = 16
"""Images that the model is shown together."""

OUTCOMES = (
    ("true positive", True, True),
    ("false positive", False, True),
    ("true negative", False, False),
    ("false negative", True, False),
)
"""The name of an outcome; whether such an image is labelled, and predicted, positive."""


@dataclass(frozen=True)
class _Decided:
    """One image and what the model makes of it."""

    row: int
    label: int
    predicted: int
    probability: float


def explain_outcomes(configuration: Configuration, each: int = 1) -> tuple[bytes, list[str]]:
    """Return a PNG with the surest images of every outcome beside their maps, and notes.

    Up to `each` images are shown for an outcome; the maps explain the predicted class. What is
    positive is the class that matters. Raises a MelauditError for everything a user can mend, such
    as a class that matters which nobody named.
    """
    with reading(configuration.workers) as read:
        prepared = prepare(configuration, read=read)
        positive = prepared.positive
        if positive is None:
            raise ConfigurationError(
                "which class is positive is not known; name it with --positive, one of "
                f"{', '.join(prepared.classes[:12])}"
            )
        prepared.loaded.model.to(prepared.device)
        with explain(configuration, prepared.loaded, prepared.device) as explainer:
            decided = list(_decided(prepared, explainer, prepared.read))
            tiles, notes = [], [explainer.describe()]
            for name, labelled, predicted in OUTCOMES:
                found = [
                    d
                    for d in decided
                    if (d.label == positive) is labelled and (d.predicted == positive) is predicted
                ]
                notes.append(f"{name}: {len(found)} of {many(len(decided), 'image')}")
                for one in sorted(found, key=lambda d: -d.probability)[:each]:
                    tiles += _tiles(name, one, prepared, explainer, prepared.read)
    if not tiles:
        raise DatasetError("no image with a label could be read, so there is nothing to show")
    assert tiles[0].photograph is not None
    return panel(tiles[0].photograph, tiles), notes


def _decided(prepared: Prepared, explainer: Explainer, read: Read) -> Iterator[_Decided]:
    """Yield what becomes of every labelled image that can be read."""
    rows = np.flatnonzero(prepared.dataset.labels >= 0)
    for start in range(0, len(rows), _AT_A_TIME):
        some = [
            (int(row), image)
            for row in rows[start : start + _AT_A_TIME]
            if (image := _image(prepared, read, int(row))) is not None
        ]
        if not some:
            continue
        logits = explainer.logits(_inputs(prepared, [image for _, image in some]))
        shares = probabilities(logits, prepared.loaded.shift)
        for (row, _), predicted, share in zip(some, predictions(logits), shares, strict=True):
            index = int(predicted)
            label = int(prepared.dataset.labels[row])
            yield _Decided(row, label, index, float(share[index]))


def _tiles(
    outcome: str, one: _Decided, prepared: Prepared, explainer: Explainer, read: Read
) -> list[Tile]:
    image = _image(prepared, read, one.row)
    assert image is not None
    x = _inputs(prepared, [image])
    found = explainer.attribute(x, torch.tensor([one.predicted]), ())
    seen = prepared.preprocessing.frame(image) if prepared.preprocessing.reframes else image
    label, predicted = prepared.classes[one.label], prepared.classes[one.predicted]
    start = float(found.start[0])
    held = f"map holds {float(found.maps.sum()) / start:.2f} of the logit" if start else ""
    return [
        Tile(outcome, f"labelled {label}, {percent(one.probability)} {predicted}", photograph=seen),
        Tile(f"{outcome}: why {predicted}", held, _array(found.maps[0]), photograph=seen),
    ]


def _image(prepared: Prepared, read: Read, row: int) -> NDArray[np.uint8] | None:
    white = prepared.preprocessing.white
    return read(str(prepared.dataset.paths[row]), white=white).image


def _inputs(prepared: Prepared, images: Sequence[NDArray[np.uint8]]) -> Tensor:
    made = torch.stack([prepared.preprocessing.apply(image) for image in images])
    return made.to(prepared.device)


def _array(values: Tensor) -> NDArray[np.float32]:
    array: NDArray[np.float32] = values.detach().float().cpu().numpy()
    return array
