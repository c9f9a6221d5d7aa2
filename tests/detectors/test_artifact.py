"""The detector of an artifact, with rings: what it concludes from tables."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from melaudit.artifacts.kinds.dark_ring import DarkRing as Ring
from melaudit.detectors.artifact import ArtifactDetector
from melaudit.findings import Evidence, Finding, NotFound, Rung, Severity, Skipped, Trust
from melaudit.measurements import GRID, Measurements
from tests.said import said


def detector() -> ArtifactDetector:
    return ArtifactDetector(Ring())


Make = Callable[..., Measurements]
CELLS = GRID * GRID
Y, X = np.mgrid[:GRID, :GRID]
CORNERS = np.hypot(Y - 15.5, X - 15.5) > 17
"""Where a ring lies on the grid: about a fifth of it."""


def draw_maps(rng: np.random.Generator, n: int, halo: float = 0.3) -> NDArray[np.float64]:
    """Return n maps: a lesion in the middle, noise, and the halo that padding leaves on all."""
    middle = np.exp(-(((Y - 15.5) ** 2 + (X - 15.5) ** 2) / 80))
    edge = ((Y < 2) | (Y > 29) | (X < 2) | (X > 29)) * halo
    maps = (middle + edge) * rng.gamma(2, 0.5, (n, GRID, GRID))
    maps /= maps.sum((1, 2), keepdims=True)
    return np.asarray(maps)


def table(
    make: Make,
    ringed: NDArray[np.bool_],
    labels: NDArray[np.int64] | None,
    *,
    look: float = 0.0,
    against: bool = False,
    seed: int = 0,
    **more: Any,
) -> Measurements:
    """Build a table in which ringed maps hold `look` more of their relevance on the ring."""
    rng = np.random.default_rng(seed)
    n = len(ringed)
    maps = draw_maps(rng, n)
    on_ring = CORNERS / CORNERS.sum()
    maps[ringed] = (1 - look) * maps[ringed] + look * on_ring
    sign = np.where(ringed[:, None, None] & CORNERS & against, -1, 1)
    masks = np.where(ringed[:, None, None], CORNERS * 255, 0).astype(np.uint8)
    share = (maps * (masks > 0)).sum((1, 2))
    columns = {
        "relevance.positive": np.where(sign > 0, maps, 0).astype(np.float16),
        "relevance.negative": np.where(sign < 0, maps, 0).astype(np.float16),
        "dark_ring.score": np.where(ringed, 0.9, 0.05).astype(np.float32),
        "dark_ring.present": ringed,
        "dark_ring.mask": masks,
        "dark_ring.rule": ringed & (rng.random(n) < 0.5),
        "dark_ring.share": share.astype(np.float32),
        "dark_ring.signed": (sign * maps * (masks > 0)).sum((1, 2)).astype(np.float32),
        "dark_ring.area": (masks > 0).mean((1, 2)).astype(np.float32),
    }
    return make(columns, labels=labels, **more)


def sample(n: int, rings: tuple[int, ...]) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Return ringed (n * classes,) and labels: n images of every class, so many of each ringed."""
    labels = np.repeat(np.arange(len(rings)), n)
    ringed = np.concatenate([np.arange(n) < k for k in rings])
    return ringed, labels


def only(results: Any) -> Any:
    assert len(results) == 1
    return results[0]


def by_rung(finding: Finding, rung: Rung) -> Evidence:
    return next(e for e in finding.evidence if e.rung is rung)


def test_rings_that_go_with_a_class_and_are_looked_at_are_found_on_both_rungs(
    measurements: Make,
) -> None:
    ringed, labels = sample(100, (4, 60))
    finding: Finding = only(
        said(detector().conclude(table(measurements, ringed, labels, look=0.3)))
    )
    assert (finding.id, finding.artifact, finding.detector) == ("dark_ring",) * 3
    assert finding.rung is Rung.ATTENTION
    assert finding.severity is Severity.MEDIUM
    assert finding.confidence > 0.9
    assert finding.classes == ("malignant",)
    assert "60 of 100 malignant images" in finding.statement
    assert "4 of 100 benign ones" in finding.statement
    assert "The model looks there" in finding.statement
    assert "decision depends" in finding.does_not_show
    odds = by_rung(finding, Rung.OPPORTUNITY)
    assert odds.estimate == pytest.approx(60 * 96 / (40 * 4))
    assert odds.p_value == pytest.approx(stats.fisher_exact(np.array([[60, 4], [40, 96]]))[1])
    assert all((e.q_value is None) == (e.p_value is None) for e in finding.evidence)


def test_a_finding_never_claims_that_the_model_uses_the_ring(measurements: Make) -> None:
    ringed, labels = sample(100, (4, 60))
    for look in (0.0, 0.3):
        finding = only(said(detector().conclude(table(measurements, ringed, labels, look=look))))
        words = f"{finding.title} {finding.statement}".lower()
        assert not any(word in words for word in ("uses", "depend", "decides", "relies"))
        assert not {e.rung for e in finding.evidence} & {Rung.DEPENDENCE, Rung.HARM}


