"""Groups whose decisions run through the channels that mark them, and groups whose do not."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import pytest
import torch

from melaudit.audit.conclude.conclusions import Said
from melaudit.audit.edits.laboratory import Laboratory
from melaudit.audit.groups.cluster_findings import carry, cluster_claims, looks
from melaudit.audit.groups.suppression import MAX_TRIED, MIN_TRIED, design, placebo, suppress
from melaudit.findings import Cluster, Finding, NotFound, Rung, Severity, Suppression, Trust
from melaudit.measurements import GRID, Array, Measurements
from tests.said import said

CHANNELS = 64
MARKS = [3, 7, 11, 15]


class Linear:
    """A laboratory whose model adds up what its channels give: class 1 against class 0."""

    def __init__(self, activations: Array, weights: Array) -> None:
        self.activations, self.weights = activations, weights

    def logits(self, rows: Array) -> Array:
        return self._out(self.activations[rows])

    def mean_map(self, rows: Array) -> torch.Tensor:
        return torch.from_numpy(self.activations[rows].mean(0))

    def suppressed(self, rows: Array, sets: Sequence[Sequence[int]], values: torch.Tensor) -> Array:
        said = []
        for channels in sets:
            given = self.activations[rows].copy()
            given[:, list(channels)] = values.numpy()[list(channels)]
            said.append(self._out(given))
        return np.stack(said)

    def _out(self, given: Array) -> Array:
        score = given @ self.weights
        return np.stack([np.zeros_like(score), score], 1).astype(np.float32)


def made(by_marks: bool, n: int = 200, group: int = 60) -> tuple[Measurements, Laboratory, Array]:
    """Make a class called malignant; the first `group` images have marks of their own.

    With `by_marks` these carry their decision; else they are there and mean nothing.
    """
    rng = np.random.default_rng(0)
    activations = np.abs(rng.normal(1, 0.2, (n, CHANNELS)))
    weights = np.full(CHANNELS, 0.05)
    weights[MARKS] = 0.5 if by_marks else 1e-6
    activations[:, MARKS] = 0.1
    activations[:group, MARKS] += np.abs(rng.normal(1, 0.1, (group, 4)))
    if by_marks:  # as sure as the rest, by other channels less
        activations[:group, 20:] *= 0.2
    relevance = activations * np.where(weights > 1e-3, weights, 0.05)
    relevance /= relevance.sum(1, keepdims=True)
    laboratory = Linear(activations, weights)
    y, x = np.mgrid[:GRID, :GRID] / (GRID - 1) - 0.5
    far = (np.hypot(x, y) > 0.42).astype(float)
    near = (np.hypot(x, y) < 0.2).astype(float)
    inside = np.arange(n) < group
    maps = np.where(inside[:, None, None], far, near) + 0.2 * rng.random((n, GRID, GRID))
    columns: dict[str, Array] = {
        "relevance.positive": (maps / maps.sum((1, 2), keepdims=True)).astype(np.float32),
        "relevance.negative": np.zeros((n, GRID, GRID), np.float32),
        "relevance.concepts": relevance.astype(np.float32),
    }
    ones = np.ones(n, np.int64)
    table = Measurements(
        tuple(f"{i}.jpg" for i in range(n)), ones, ones, ones,
        laboratory.logits(np.arange(n)), ("benign", "malignant"), 1, columns.__getitem__,
        "layer4", Trust.TRUSTED, 0,
    )  # fmt: skip
    return table, cast(Laboratory, laboratory), np.flatnonzero(inside)


def cluster(rows: Array, suppression: Suppression | None, **more: Any) -> Cluster:
    return Cluster(
        "malignant-1", "malignant", len(rows), 0.5, {}, (), tuple(f"{r}.jpg" for r in rows),
        {"malignant": len(rows)}, 0.0, 0.3, {"dark_ring": 0.9}, tuple(MARKS),
        odds_ratios={"dark_ring": 20.0}, suppression=suppression, **more,
    )  # fmt: skip


def claims(table: Measurements, rows: Array, found: Cluster) -> list[Said]:
    return said(cluster_claims(looks([found], {found.id: rows}, table), table))


def test_marks_that_carry_the_decision_take_it_along() -> None:
    table, laboratory, rows = made(by_marks=True)
    seen = suppress(rows, 1, table, laboratory)
    assert seen is not None and carry(seen)
    assert (seen.n, seen.channels) == (MAX_TRIED, CHANNELS // 16)
    # By hand: four marks at .5 each hold 4 * .5 * 1.0 more than on the rest of the class.
    sure = cast(Linear, laboratory).logits(rows)[:, 1].mean()
    assert seen.lost == pytest.approx(2.0 / sure, rel=0.1)
    assert abs(seen.lost_others) < 0.02 and abs(seen.lost_placebo) < 0.25 * seen.lost
    (finding,) = claims(table, rows, cluster(rows, seen))
    assert isinstance(finding, Finding)
    # No edit of a picture showed it: where to look, and no more.
    assert (finding.rung, finding.severity) == (Rung.ATTENTION, Severity.LOW)
    assert [e.reached for e in finding.evidence] == [True, True]
    assert "of the decision's log-odds" in finding.statement
    assert finding.id == "clusters.malignant"
    assert "90 % show a dark ring" in finding.statement
    assert "a dark ring first" in finding.remedy


def test_marks_that_mean_nothing_are_looked_at_and_carry_nothing() -> None:
    table, laboratory, rows = made(by_marks=False)
    seen = suppress(rows, 1, table, laboratory)
    assert seen is not None and not carry(seen)
    (finding,) = claims(table, rows, cluster(rows, seen))
    assert isinstance(finding, Finding)
    assert (finding.rung, finding.severity) == (Rung.ATTENTION, Severity.LOW)
    assert [e.reached for e in finding.evidence] == [True, False]


@pytest.mark.parametrize(("outside", "used"), [(0.5, False), (0.51, False), (0.6, True)])
def test_most_of_the_relevance_must_lie_out_there_clear_of_chance(
    outside: float, used: bool
) -> None:
    table, laboratory, rows = made(by_marks=True)
    seen = suppress(rows, 1, table, laboratory)
    rng = np.random.default_rng(0)
    shares = np.full(len(table.ids), 0.3)
    noise = rng.normal(0, 0.1, len(rows))
    shares[rows] = outside + noise - noise.mean()
    y, x = np.mgrid[:GRID, :GRID] / (GRID - 1) - 0.5
    far = np.maximum(np.abs(x), np.abs(y)) > 0.45
    maps = shares[:, None, None] * far / far.sum()
    centre = (np.hypot(x, y) < 0.1).astype(float)
    maps = maps + (1 - shares)[:, None, None] * centre / centre.sum()
    columns = {name: table[name] for name in ("relevance.negative", "relevance.concepts")}
    columns["relevance.positive"] = maps.astype(np.float32)
    table = dataclasses.replace(table, columns=columns.__getitem__)
    (finding,) = claims(table, rows, cluster(rows, seen))
    assert isinstance(finding, Finding)
    assert finding.evidence[1].reached == used
    assert finding.rung is Rung.ATTENTION
    assert f"{100 * outside:.0f} % of the relevance" in finding.statement


@pytest.mark.parametrize(
    ("change", "carries"),
    [
        ({}, True),
        ({"lost": 0.09}, False),
        ({"lost_others": 0.3}, False),
        ({"lost_placebo": 0.3}, False),
        ({"beyond_low": -0.1}, False),
    ],
)
def test_channels_carry_a_group_only_if_much_more_goes_than_elsewhere_and_by_chance(
    change: dict[str, float], carries: bool
) -> None:
    clear = Suppression(8, 24, 0.5, 0.1, 0.1, 0.3, 0.2, 0.4, 0.001, 3, 0, 0.0)
    assert carry(dataclasses.replace(clear, **change)) is carries  # type: ignore[arg-type]


def test_marks_whose_effect_may_be_chance_carry_nothing() -> None:
    table, laboratory, rows = made(by_marks=True)
    seen = suppress(rows, 1, table, laboratory)
    assert seen is not None
    chance = dataclasses.replace(seen, p_value=0.2)
    (finding,) = claims(table, rows, cluster(rows, chance))
    assert isinstance(finding, Finding)
    assert [e.reached for e in finding.evidence] == [True, False]


def test_a_group_that_looks_where_its_class_does_is_no_finding() -> None:
    table, _, _ = made(by_marks=True)
    rng = np.random.default_rng(1)
    mixed = np.sort(rng.permutation(200)[:60])
    (missed,) = claims(table, mixed, cluster(mixed, None))
    assert isinstance(missed, NotFound)


def test_without_a_trial_no_more_than_attention_is_claimed() -> None:
    table, _, rows = made(by_marks=True)
    (finding,) = claims(table, rows, cluster(rows, None))
    assert isinstance(finding, Finding)
    assert (finding.rung, finding.severity) == (Rung.ATTENTION, Severity.LOW)


def test_the_others_are_as_sure_and_nobody_is_both_tried_and_learned_from() -> None:
    table, _, rows = made(by_marks=True)
    plan = design(rows, 1, table)
    assert plan is not None
    every = np.concatenate([plan.tried, plan.learned, plan.others, plan.usual])
    assert len(np.unique(every)) == len(every) == 200
    margin = table.logits[:, 1]
    free = np.setdiff1d(np.arange(200), rows)
    gap = abs(margin[plan.others].mean() - margin[plan.tried].mean())
    assert gap <= abs(margin[free].mean() - margin[plan.tried].mean())


def test_a_patient_is_either_tried_or_learned_from() -> None:
    table, _, rows = made(by_marks=True)
    patients = np.array([f"p{i // 5}" for i in range(200)], np.object_)
    plan = design(rows, 1, dataclasses.replace(table, groups=patients))
    assert plan is not None
    assert not set(patients[plan.tried]) & set(patients[plan.learned])


def test_a_group_too_small_for_both_is_not_tried() -> None:
    table, laboratory, rows = made(by_marks=True)
    assert suppress(rows[: 2 * MIN_TRIED - 2], 1, table, laboratory) is None
    assert suppress(np.arange(195), 1, table, laboratory) is None, "no rest to hold it against"


def test_placebos_are_other_channels_about_as_strong() -> None:
    strength = np.linspace(0, 1, 100)
    drawn = placebo([10, 50, 90], strength, np.random.default_rng(0))
    assert len(set(drawn)) == 3 and not set(drawn) & {10, 50, 90}
    assert np.abs(strength[drawn] - strength[[10, 50, 90]]).max() <= 0.12
