"""Training images and audited images, held against each other."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from melaudit.detectors.drift import Drift
from melaudit.findings import Drift as Drifted
from melaudit.findings import Skipped
from melaudit.measurements import Measurements
from tests.said import said

Make = Callable[..., Measurements]


def setting(make: Make, ringed: float, lighter: float, n: int = 120) -> Measurements:
    """Audit n images: a share of `ringed`, and `lighter` by so much than 200 training images."""
    rng = np.random.default_rng(0)
    labels, before = np.arange(n) % 2, np.arange(200) % 2
    table = make(
        {
            "dark_ring.present": rng.random(n) < ringed,
            "property_label.lightness": rng.normal(60 + lighter, 5, n),
        },
        labels=labels,
    )
    return replace(
        table,
        training={"dark_ring": (rng.random(200) < 0.2, before), "ink": (before > 2, before)},
        training_properties={"lightness": (rng.normal(60, 5, 200), before)},
    )


def drifted(table: Measurements) -> dict[str, Drifted]:
    return {d.id: d for d in said(Drift().conclude(table)) if isinstance(d, Drifted)}


def test_what_differs_is_said_in_plain_words(measurements: Make) -> None:
    found = drifted(setting(measurements, ringed=0.6, lighter=8))

    ring, light = found["dark_ring"], found["lightness"]
    assert ring.clear and light.clear
    assert ring.audited - ring.training == np.float64(ring.difference.value)
    assert ring.statement.startswith("Dark ring is seen more often in the audited images: ")
    assert "of the training images" in ring.statement
    assert light.statement.startswith("The audited images are lighter (lightness of the picture): ")
    assert (ring.n_training, ring.n_audited) == (200, 120)
    # No column of the audited images tells of ink: it is not compared.
    assert "ink" not in found


def test_images_of_one_source_do_not_drift(measurements: Make) -> None:
    found = drifted(setting(measurements, ringed=0.2, lighter=0))
    assert not any(d.clear for d in found.values())
    assert all("not clear of chance" in d.statement for d in found.values())
    assert all(d.difference.low < 0 < d.difference.high for d in found.values())


def test_without_labels_all_images_are_one_class(measurements: Make) -> None:
    table = setting(measurements, ringed=0.6, lighter=0)
    found = drifted(replace(table, labels=np.full(120, -1)))
    assert found["dark_ring"].clear


def test_it_says_what_is_missing(measurements: Make) -> None:
    table = setting(measurements, 0.2, 0)

    def reason(t: Measurements) -> str:
        (skipped,) = Drift().conclude(t)
        assert isinstance(skipped, Skipped)
        return skipped.reason

    bare: Any = {}
    assert "--train-data" in reason(replace(table, training=bare, training_properties=bare))
    few = setting(measurements, 0.2, 0, n=10)
    assert "10 images" in reason(few)


def test_images_of_one_patient_count_once(measurements: Make) -> None:
    table = setting(measurements, ringed=0.6, lighter=0)
    patients = np.array([f"patient {k // 4}" for k in range(120)], np.object_)
    assert drifted(replace(table, groups=patients))["dark_ring"].n_audited == 60  # by label
