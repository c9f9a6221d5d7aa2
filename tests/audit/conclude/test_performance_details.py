"""Calibration, curves, confusions, images and groups are what a person counts by hand."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score

from melaudit.audit.conclude import performance_details
from melaudit.audit.conclude.performance import performance
from melaudit.audit.conclude.performance_details import (
    MAX_CURVES,
    MIN_CALIBRATION,
    detailed,
)
from melaudit.findings import Performance, Trust
from melaudit.measurements import Measurements
from melaudit.statistics.estimates import proportion


def table(n: int = 120, classes: int = 2, seed: int = 0, skill: float = 2.0) -> Measurements:
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % classes
    logits = rng.normal(size=(n, classes)).astype(np.float32)
    logits[np.arange(n), labels] += skill
    return Measurements(
        ids=tuple(f"{k}.jpg" for k in range(n)),
        labels=labels,
        predictions=logits.argmax(1),
        targets=logits.argmax(1),
        logits=logits,
        classes=tuple(f"c{k}" for k in range(classes)),
        positive=None,
        columns=lambda name: np.zeros(0),
        layer="",
        explanations=Trust.TRUSTED,
        seed=0,
    )


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    e = np.exp(logits.astype(np.float64))
    return np.asarray(e / e.sum(1, keepdims=True))


def details(t: Measurements) -> Performance:
    p = softmax(t.logits).astype(np.float32)
    return detailed(performance(t.labels, t.predictions, p, t.classes, None), t)


def test_figures_agree_with_scikit_learn_and_counting() -> None:
    t = table()
    p = softmax(t.logits)[:, 1]
    got = details(t)

    assert got.calibration is not None
    assert got.calibration.target == "c1"
    assert got.calibration.brier.value == pytest.approx(brier_score_loss(t.labels, p))
    assert got.calibration.brier_constant == pytest.approx(0.25)
    assert sum(b.n for b in got.calibration.bins) == 120
    (one,) = got.discrimination
    assert one.auc.value == pytest.approx(roc_auc_score(t.labels, p))
    assert one.average_precision.value == pytest.approx(average_precision_score(t.labels, p))
    hits = int(((t.predictions == 1) & (t.labels == 1)).sum())
    assert one.operating.sensitivity.value == pytest.approx(hits / 60)
    assert one.operating.sensitivity.low == pytest.approx(proportion(hits, 60).low)
    assert one.operating.precision is not None
    assert one.operating.precision.value == pytest.approx(hits / (t.predictions == 1).sum())
    assert one.operating.threshold == 0.5
    assert (got.resampled, got.confused) == ("images", ())


def test_the_operating_point_lies_on_the_curve_where_the_threshold_is() -> None:
    t = table()
    # A threshold of .3: the logits are shifted by the log-odds of it, which decides.
    shift = (0.0, float(np.log(0.3 / 0.7)))
    moved = (t.logits - np.array(shift)).astype(np.float32)
    (one,) = details(
        replace(t, logits=moved, predictions=moved.argmax(1), shift=shift)
    ).discrimination

    assert one.operating.threshold == pytest.approx(0.3)
    at = min((c for c in one.curve if c.threshold >= 0.3), key=lambda c: c.threshold)
    assert at.sensitivity == pytest.approx(one.operating.sensitivity.value)
    assert at.false_positive_rate == pytest.approx(1 - one.operating.specificity.value)


def test_the_first_class_as_the_positive_one_has_the_other_side_of_the_threshold() -> None:
    t = replace(table(), positive=0, shift=(0.0, float(np.log(0.3 / 0.7))))
    (one,) = details(t).discrimination
    assert (one.target, one.n, one.n_others) == ("c0", 60, 60)
    assert one.operating.threshold == pytest.approx(0.7)


def test_the_surest_mistakes_come_first() -> None:
    t = table(skill=0.7)
    got = details(t)
    sure = softmax(t.logits).max(1)
    wrong = sorted(np.flatnonzero(t.predictions != t.labels), key=lambda k: -sure[k])[:5]
    right = sorted(np.flatnonzero(t.predictions == t.labels), key=lambda k: sure[k])[:5]
    assert [e.image for e in got.surest_mistakes] == [t.ids[k] for k in wrong]
    assert [e.image for e in got.unsure_right] == [t.ids[k] for k in right]
    assert got.surest_mistakes[0].probability == pytest.approx(sure[wrong[0]])
    assert got.surest_mistakes[0].label != got.surest_mistakes[0].predicted


def test_many_classes_are_held_against_the_rest_within_bounds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(performance_details, "MAX_CLASSES", 6)
    t = table(n=240, classes=8, skill=1.5)
    got = details(t)
    assert got.calibration is not None and got.calibration.target is None
    assert len(got.discrimination) == 6
    drawn = [d for d in got.discrimination if d.curve]
    assert len(drawn) == MAX_CURVES
    assert max(d.auc.value for d in drawn) <= min(
        d.auc.value for d in got.discrimination if not d.curve
    )
    assert all(d.operating.threshold is None for d in got.discrimination)
    wrong = t.predictions != t.labels
    counts = np.zeros((8, 8), int)
    for label, predicted in zip(t.labels[wrong], t.predictions[wrong], strict=True):
        counts[label, predicted] += 1
    assert [pair.n for pair in got.confused] == sorted(counts.ravel(), reverse=True)[:10]
    first = got.confused[0]
    assert counts[int(first.label[1:]), int(first.predicted[1:])] == first.n
    p = softmax(t.logits)
    assert got.calibration.brier.value == pytest.approx(
        np.mean([sum((p[i, k] - (t.labels[i] == k)) ** 2 for k in range(8)) for i in range(240)])
    )


def test_images_of_one_patient_are_drawn_together() -> None:
    t = table(n=240)
    pairs = np.array([f"patient {k // 8}" for k in range(240)], np.object_)
    alone, together = details(t), details(replace(t, groups=pairs))
    assert together.resampled == "patients"
    one, other = alone.discrimination[0], together.discrimination[0]
    assert other.auc.value == pytest.approx(one.auc.value)
    assert other.auc.low != pytest.approx(one.auc.low, abs=1e-4)
    assert other.operating.sensitivity.low != pytest.approx(one.operating.sensitivity.low)


def test_groups_are_compared_label_by_label_where_they_are_large_enough() -> None:
    t = table(n=160)
    site = np.array(
        [["arm", "leg", "head"][(k // 2) % 3] if k < 150 else "ear" for k in range(160)]
    )
    right = t.labels == t.predictions
    got = details(replace(t, metadata={"site": site.astype(object)}))
    ours = [r for r in got.ranges if r.label == "c1"]
    rates = {s: right[(site == s) & (t.labels == 1)].mean() for s in ("arm", "leg", "head")}
    (found,) = ours
    assert found.best is not None and found.worst is not None
    assert (found.best.right, found.worst.right) == (max(rates.values()), min(rates.values()))
    assert rates[found.best.group] == found.best.right
    assert (found.compared, found.too_few) == (3, 1)


def test_few_images_give_no_curve_and_say_so_by_none() -> None:
    few = details(table(n=18))
    assert (few.calibration, few.discrimination, few.resampled) == (None, (), "images")
    assert details(table(n=MIN_CALIBRATION)).calibration is not None


def test_probabilities_that_are_no_numbers_are_left_out() -> None:
    t = table()
    logits = t.logits.copy()
    logits[3] = np.nan
    got = details(replace(t, logits=logits))
    assert (got.calibration, got.discrimination, got.surest_mistakes) == (None, (), ())


def test_without_labels_nothing_is_added() -> None:
    t = table()
    bare = replace(t, labels=np.full(120, -1))
    assert details(bare).resampled == ""
