"""Light, colour, sharpness and format: a leak is told, a lesion's own look and chance are not."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from melaudit.audit.conclude.conclusions import Said
from melaudit.detectors.measures.properties import PROPERTIES, measured
from melaudit.detectors.property_label import PropertyLabel
from melaudit.findings import Finding, NotFound, Rung, Severity, Skipped, Words
from melaudit.measurements import Measurements
from melaudit.reports.ladder import carrying
from tests.said import said

Make = Callable[..., Measurements]
Columns = dict[str, NDArray[np.float32]]


def properties(n: int, seed: int = 0) -> Columns:
    """Return every property of n pictures: chance, alike on skin and whole, one size."""
    rng = np.random.default_rng(seed)
    shared = {family: rng.normal(size=n) for family in ("light", "colour", "sharpness")}
    columns = {
        f"property_label.{p.id}": (
            np.full(n, 450.0)
            if p.family == "format"
            else shared[p.family.value] + 0.5 * rng.normal(size=n)
        )
        for p in PROPERTIES
    }
    return {name: values.astype(np.float32) for name, values in columns.items()}


def split(results: Sequence[Said]) -> tuple[dict[str, Finding], dict[str, NotFound]]:
    return (
        {r.id: r for r in results if isinstance(r, Finding)},
        {r.artifact: r for r in results if isinstance(r, NotFound)},
    )


def test_darker_skin_in_one_class_is_an_opportunity_and_no_more(measurements: Make) -> None:
    labels = np.repeat([0, 1], 150)
    columns = properties(300)
    for name in ("lightness", "lightness_around"):
        columns[f"property_label.{name}"] -= 1.2 * labels.astype(np.float32)
    table = measurements(columns, labels=labels, predictions=labels)
    found, missed = split(said(PropertyLabel().conclude(table)))
    assert set(found) == {"property_label.light"}
    finding = found["property_label.light"]
    assert finding.severity is Severity.LOW
    assert finding.rung is Rung.OPPORTUNITY
    assert {e.rung for e in finding.evidence} == {Rung.OPPORTUNITY}
    assert {e.name.split(":")[0] for e in finding.evidence if e.reached} == {
        "lightness of the skin"
    }
    assert finding.title == "In images of class malignant the skin is darker"
    assert {"property_label.colour", "property_label.sharpness"} < set(missed)
    darkest = table.ids[int(np.argmin(columns["property_label.lightness_around"]))]
    assert finding.classes == ("malignant",)
    assert finding.images[0] == darkest
    assert all(len(row) == len(t.columns) for t in finding.tables for row in t.rows)


def test_a_difference_of_the_lesion_alone_is_information(measurements: Make) -> None:
    labels = np.repeat([0, 1], 150)
    columns = properties(300)
    columns["property_label.red"] += 2 * labels.astype(np.float32)
    found, _ = split(said(PropertyLabel().conclude(measurements(columns, labels=labels))))
    finding = found["property_label.colour"]
    assert finding.severity is Severity.INFO
    assert "lesion" in finding.statement
    assert "skin" in finding.title


@pytest.mark.parametrize(
    ("stronger", "weaker"), [("lightness", "contrast"), ("contrast", "lightness")]
)
def test_the_difference_that_is_claimed_is_the_first_figure_shown(
    measurements: Make, stronger: str, weaker: str
) -> None:
    labels = np.repeat([0, 1], 150)
    columns = properties(300)
    columns[f"property_label.{stronger}"] += 4 * labels.astype(np.float32)
    columns[f"property_label.{weaker}"] += 2 * labels.astype(np.float32)
    found, _ = split(said(PropertyLabel().conclude(measurements(columns, labels=labels))))
    finding = found["property_label.light"]
    shown = carrying(finding)
    assert shown is not None
    assert stronger in shown.name and stronger in finding.statement
    assert {e.name.split()[0] for e in finding.evidence if e.reached} >= {stronger, weaker}


def test_what_to_do_speaks_of_no_camera_and_of_no_colour(measurements: Make) -> None:
    labels = np.repeat([0, 1], 150)
    columns = properties(300)
    columns["property_label.contrast"] += 2 * labels.astype(np.float32)
    words = Words(object="body part", objects="body parts", surroundings="outer field")
    table = replace(measurements(columns, labels=labels), words=words)
    finding = split(said(PropertyLabel().conclude(table)))[0]["property_label.light"]
    told = f"{finding.remedy} {finding.does_not_show}"
    assert "body parts" in told
    assert not {"photographed", "colourful", "focus", "skin"} & set(re.findall("[a-z]+", told))


def test_predictions_that_follow_within_a_label_are_told(measurements: Make) -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], 200)
    columns = properties(400)
    skin = columns["property_label.yellow_around"]
    skin += 1.5 * labels.astype(np.float32)
    follows = (skin > 0.75).astype(int)
    guesses = np.where(rng.random(400) < 0.7, labels, 1 - labels)
    for predictions, expected in ((follows, True), (guesses, False)):
        table = measurements(columns, labels=labels, predictions=predictions)
        finding = split(said(PropertyLabel().conclude(table)))[0]["property_label.colour"]
        reached = any(e.reached and "prediction" in e.name for e in finding.evidence)
        assert reached is expected
        assert ("more often" in finding.statement) is expected


def test_sizes_that_tell_the_class_are_found_and_one_size_tells_nothing(
    measurements: Make,
) -> None:
    labels = np.repeat([0, 1], 60)
    columns = properties(120)
    missed = split(said(PropertyLabel().conclude(measurements(columns, labels=labels))))[1]
    assert "alike" in missed["property_label.format"].statement
    columns["property_label.pixels"] = np.where(labels, 1024, 519).astype(np.float32)
    finding = split(said(PropertyLabel().conclude(measurements(columns, labels=labels))))[0][
        "property_label.format"
    ]
    assert finding.title.endswith("as files")
    assert finding.severity is Severity.LOW


def test_shuffled_lopsided_labels_raise_no_alarm_in_twenty_of_twenty(measurements: Make) -> None:
    columns = properties(400, seed=7)
    columns["property_label.pixels"] = np.repeat([450, 519, 1024, 2000], 100).astype(np.float32)
    labels = np.repeat([0, 1], [328, 72])
    for seed in range(20):
        rng = np.random.default_rng(seed)
        table = measurements(
            columns, labels=rng.permutation(labels), predictions=rng.permutation(labels)
        )
        found, missed = split(said(PropertyLabel().conclude(table)))
        assert not found, seed
        assert len(missed) == 4


def test_a_difference_too_small_to_matter_is_no_finding_however_many_images(
    measurements: Make,
) -> None:
    labels = np.repeat([0, 1], 3_000)
    columns = properties(6_000)
    columns["property_label.lightness_around"] += 0.22 * labels.astype(np.float32)
    found, missed = split(said(PropertyLabel().conclude(measurements(columns, labels=labels))))
    assert not found
    assert missed["property_label.light"].minimum_detectable_effect == pytest.approx(0.6)


def test_many_images_of_few_patients_are_no_more_than_few(measurements: Make) -> None:
    patient = np.repeat(np.arange(24), 25)
    labels = (patient % 2).astype(int)
    columns = properties(600)
    # A picture's light is that of its patient; 12 patients a side are too few for this shift.
    light = np.linspace(-1, 1, 12)[patient // 2] + 0.45 * labels
    for name in ("lightness", "lightness_around", "contrast", "contrast_around"):
        columns[f"property_label.{name}"] = light.astype(np.float32)
    table = measurements(columns, labels=labels)
    grouped = replace(table, groups=np.array([f"p{k}" for k in patient], object))
    assert "property_label.light" in split(said(PropertyLabel().conclude(table)))[0]
    assert "property_label.light" not in split(said(PropertyLabel().conclude(grouped)))[0]


def test_three_classes_name_the_one_that_stands_out(measurements: Make) -> None:
    labels = np.repeat([0, 1, 2], 80)
    columns = properties(240)
    columns["property_label.sharpness_around"] += 2 * (labels == 2).astype(np.float32)
    columns["property_label.sharpness"] += 2 * (labels == 2).astype(np.float32)
    table = measurements(columns, labels=labels, classes=("nevus", "bkl", "mel"))
    finding = split(said(PropertyLabel().conclude(table)))[0]["property_label.sharpness"]
    assert finding.classes == ("mel",)
    assert finding.title == "In images of class mel the skin is sharper"


@pytest.mark.parametrize("labels", [np.full(40, -1), np.r_[np.zeros(35), np.ones(5)]])
def test_too_few_labels_are_skipped(measurements: Make, labels: Any) -> None:
    (result,) = said(PropertyLabel().conclude(measurements(properties(40), labels=labels)))
    assert isinstance(result, Skipped)


def test_every_property_is_measured_and_a_lesion_does_not_change_the_skin() -> None:
    rng = np.random.default_rng(0)
    grain = rng.normal(0, 6, (240, 320, 1))
    image = np.clip(np.array([205, 160, 150]) + grain, 0, 255).astype(np.uint8)
    plain = measured(image, (640, 480))
    assert set(plain) == {p.id for p in PROPERTIES}
    assert plain["pixels"] == pytest.approx((640 * 480) ** 0.5)
    assert plain["aspect"] == pytest.approx(4 / 3)
    assert measured(image, None)["pixels"] == pytest.approx((320 * 240) ** 0.5)
    lesion = image.copy()
    lesion[80:160, 110:210] = (120, 45, 45)
    marked = measured(lesion, None)
    assert marked["lightness"] < plain["lightness"] - 3
    assert marked["red"] != pytest.approx(plain["red"], abs=0.3)
    for name in (f"{p}_around" for p in ("lightness", "contrast", "red", "yellow", "sharpness")):
        assert marked[name] == pytest.approx(plain[name], rel=0.03)


def test_grey_pictures_have_no_colour_however_light_they_are() -> None:
    rows = [measured(np.full((32, 32, 3), level, np.uint8), None) for level in range(0, 256, 5)]
    assert {row[name] for row in rows for name in ("red", "red_around", "yellow")} == {0.0}


def test_real_pictures_of_two_sources_differ_and_shuffled_ones_do_not(
    shared: Path, measurements: Make
) -> None:
    files = sorted((shared / "data" / "isic-rings").glob("*/*.jpg"))[::8]
    rows = [measured(np.asarray(Image.open(f).convert("RGB")), None) for f in files]
    columns = {
        f"property_label.{p.id}": np.array([row[p.id] for row in rows], np.float32)
        for p in PROPERTIES
    }
    labels = np.array([f.parent.name == "malignant" for f in files], np.int64)
    found, _ = split(said(PropertyLabel().conclude(measurements(columns, labels=labels))))
    # Measured: the melanomas of this set are much softer, in 87 % of the pairs.
    assert "property_label.sharpness" in found
    shuffled = np.random.default_rng(0).permutation(labels)
    assert not split(said(PropertyLabel().conclude(measurements(columns, labels=shuffled))))[0]
