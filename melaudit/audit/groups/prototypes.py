"""How a class is usually decided, and outliers that are decided unlike any other image.

Foreign images and label errors surface here: the first because no usual strategy explains them,
the second because they are decided just as the class they are said not to be.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from melaudit.audit.groups.embedding import finite, fit
from melaudit.audit.groups.mixture import MIN_IMAGES_PER_COMPONENT, Mixture, mixture
from melaudit.findings import Outlier, Prototype
from melaudit.measurements import Measurements, SomeRows
from melaudit.statistics.correction import ALPHA
from melaudit.wording.sentences import percent

MIN_IMAGES = 5
"""Images that make a usual strategy. Chosen, not measured."""
MAX_PROTOTYPE_IMAGES = 12
"""Images named for each prototype."""
MAX_OUTLIERS = 50
"""Outliers listed for each class and kind, at most."""


def prototypes(
    measurements: Measurements,
) -> tuple[tuple[Prototype, ...], tuple[Outlier, ...]]:
    """Find the usual strategies of each predicted class and the images unlike any of them.

    A class of fewer than 2 * PER_COMPONENT images, or whose concepts do not vary together, has
    none. The oddest images come first.
    """
    concepts = measurements["relevance.concepts"]
    usual: list[Prototype] = []
    odd: list[Outlier] = []
    for index, name in enumerate(measurements.classes):
        rows = np.flatnonzero(measurements.predictions == index)
        rows = rows[finite(SomeRows(concepts, rows))]
        if len(rows) < 2 * MIN_IMAGES_PER_COMPONENT:
            continue
        some = SomeRows(concepts, rows)
        projection = fit(some, measurements.seed)
        if projection is None:
            continue
        found = mixture(projection.apply(some), measurements.seed)
        usual += _usual(name, rows, found, measurements)
        odd += _unlike(name, rows, found, measurements)
        odd += _mislabelled(name, rows, found, measurements)
    return tuple(usual), tuple(sorted(odd, key=lambda o: (o.kind, o.p_value, o.image)))


def _usual(
    name: str, rows: NDArray[np.int64], found: Mixture, measurements: Measurements
) -> list[Prototype]:
    listed: list[Prototype] = []
    for k in range(len(found.shares)):
        inside = np.flatnonzero(found.component == k)
        if len(inside) < MIN_IMAGES:
            continue
        nearest = inside[np.argsort(found.distance[inside], kind="stable")[:MAX_PROTOTYPE_IMAGES]]
        listed.append(
            Prototype(
                id=f"{name}-usual-{len(listed) + 1}",
                predicted=name,
                n=len(inside),
                share=len(inside) / len(rows),
                images=tuple(measurements.ids[rows[i]] for i in nearest),
            )
        )
    return listed


def _unlike(
    name: str, rows: NDArray[np.int64], found: Mixture, measurements: Measurements
) -> list[Outlier]:
    odd = np.flatnonzero(found.unlike)
    odd = odd[np.argsort(-found.unlikeness[odd], kind="stable")[:MAX_OUTLIERS]]
    return [
        _outlier(
            measurements,
            int(rows[i]),
            "unlike",
            float(found.p_value[i]),
            f"decided unlike any usual {name}; at most {100 * ALPHA:.0f} % of the images listed so "
            "are expected to be usual",
        )
        for i in odd
    ]


def _mislabelled(
    name: str, rows: NDArray[np.int64], found: Mixture, measurements: Measurements
) -> list[Outlier]:
    """List images of another label that are decided as the nearer half of their strategy is."""
    labels = measurements.labels[rows]
    wrong = np.flatnonzero((labels >= 0) & (labels != measurements.predictions[rows]))
    listed = []
    for i in wrong:
        alike = found.distance[found.component == found.component[i]]
        farther = float((alike >= found.distance[i]).mean())
        if farther >= 0.5 and not found.unlike[i]:
            told = measurements.classes[labels[i]]
            why = (
                f"labelled {told}, but decided just as the usual {name}: nearer to its middle "
                f"than {percent(farther)} of the images decided so"
            )
            listed.append(_outlier(measurements, int(rows[i]), "label", 1 - farther, why))
    return sorted(listed, key=lambda o: (o.p_value, o.image))[:MAX_OUTLIERS]


def _outlier(measurements: Measurements, row: int, kind: str, p: float, why: str) -> Outlier:
    label = int(measurements.labels[row])
    return Outlier(
        image=measurements.ids[row],
        kind=kind,
        predicted=measurements.classes[int(measurements.predictions[row])],
        label=measurements.classes[label] if label >= 0 else None,
        p_value=p,
        why=why,
    )