def test_rings_that_are_not_looked_at_are_an_opportunity_only(measurements: Make) -> None:
    ringed, labels = sample(100, (4, 60))
    finding = only(said(detector().conclude(table(measurements, ringed, labels))))
    assert finding.rung is Rung.OPPORTUNITY
    assert finding.severity is Severity.LOW
    assert not by_rung(finding, Rung.ATTENTION).reached
    assert "looks" not in finding.statement
    assert finding.statement.startswith("The data allow it")


def test_rings_looked_at_that_go_with_no_class_are_attention_only(measurements: Make) -> None:
    ringed, labels = sample(100, (30, 30))
    finding = only(said(detector().conclude(table(measurements, ringed, labels, look=0.3))))
    assert finding.rung is Rung.ATTENTION
    assert finding.severity is Severity.MEDIUM
    assert not by_rung(finding, Rung.OPPORTUNITY).reached
    assert "do not clearly reward it" in finding.statement
    assert finding.classes == ()


def test_a_padding_halo_on_all_images_is_not_attention(measurements: Make) -> None:
    # A fixed threshold would alarm: the corners hold much relevance, on every image alike.
    ringed, labels = sample(150, (40, 40))
    results = said(detector().conclude(table(measurements, ringed, labels)))
    assert all(isinstance(result, NotFound) for result in results)
    for result in results:
        assert isinstance(result, NotFound)
        assert result.artifact == "dark_ring"
        assert result.minimum_detectable_effect is not None
        assert result.p_value is not None
    odds, look = results
    assert isinstance(odds, NotFound)
    assert isinstance(look, NotFound)
    assert odds.effect == "odds ratio"
    assert 1.5 < (odds.minimum_detectable_effect or 0) < 4
    assert 0 < (look.minimum_detectable_effect or 0) < 0.05


def test_false_alarms_are_rare_on_shuffled_labels(measurements: Make) -> None:
    rng = np.random.default_rng(1)
    alarms = 0
    for seed in range(40):
        ringed = rng.random(120) < 0.25
        labels = (rng.random(120) < 0.5).astype(np.int64)
        results = said(detector().conclude(table(measurements, ringed, labels, seed=seed)))
        alarms += any(isinstance(result, Finding) for result in results)
    assert alarms <= 6  # two tests at 5 % expect 4 of 40 at most


def test_unusable_maps_feed_no_finding_but_the_labels_still_speak(measurements: Make) -> None:
    ringed, labels = sample(100, (4, 60))
    finding = only(
        said(
            detector().conclude(
                table(measurements, ringed, labels, look=0.5, explanations=Trust.UNUSABLE)
            )
        )
    )
    assert finding.rung is Rung.OPPORTUNITY
    assert all(e.rung is Rung.OPPORTUNITY for e in finding.evidence)
    assert "unusable" in finding.does_not_show


def test_degraded_maps_lower_the_confidence(measurements: Make) -> None:
    ringed, labels = sample(100, (4, 60))
    trusted = table(measurements, ringed, labels, look=0.3)
    degraded = dataclasses.replace(trusted, explanations=Trust.DEGRADED)
    sure, unsure = (only(said(detector().conclude(m))) for m in (trusted, degraded))
    assert unsure.confidence < 0.7 * sure.confidence
    assert "in doubt" in unsure.does_not_show


def test_images_are_ranked_by_their_relevance_on_the_ring(measurements: Make) -> None:
    ringed, labels = sample(60, (3, 30))
    data = table(measurements, ringed, labels, look=0.3)
    finding = only(said(detector().conclude(data)))
    share = dict(zip(data.ids, data["dark_ring.share"], strict=True))
    assert set(finding.images) == {data.ids[i] for i in np.flatnonzero(ringed)}
    assert [share[i] for i in finding.images] == sorted(
        (share[i] for i in finding.images), reverse=True
    )


def test_relevance_against_the_class_is_said_to_be_against_it(measurements: Make) -> None:
    ringed, labels = sample(100, (4, 60))
    finding = only(
        said(detector().conclude(table(measurements, ringed, labels, look=0.3, against=True)))
    )
    ratios = finding.evidence[-1]
    assert "against malignant where that is predicted" in ratios.statement
    by_class = finding.tables[-1]
    assert all(float(row[-1]) < 0 for row in by_class.rows)


def test_predictions_that_follow_the_ring_beyond_the_label_are_said_so(measurements: Make) -> None:
    ringed, labels = sample(200, (40, 120))
    rng = np.random.default_rng(0)
    calls = np.where(rng.random(400) < np.where(ringed, 0.9, 0.3), 1, 0)
    finding = only(
        said(detector().conclude(table(measurements, ringed, labels, predictions=calls)))
    )
    fixed = next(e for e in finding.evidence if "label held fixed" in e.name)
    assert fixed.ci_low > 5
    assert fixed.reached
    same = only(said(detector().conclude(table(measurements, ringed, labels))))
    assert not any("label held fixed" in e.name for e in same.evidence)  # nothing left to explain


