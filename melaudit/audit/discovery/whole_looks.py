"""Looks of whole pictures that one class has and others hardly have, made into artifacts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from melaudit.artifacts.discovered_look import DiscoveredLook, Looks, around
from melaudit.artifacts.interface import RGB, Artifact
from melaudit.artifacts.painting.look import Look, look_of
from melaudit.audit.discovery.directions import PROPERTIES, Direction, directions
from melaudit.audit.discovery.made import (
    MAX_LACKING,
    MIN_SHOWN,
    MIN_SOURCES,
    Candidate,
    images_showing,
    most,
    some,
)
from melaudit.audit.discovery.naming import Name, name_of_look, named_properties
from melaudit.audit.edits.laboratory import Laboratory
from melaudit.audit.groups.strategies import smallest_group
from melaudit.detectors.measures.properties import measured
from melaudit.findings import Skipped
from melaudit.findings.evidence import DISCOVERED as ID
from melaudit.measurements import Measurements

MEASURED_BY = "property_label"
"""The detector whose measurements looks are found by."""

Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class WholeLook:
    """A direction in which one class differs, and how far every image lies in it."""

    direction: Direction
    predicted: int
    amount: NDArray[np.float64]
    """(n,) of the look in each image, over the most that others have."""

    @property
    def present(self) -> Bools:
        """(n,) images that show it."""
        present: Bools = self.amount > 1
        return present


def whole_looks(table: Measurements, half: Bools) -> list[WholeLook]:
    """Choose looks of every predicted class on half of the images (n,), the strongest first.

    Raises KeyError where light, colour and sharpness were not measured.
    """
    columns = [table[f"{MEASURED_BY}.{each}"].astype(np.float64) for each in PROPERTIES]
    values = np.stack(columns, 1)
    known = np.isfinite(values).all(1)
    chosen: list[WholeLook] = []
    for index in range(len(table.classes)):
        of_class, beside = table.predictions == index, table.of_other_classes(index)
        own, others = values[of_class & half & known], values[beside & half & known]
        chosen += [
            WholeLook(each, index, np.where(known, each.amount(values), 0))
            for each in directions(own, others, smallest_group(len(own)))
        ]
    return sorted(chosen, key=lambda look: -look.direction.strength)


def look_candidate(
    look: WholeLook,
    table: Measurements,
    laboratory: Laboratory,
    half: Bools,
    reviews: Mapping[str, str],
) -> Candidate | Skipped:
    """Make a candidate of a look, with looks of the half that it was chosen on."""
    present, of_class = look.present, table.predictions == look.predicted
    predicted = table.classes[look.predicted]
    tested = int((present & ~half).sum())
    if tested < MIN_SHOWN:
        return Skipped(ID, f"a look of {predicted} is shown by {tested} of the images for tests")
    rng = np.random.default_rng(table.seed)
    lacking = half & (look.amount <= MAX_LACKING)
    donors = [
        image for _, image in laboratory.pictures(most(look.amount, present & of_class & half))
    ]
    alike = some(lacking & of_class, laboratory, rng)
    others = some(lacking & ~of_class, laboratory, rng)
    if min(len(donors), len(others)) < MIN_SOURCES:
        few = "too few images show it, or lack it, to take it from"
        return Skipped(ID, f"a look of {predicted}: {few}")
    looks = Looks(
        tuple(_measured(donors)),
        tuple(_measured(alike)) if len(alike) >= MIN_SOURCES else (),
        tuple(_measured(others)),
        predicted,
    )
    direction = look.direction

    def amount(image: RGB) -> float:
        found = measured(image, None)
        return float(direction.amount(np.array([[found[each] for each in PROPERTIES]]))[0])

    def artifact(called: Name) -> Artifact:
        of = named_properties(direction.differs).tolist()
        return DiscoveredLook(
            called.id, called.title, called.phrases, looks, amount, of, called.said
        )

    def name(taken: Sequence[str]) -> Name:
        return name_of_look(
            direction.differs,
            (donors, [*alike, *others]),
            images_showing(look.amount, table.ids),
            laboratory.domain.artifacts,
            reviews,
            taken,
        )

    where = f"It is measured on the {table.words.surroundings} around the middle."
    return Candidate(look.predicted, look.amount, artifact, name, where)


def _measured(images: Sequence[RGB]) -> Iterator[Look]:
    for image in images:
        yield look_of(image, around(image))
