"""Class sensitivity: maps of another class are other maps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from zennit.composites import GuidedBackprop

from melaudit.detectors.checks.class_sensitivity import ClassSensitivity, cosines, least_likely
from melaudit.detectors.interface import Result
from melaudit.findings import Check, CheckStatus, Skipped
from melaudit.measurements import Measurements
from melaudit.relevance import Explainer

Make = Callable[..., Measurements]
Examine = Callable[..., Sequence[Result]]


def small_net(classes: int = 2, seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    layers: list[nn.Module] = []
    for i, width in enumerate((3, 24, 24, 24, 24)):
        layers += [nn.Conv2d(width, 24, 3, padding=1, bias=False), nn.ReLU()]
        layers += [nn.MaxPool2d(2)] if i in (1, 3) else []
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(24, classes, bias=False)]
    return nn.Sequential(*layers, *head)


def conclude(measurements: Make, cosine: Any, opposed: Any, classes: int = 2) -> Result:
    columns = {
        "class_sensitivity.cosine": np.asarray(cosine, float),
        "class_sensitivity.opposed": np.asarray(opposed, float),
    }
    names = tuple("abcdef"[:classes])
    (result,) = ClassSensitivity().conclude(measurements(columns, classes=names))
    return result


@pytest.mark.parametrize(
    ("cosine", "status"), [(-0.99, "pass"), (-0.2, "pass"), (0.2, "degraded"), (0.98, "fail")]
)
def test_opposed_logits_need_opposed_maps(measurements: Make, cosine: float, status: str) -> None:
    check = conclude(measurements, [cosine, cosine - 0.001, cosine + 0.001], [1, 1, 1])
    assert isinstance(check, Check)
    assert check.status == status
    assert check.value == pytest.approx(cosine)


@pytest.mark.parametrize(
    ("cosine", "status"), [(0.995, "pass"), (0.9995, "degraded"), (0.99999, "fail")]
)
def test_logits_of_one_sign_only_need_maps_that_differ(
    measurements: Make, cosine: float, status: str
) -> None:
    check = conclude(measurements, [cosine, cosine, np.nan], [0, 0, np.nan], 6)
    assert isinstance(check, Check)
    assert check.status == status


def test_one_logit_and_no_sample_are_skipped(measurements: Make) -> None:
    columns = {
        "class_sensitivity.cosine": np.array([np.nan]),
        "class_sensitivity.opposed": np.array([np.nan]),
    }
    one_logit = measurements(columns, logits=np.ones((1, 1)))
    (result,) = ClassSensitivity().conclude(one_logit)
    assert isinstance(result, Skipped) and "one logit" in result.reason
    assert isinstance(conclude(measurements, [np.nan], [np.nan]), Skipped)


def test_the_cosine_of_maps_survives_any_scale() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 5, 4, 6))
    expected = [np.corrcoef(np.r_[u, -u], np.r_[v, -v])[0, 1] for u, v in zip(
        a.reshape(5, -1), b.reshape(5, -1), strict=True)]  # fmt: skip
    assert np.allclose(cosines(a, b), expected)
    assert np.allclose(cosines(1e-200 * a, 1e200 * b), expected)
    assert np.isnan(cosines(np.zeros((1, 2, 2)), np.ones((1, 2, 2)))).all()
    assert np.isnan(cosines(np.full((1, 2, 2), np.nan), np.ones((1, 2, 2)))).all()


def test_the_least_likely_class_is_never_the_target() -> None:
    logits = np.array([[0.1, -3.0, 2.0], [1.0, 1.0, 1.0], [-1.0, 0.0, 5.0]])
    assert least_likely(logits, np.array([2, 0, 0])).tolist() == [1, 1, 1]


@pytest.mark.parametrize("classes", [2, 5])
def test_sound_rules_are_innocent_and_guided_backpropagation_is_guilty(
    examine: Examine, classes: int
) -> None:
    x = torch.randn(8, 3, 20, 20, generator=torch.Generator().manual_seed(3))
    found = {}
    for composite in ("epsilon_plus_flat", GuidedBackprop()):
        with Explainer(small_net(classes), composite, engine="zennit") as explainer:
            (check,) = examine(ClassSensitivity(), explainer, x, "3")
            assert isinstance(check, Check)
            found[type(composite)] = check.status
    assert found == {str: CheckStatus.PASS, GuidedBackprop: CheckStatus.FAIL}


def test_on_a_trained_resnet50_sound_rules_pass_and_guided_backpropagation_fails(
    examine: Examine, rings: tuple[nn.Module, Tensor]
) -> None:
    model, x = rings
    statuses = []
    for composite in ("epsilon_plus_flat", GuidedBackprop()):
        with Explainer(model, composite, engine="zennit") as explainer:
            (check,) = examine(ClassSensitivity(), explainer, x[1:3])
            assert isinstance(check, Check)
            statuses.append(check.status)
    assert statuses == [CheckStatus.PASS, CheckStatus.FAIL]