def test_the_tables_count_every_image_once_and_name_the_strict_rule(measurements: Make) -> None:
    ringed, labels = sample(50, (2, 30))
    labels[:5] = -1
    data = table(measurements, ringed, labels)
    finding = only(said(detector().conclude(data)))
    by_label, cross, by_prediction = finding.tables[:3]
    assert by_label.columns[-1] == "all four corners black"
    assert sum(row[1] for row in by_label.rows) == 100
    assert sum(row[2] for row in by_label.rows) == ringed.sum()
    assert sum(row[4] for row in by_label.rows) == data["dark_ring.rule"].sum()
    assert sum(row[1] for row in by_prediction.rows) == 100
    assert sum(row[2] for row in cross.rows) == 95


def test_with_several_classes_the_one_that_goes_with_rings_is_named(measurements: Make) -> None:
    ringed, labels = sample(80, (5, 6, 45, 4))
    names = ("a", "b", "c", "d")
    finding = only(
        said(detector().conclude(table(measurements, ringed, labels, classes=names, positive=None)))
    )
    assert finding.classes == ("c",)
    expected = stats.fisher_exact(np.array([[45, 15], [35, 225]]))[1] * 4
    assert by_rung(finding, Rung.OPPORTUNITY).p_value == pytest.approx(expected)


def test_an_empty_cell_leaves_the_interval_open_and_the_words_readable(measurements: Make) -> None:
    ringed, labels = sample(100, (0, 40))
    finding = only(said(detector().conclude(table(measurements, ringed, labels))))
    odds = by_rung(finding, Rung.OPPORTUNITY)
    assert odds.ci_high == np.inf
    assert "inf" not in odds.statement
    assert "upwards" in odds.statement
    assert "0 of 100 benign ones" in finding.statement


def test_a_small_number_of_rings_is_no_finding_however_large_the_ratio(measurements: Make) -> None:
    ringed, labels = sample(100, (0, 3))
    skipped = only(said(detector().conclude(table(measurements, ringed, labels, look=0.5))))
    assert isinstance(skipped, Skipped)
    assert "3 of 200 images" in skipped.reason


def test_no_ring_at_all_is_a_result_with_its_n(measurements: Make) -> None:
    ringed, labels = sample(30, (0, 0))
    result = only(said(detector().conclude(table(measurements, ringed, labels))))
    assert isinstance(result, NotFound)
    assert result.n == 60
    assert result.minimum_detectable_effect is None


def test_without_labels_only_attention_can_be_concluded(measurements: Make) -> None:
    ringed, calls = sample(80, (20, 40))
    unlabelled = np.full(160, -1)
    finding = only(
        said(
            detector().conclude(
                table(measurements, ringed, unlabelled, look=0.3, predictions=calls)
            )
        )
    )
    assert {e.rung for e in finding.evidence} == {Rung.ATTENTION}
    assert "without labels it cannot be said" in finding.statement
    blind = table(measurements, ringed, unlabelled, predictions=calls, explanations=Trust.UNUSABLE)
    assert isinstance(only(said(detector().conclude(blind))), Skipped)


def test_rings_that_preprocessing_crops_away_cannot_be_looked_at(measurements: Make) -> None:
    ringed, labels = sample(100, (4, 60))
    data = table(measurements, ringed, labels, look=0.3)
    columns = {"dark_ring.area": np.zeros(200, np.float32)}
    cropped = dataclasses.replace(data, columns=lambda c: columns.get(c, data.columns(c)))
    finding = only(said(detector().conclude(cropped)))
    assert finding.rung is Rung.OPPORTUNITY
    assert "crops the ring away in every image" in finding.does_not_show


def test_conclusions_repeat(measurements: Make) -> None:
    ringed, labels = sample(100, (4, 60))
    data = table(measurements, ringed, labels, look=0.1)
    assert said(detector().conclude(data)) == said(detector().conclude(data))


def test_rows_without_a_map_are_left_out_of_the_comparison(measurements: Make) -> None:
    ringed, labels = sample(100, (4, 60))
    data = table(measurements, ringed, labels, look=0.3)
    share = data["dark_ring.share"].copy()
    positive = data["relevance.positive"].copy()
    share[150], positive[150] = np.nan, np.nan
    changed = {"dark_ring.share": share, "relevance.positive": positive}
    broken = dataclasses.replace(data, columns=lambda c: changed.get(c, data.columns(c)))
    finding = only(said(detector().conclude(broken)))
    assert np.isfinite(by_rung(finding, Rung.ATTENTION).estimate)
