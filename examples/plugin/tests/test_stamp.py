"""The detector finds what is planted, and nothing where nothing is."""

import tomllib
from collections.abc import Sequence
from importlib.metadata import EntryPoint
from pathlib import Path

import numpy as np

from melaudit.detectors.claim import Claim
from melaudit.detectors.interface import Batch, BatchImages
from melaudit.findings import Finding, NotFound, Skipped, Trust
from melaudit.measurements import Measurements
from melaudit.statistics.correction import settle
from melaudit_stamp import StampDetector

BENIGN = 40
MALIGNANT = 40


def measured(white: Sequence[int]) -> Measurements:
    """Return measurements of benign, then malignant images, so many of each with a white corner."""
    corners = [np.arange(n) < k for n, k in zip((BENIGN, MALIGNANT), white, strict=True)]
    columns = {"stamp.white": np.concatenate(corners).astype(float)}
    labels = np.repeat([0, 1], [BENIGN, MALIGNANT])
    return Measurements(
        ids=tuple(f"{i}.png" for i in range(len(labels))),
        labels=labels,
        predictions=labels,
        targets=labels,
        logits=np.eye(2, dtype=np.float32)[labels],
        classes=("benign", "malignant"),
        positive=1,
        columns=columns.__getitem__,
        layer="",
        explanations=Trust.TRUSTED,
        seed=0,
    )


def said(measurements: Measurements) -> Finding | NotFound:
    """Return what the detector says once its test is corrected, here for itself alone."""
    (claim,) = StampDetector().conclude(measurements)
    assert isinstance(claim, Claim)
    (tested,) = settle([claim.tested])
    (worded,) = claim.word(tested, tuple(claim.evidence(tested)))
    assert isinstance(worded, Finding | NotFound)
    return worded


def test_it_measures_white_in_the_corner_alone() -> None:
    dark = np.full((60, 60, 3), 90, np.uint8)
    stamped, elsewhere = dark.copy(), dark.copy()
    stamped[-10:, -10:] = 255
    elsewhere[:10, :10] = 255
    pictures = BatchImages(views=(dark, stamped, elsewhere))
    batch = Batch(ids=("dark", "stamped", "elsewhere"), images=pictures)
    np.testing.assert_array_equal(StampDetector().measure(batch)["white"], [0, 1, 0])


def test_it_finds_white_corners_that_go_with_the_class() -> None:
    found = said(measured((2, 30)))
    assert isinstance(found, Finding)
    assert found.statement == "30 of 32 images with a white corner are malignant."
    assert len(found.images) == 32


def test_it_does_not_find_those_that_do_not() -> None:
    assert isinstance(said(measured((15, 16))), NotFound)


def test_it_says_nothing_of_too_few_images() -> None:
    (result,) = StampDetector().conclude(measured((0, 3)))
    assert isinstance(result, Skipped)


def test_the_package_registers_it() -> None:
    text = (Path(__file__).parent.parent / "pyproject.toml").read_text(encoding="utf-8")
    (value,) = tomllib.loads(text)["project"]["entry-points"]["melaudit.detectors"].values()
    assert EntryPoint("stamp", value, "melaudit.detectors").load() is StampDetector
