"""Performance along skin tone: an order, with its uncertainty, and never a class."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from melaudit.detectors.interface import Batch, BatchImages
from melaudit.detectors.registry import detectors
from melaudit.detectors.skin_tone import MIN_RIGHT, SkinTone
from melaudit.domains.registry import domains
from melaudit.findings import SkinTone as Tone
from melaudit.findings import Skipped
from melaudit.measurements import Measurements
from tests.said import said

Make = Callable[..., Measurements]


def setting(
    make: Make, steep: float, n: int = 240, noise: float = 10, wrong: float = 0.3
) -> Measurements:
    """Return images whose predictions are wrong the more often the darker they are."""
    rng = np.random.default_rng(1)
    tone = rng.normal(45, 20, n)
    labels = np.arange(n) % 2
    chance = np.clip(wrong - steep * (tone - 45) / 20, 0, 1)
    predictions = np.where(rng.random(n) < chance, 1 - labels, labels)
    return make(
        {
            "skin_tone.region": tone,
            "skin_tone.patches": tone + 12 + rng.normal(0, noise, n),
        },
        labels=labels,
        predictions=predictions,
    )


def tone(table: Measurements) -> Tone:
    (found,) = said(SkinTone().conclude(table))
    assert isinstance(found, Tone)
    return found


def pairs(angle: NDArray[np.float64], table: Measurements) -> float:
    """Count pairs of one label, by loops."""
    right = table.predictions == table.labels
    wins = total = 0.0
    for i in np.flatnonzero(right):
        for j in np.flatnonzero(~right & (table.labels == table.labels[i])):
            wins += 1.0 if angle[i] > angle[j] else 0.5 if angle[i] == angle[j] else 0.0
            total += 1
    return wins / total


def test_a_model_that_fails_on_dark_skin_is_told(measurements: Make) -> None:
    table = setting(measurements, steep=0.2)
    found = tone(table)
    for estimate in found.estimates:
        assert estimate.trend is not None
        assert estimate.trend.clear
        angle = table[f"skin_tone.{estimate.id}"]
        assert estimate.trend.pairs.value == pytest.approx(pairs(angle, table))
        assert estimate.trend.pairs.low > 0.5
        assert "right more often on lighter skin" in estimate.statement
    assert found.estimates[0].n_right + found.estimates[0].n_wrong == 240


def test_a_model_that_is_right_alike_is_not_accused(measurements: Make) -> None:
    for estimate in tone(setting(measurements, steep=0)).estimates:
        assert estimate.trend is not None and not estimate.trend.clear
        assert "not clear of chance" in estimate.statement


def test_the_disagreement_of_the_methods_is_shown(measurements: Make) -> None:
    table = setting(measurements, steep=0)
    found = tone(table)
    apart = np.abs(table["skin_tone.patches"] - table["skin_tone.region"])
    assert found.disagreement is not None and found.correlation is not None
    assert found.disagreement.value == pytest.approx(np.median(apart))
    assert found.disagreement.low < np.median(apart) < found.disagreement.high
    one, other = (np.argsort(np.argsort(table[f"skin_tone.{m}"])) for m in ("region", "patches"))
    # Spearman's formula for ranks without ties.
    rho = 1 - 6 * float(((one - other) ** 2).sum()) / (240 * (240**2 - 1))
    assert found.correlation.value == pytest.approx(rho)
    assert "differ by" in found.statement and "no skin type" in found.statement


def test_with_too_few_mistakes_nothing_is_assessed(measurements: Make) -> None:
    table = setting(measurements, steep=0, n=60, wrong=0.1)
    for estimate in tone(table).estimates:
        assert estimate.trend is None
        assert f"not assessable. It takes {MIN_RIGHT} right" in estimate.statement


def test_images_without_an_angle_are_counted_and_left_out(measurements: Make) -> None:
    table = setting(measurements, steep=0)
    region = table["skin_tone.region"].copy()
    region[:50] = np.nan
    again = measurements(
        {"skin_tone.region": region, "skin_tone.patches": table["skin_tone.patches"]},
        labels=table.labels,
        predictions=table.predictions,
    )
    first, second = tone(again).estimates
    assert (first.n, second.n) == (190, 240)
    assert first.n_right + first.n_wrong == 190


def test_images_of_one_patient_count_once(measurements: Make) -> None:
    table = setting(measurements, steep=0.2)
    patients = np.array([f"p{k // 2}" for k in range(240)], np.object_)
    alike = replace(table, labels=np.ones(240, np.int64), groups=patients)
    first = tone(alike).estimates[0]
    right = alike.predictions == 1
    assert first.n_right == len({k // 2 for k in np.flatnonzero(right)})


def test_it_is_asked_only_where_pictures_show_skin() -> None:
    asked = {d.id: [x.id for x in detectors(domain=d)] for d in domains()}
    assert "skin_tone" in asked["dermoscopy"]
    assert all("skin_tone" not in ids for name, ids in asked.items() if name != "dermoscopy")


def test_pictures_without_any_tone_are_passed_over(measurements: Make) -> None:
    table = setting(measurements, steep=0)
    nothing = np.full(240, np.nan)
    blue = measurements(
        {"skin_tone.region": nothing, "skin_tone.patches": nothing}, labels=table.labels
    )
    (skipped,) = SkinTone().conclude(blue)
    assert isinstance(skipped, Skipped) and "no image has skin" in skipped.reason


def test_every_image_is_measured_by_both_methods() -> None:
    light = np.full((64, 64, 3), (225, 180, 150), np.uint8)
    blue = np.full((64, 64, 3), (90, 110, 200), np.uint8)
    batch = Batch(("a", "b"), BatchImages(views=(light, blue)))
    got = SkinTone().measure(batch)
    assert np.isfinite(got["region"]).tolist() == [True, False]
    assert np.isfinite(got["patches"]).tolist() == [True, False]
