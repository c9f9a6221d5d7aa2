"""Groups of patients and sources: gaps, associations, encoded columns, and groups too small."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats
from sklearn.linear_model import Ridge
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold

from melaudit.detectors.measures.encoding import encode
from melaudit.detectors.measures.subgroups import gaps, grouping
from melaudit.detectors.metadata import Metadata
from melaudit.findings import Finding, NotFound, Rung, Severity, Skipped, Trust
from melaudit.measurements import Measurements
from tests.said import said

MakeMeasurements = Callable[..., Measurements]

N = 400
LABELS = np.arange(N) % 2
SITES = np.where(np.arange(N) // 2 % 4 == 0, "clinic b", "clinic a").astype(np.object_)
"""A quarter of each class is of clinic b."""


def concepts(extra: NDArray[np.float64] | None = None, seed: int = 0) -> dict[str, Any]:
    """Return concepts (N, 12) that know the label, and what `extra` (N,) says."""
    values = np.random.default_rng(seed).normal(0, 1, (N, 12))
    values[:, 0] += 3 * LABELS
    if extra is not None:
        values[:, 5] += extra
    return {"relevance.concepts": values.astype(np.float32)}


def concluded(table: Measurements, **columns: Any) -> dict[str, Any]:
    found = said(Metadata().conclude(dataclasses.replace(table, metadata=columns)))
    named: dict[str, Any] = {}
    for result in found:
        name = next(n for n in ("id", "artifact", "detector") if hasattr(result, n))
        named[getattr(result, name)] = result
    return named


def wrong_where(rows: NDArray[np.bool_]) -> NDArray[np.int64]:
    return np.where(rows, 1 - LABELS, LABELS)


def test_a_clinic_on_which_melanomas_are_missed_is_found(measurements: MakeMeasurements) -> None:
    missed = (SITES == "clinic b") & (LABELS == 1) & (np.arange(N) % 3 > 0)
    table = measurements(concepts(), labels=LABELS, predictions=wrong_where(missed))
    found = concluded(table, source=SITES)["metadata.source"]
    assert isinstance(found, Finding)
    assert (found.severity, found.rung) == (Severity.LOW, Rung.OPPORTUNITY)
    assert found.statement.startswith("Sensitivity is")
    assert "'clinic b' (n = 50)" in found.statement
    assert {int(name[6:10]) for name in found.images} == set(np.flatnonzero(missed))


def test_a_gap_on_a_clinic_that_the_concepts_know_is_worse(measurements: MakeMeasurements) -> None:
    missed = (SITES == "clinic b") & (LABELS == 1) & (np.arange(N) % 3 > 0)
    known = 2.0 * (SITES == "clinic b")
    table = measurements(concepts(known), labels=LABELS, predictions=wrong_where(missed))
    found = concluded(table, source=SITES)["metadata.source"]
    assert (found.severity, found.rung) == (Severity.MEDIUM, Rung.ATTENTION)


def test_equal_groups_are_innocent(measurements: MakeMeasurements) -> None:
    wrong = np.random.default_rng(0).random(N) < 0.1
    table = measurements(concepts(), labels=LABELS, predictions=wrong_where(wrong))
    found = concluded(table, source=SITES)["metadata.source"]
    assert isinstance(found, NotFound)
    assert "a gap of" in found.statement


def test_concepts_that_know_a_column_which_costs_nothing_are_no_finding(
    measurements: MakeMeasurements,
) -> None:
    table = measurements(concepts(3.0 * (SITES == "clinic b")), labels=LABELS)
    assert isinstance(concluded(table, source=SITES)["metadata.source"], NotFound)


def test_a_source_that_goes_with_the_label_is_low_and_a_body_site_is_for_information(
    measurements: MakeMeasurements,
) -> None:
    goes_with = np.where((LABELS == 1) & (np.arange(N) % 4 < 2), "x", "y").astype(np.object_)
    table = measurements(concepts(), labels=LABELS)
    found = concluded(table, source=goes_with, site=goes_with)
    assert found["metadata.source"].severity is Severity.LOW
    assert found["metadata.site"].severity is Severity.INFO
    assert found["metadata.source"].classes == ("malignant",)


def test_small_groups_are_pooled_and_said_to_be_too_few(measurements: MakeMeasurements) -> None:
    sites = SITES.copy()
    sites[:15] = "rare one"
    sites[15:19] = "rare two"
    sites[19:25] = None
    missed = (sites == "clinic b") & (LABELS == 1)
    table = measurements(concepts(), labels=LABELS, predictions=wrong_where(missed))
    (shown,) = concluded(table, source=sites)["metadata.source"].tables
    assert [row[0] for row in shown.rows][:2] == ["clinic a", "clinic b"]
    assert shown.rows[2][1] == 19
    assert "too few" in shown.rows[2][2]


def test_one_group_alone_is_skipped_with_the_reason(measurements: MakeMeasurements) -> None:
    table = measurements(concepts(), labels=LABELS)
    found = concluded(table, sex=np.full(N, "male", np.object_))["metadata.sex"]
    assert isinstance(found, Skipped)
    assert "only one group" in found.reason


def test_without_columns_or_labels_it_is_skipped(measurements: MakeMeasurements) -> None:
    table = measurements(concepts(), labels=LABELS)
    assert isinstance(concluded(table, comment=SITES)["metadata"], Skipped)
    unknown = measurements(concepts(), labels=np.full(N, -1))
    assert isinstance(concluded(unknown, source=SITES)["metadata"], Skipped)


def test_unusable_maps_leave_the_gaps(measurements: MakeMeasurements) -> None:
    missed = (SITES == "clinic b") & (LABELS == 1)
    table = measurements(
        concepts(2.0 * (SITES == "clinic b")),
        labels=LABELS,
        predictions=wrong_where(missed),
        explanations=Trust.UNUSABLE,
    )
    found = concluded(table, source=SITES)["metadata.source"]
    assert all(e.rung is Rung.OPPORTUNITY for e in found.evidence)


def test_ages_are_cut_and_unknown_cells_are_left_out() -> None:
    cells = np.array([5.0, 30.0, 49.9, 50, 85, None, "", "unknown"] * 20, np.object_)
    groups = grouping("age", cells, np.ones(160, np.bool_))
    assert set(groups.names) == {"under 30", "30 to 49", "50 to 69", "70 and over", "unknown"}
    assert (groups.member == -2).sum() == 40


def test_a_gap_is_fishers_test_of_the_two_by_two_table() -> None:
    right = np.random.default_rng(1).random(N) < 0.8
    groups = grouping("source", SITES, np.ones(N, np.bool_))
    (_, own) = gaps(groups, right, [("accuracy", np.ones(N, np.bool_))], None, 0)
    inside = SITES == "clinic b"
    table = np.array([[(right & g).sum(), (~right & g).sum()] for g in (inside, ~inside)])
    assert own.difference.p_value == pytest.approx(stats.fisher_exact(table).pvalue)
    assert own.difference.value == pytest.approx(right[inside].mean() - right[~inside].mean())


def test_a_gap_carried_by_one_patient_is_not_clear_of_chance() -> None:
    patients = np.array([f"p{i // 10}" for i in range(N)], np.object_)
    inside = np.arange(N) < 100  # ten patients, two of whom the model always fails on
    right = ~(np.arange(N) < 20)
    groups = grouping("source", np.where(inside, "b", "a").astype(np.object_), np.ones(N, np.bool_))
    everyone = [("accuracy", np.ones(N, np.bool_))]
    by_image = gaps(groups, right, everyone, None, 0)[0].difference.p_value
    by_patient = gaps(groups, right, everyone, patients, 0)[0].difference.p_value
    assert by_image is not None
    assert by_patient is not None
    assert by_image < 1e-6
    assert by_patient > 0.01


def test_the_probe_is_a_cross_validated_ridge_regression() -> None:
    member = SITES == "clinic b"
    features = concepts(1.0 * member)["relevance.concepts"][LABELS == 0].astype(np.float64)
    truth = member[LABELS == 0]
    scores = np.zeros(len(truth))
    for train, test in StratifiedKFold(5, shuffle=True, random_state=0).split(features, truth):
        scaled = (features - features[train].mean(0)) / features[train].std(0)
        alpha = (scaled[train] ** 2).sum(1).mean()
        scores[test] = Ridge(alpha).fit(scaled[train], truth[train]).predict(scaled[test])
    found = encode(features, truth, np.zeros(len(truth), np.int64), None, 0)
    assert found is not None
    assert found.auc.value == pytest.approx(roc_auc_score(truth, scores), abs=1e-3)


def test_the_probe_does_not_take_the_label_for_the_group() -> None:
    member = np.where(LABELS == 1, np.arange(N) % 4 < 3, np.arange(N) % 4 == 0)
    found = encode(concepts()["relevance.concepts"], member, LABELS, None, 0)
    assert found is not None
    assert 0.35 < found.auc.value < 0.65
    assert found.auc.p_value is not None
    assert found.auc.p_value > 0.05


def test_knowing_patients_again_is_not_knowing_their_group() -> None:
    rng = np.random.default_rng(2)
    who = np.arange(N) // 20  # 20 patients, whose images look alike
    features = rng.normal(0, 1, (20, 30))[who] + rng.normal(0, 0.3, (N, 30))
    member = (rng.permutation(20) < 10)[who]
    labels = np.zeros(N, np.int64)
    alone = encode(features, member, labels, None, 0)
    grouped = encode(features, member, labels, who.astype(str).astype(np.object_), 0)
    assert alone is not None
    assert grouped is not None
    assert alone.auc.value > 0.95
    assert grouped.auc.p_value is not None
    assert grouped.auc.p_value > 0.05


def test_too_few_images_of_a_group_within_a_label_give_no_probe() -> None:
    member = np.arange(N) < 15
    assert encode(concepts()["relevance.concepts"], member, LABELS, None, 0) is None


def test_every_result_is_one_that_a_report_knows(measurements: MakeMeasurements) -> None:
    table = measurements(concepts(), labels=LABELS, predictions=wrong_where(np.arange(N) % 9 == 0))
    found = concluded(table, source=SITES, sex=SITES, age=np.arange(N) % 90 * 1.0)
    assert all(isinstance(result, Finding | NotFound | Skipped) for result in found.values())
    assert len(found) == 3
