"""Conservation: guilty maps make up relevance or lose it, innocent ones leave some to biases."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torchvision.models import ResNet
from torchvision.models.resnet import BasicBlock

from melaudit.detectors.checks.conservation import Conservation
from melaudit.detectors.checks.grading import amount, bound
from melaudit.detectors.interface import Result
from melaudit.findings import Check, CheckStatus, Skipped
from melaudit.measurements import Measurements
from melaudit.relevance import Explainer

Make = Callable[..., Measurements]
Examine = Callable[..., Sequence[Result]]


def columns(
    total: Any, start: Any, absorbed: Any = np.nan, unknown: int = 0, promised: bool = True
) -> dict[str, NDArray[Any]]:
    start = np.asarray(start, float)
    return {
        "conservation.sum": np.broadcast_to(np.asarray(total, float), start.shape),
        "conservation.start": start,
        "conservation.absorbed": np.broadcast_to(np.asarray(absorbed, float), start.shape),
        "conservation.unknown": np.full(start.shape, unknown),
        "conservation.promised": np.full(start.shape, promised),
    }


def conclude(measurements: Make, **kwargs: Any) -> Check:
    (check,) = Conservation().conclude(measurements(columns(**kwargs)))
    assert isinstance(check, Check)
    return check


@pytest.mark.parametrize(
    ("ratio", "status"),
    [
        (0.36, "pass"),
        (1.0, "pass"),
        (-0.5, "pass"),
        (2.5, "degraded"),
        (0.05, "degraded"),
        (6200.0, "fail"),
        (3e-7, "fail"),
        (-40.0, "fail"),
    ],
)
def test_without_books_the_ratio_decides(measurements: Make, ratio: float, status: str) -> None:
    start = np.array([1.0, -2.0, 0.5, 3.0])
    check = conclude(measurements, total=ratio * start, start=start)
    assert check.status == status
    assert check.value == pytest.approx(abs(ratio))


def test_the_statement_says_how_much_a_unit_of_evidence_became(measurements: Make) -> None:
    check = conclude(measurements, total=[6183.0] * 3, start=[1.0] * 3)
    assert "for each unit of evidence the map holds 6,200" in check.statement
    assert "made up" in check.statement
    assert "lost" in conclude(measurements, total=[1e-5] * 3, start=[1.0] * 3).statement


def test_with_books_they_must_close(measurements: Make) -> None:
    start = np.array([1.0, 2.0, -4.0])
    closed = conclude(measurements, total=0.4 * start, start=start, absorbed=0.6 * start)
    loose = conclude(measurements, total=0.4 * start, start=start, absorbed=0.605 * start)
    open_ = conclude(measurements, total=0.4 * start, start=start, absorbed=0.1 * start)
    assert [c.status for c in (closed, loose, open_)] == ["pass", "degraded", "fail"]
    assert open_.value == pytest.approx(0.5)


def test_closed_books_do_not_hide_that_a_map_shows_next_to_nothing(measurements: Make) -> None:
    start = np.ones(3)
    faint = conclude(measurements, total=1e-6 * start, start=start, absorbed=(1 - 1e-6) * start)
    huge = conclude(measurements, total=1e3 * start, start=start, absorbed=-999 * start)
    assert faint.status == huge.status == CheckStatus.DEGRADED


def test_an_operation_without_a_rule_degrades(measurements: Make) -> None:
    check = conclude(measurements, total=[1.0, 1.0], start=[1.0, 1.0], unknown=2)
    assert check.status == CheckStatus.DEGRADED
    assert "2 operations of the model had no rule" in check.statement


def test_images_with_next_to_no_evidence_are_left_out_and_counted(measurements: Make) -> None:
    start = np.array([1.0, 1.2, 0.9, 1e-4, 0.0])
    total = np.array([0.5, 0.6, 0.45, 30.0, 30.0])
    check = conclude(measurements, total=total, start=start)
    assert check.status == CheckStatus.PASS
    assert check.value == pytest.approx(0.5)
    assert "Median of 3 images; 2 with next to no evidence left out" in check.statement


def test_maps_that_are_not_finite_fail_beyond_a_small_share(measurements: Make) -> None:
    start = np.ones(200)
    total = np.ones(200)
    total[0] = np.nan
    assert conclude(measurements, total=total, start=start).status == CheckStatus.PASS
    total[:20] = np.inf
    check = conclude(measurements, total=total, start=start)
    assert check.status == CheckStatus.FAIL
    assert "20 of 200 maps" in check.statement


def test_without_any_logit_there_is_nothing_to_say(measurements: Make) -> None:
    (result,) = Conservation().conclude(measurements(columns(total=[0.0], start=[0.0])))
    assert isinstance(result, Skipped)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (6183.0, "6,200"),
        (0.3557, "0.36"),
        (3e-7, "0.0000003"),
        (1.0, "1"),
        (0.0, "0"),
        (12.0, "12"),
        (math.inf, "inf"),
    ],
)
def test_amounts_are_written_for_reading(value: float, text: str) -> None:
    assert amount(value) == text


def test_errors_below_the_noise_of_adding_up_are_all_said_alike() -> None:
    assert {bound(error) for error in (0.0, 6e-8, 7.7e-7)} == {"0.00001"}
    assert bound(0.0023) == "0.0023"
    assert bound(math.inf) == "inf"
    assert bound(math.nan) == "nan"


def small_resnet() -> ResNet:
    """A ResNet of four blocks whose BatchNorms hold statistics of its own activations."""
    torch.manual_seed(0)
    model = ResNet(BasicBlock, [1, 1, 1, 1], num_classes=2)
    with torch.no_grad():
        for _ in range(20):
            model(torch.randn(8, 3, 64, 64))
    return model.eval()


class Doubled(nn.Module):
    """Blocks whose residual sums nobody told zennit of: each doubles relevance."""

    def __init__(self, blocks: int) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1, bias=False)
        self.body = nn.ModuleList(nn.Conv2d(8, 8, 3, padding=1, bias=False) for _ in range(blocks))
        self.head = nn.Linear(8, 2, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x).relu()
        for layer in self.body:
            x = x + layer(x).relu()
        return self.head(x.mean((2, 3)))  # type: ignore[no-any-return]


def test_residual_sums_without_a_canonizer_are_found_guilty(examine: Examine) -> None:
    torch.manual_seed(1)
    with Explainer(Doubled(8), "epsilon_plus", engine="zennit", canonizer="none") as explainer:
        (check,) = examine(Conservation(), explainer, torch.randn(6, 3, 16, 16), "stem")
    assert isinstance(check, Check)
    assert check.status == CheckStatus.FAIL and check.value is not None
    # One doubling per block would be 256; the mean over space, which has no rule, changes it.
    assert check.value > 30


def test_a_canonized_resnet_is_innocent(examine: Examine) -> None:
    x = torch.randn(4, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with Explainer(small_resnet(), engine="zennit") as explainer:
        (check,) = examine(Conservation(), explainer, x)
    assert isinstance(check, Check)
    assert check.status == CheckStatus.PASS


def test_on_a_trained_resnet50_the_canonizer_makes_the_difference(
    examine: Examine, rings: tuple[nn.Module, Tensor]
) -> None:
    model, x = rings
    found = []
    for canonizer in ("auto", "none"):
        with Explainer(model, engine="zennit", canonizer=canonizer) as explainer:
            (check,) = examine(Conservation(), explainer, x)
            assert isinstance(check, Check)
            found.append(check)
    assert [c.status for c in found] == [CheckStatus.PASS, CheckStatus.FAIL]
    assert found[1].value is not None and found[1].value > 1000


def test_maps_that_promise_no_sum_neither_pass_nor_fail_whatever_they_hold(
    measurements: Make, examine: Examine
) -> None:
    for total in (1.0, 500.0, 1e-9, -3.0):
        check = conclude(measurements, total=[total] * 3, start=[1.0] * 3, promised=False)
        assert check.status is CheckStatus.DEGRADED and check.value is None
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(256, 2))
    for engine in ("gradient_x_input", "occlusion"):
        with Explainer(model, engine=engine) as explainer:
            (found,) = examine(Conservation(), explainer, torch.randn(3, 3, 10, 10), "0")
        assert isinstance(found, Check) and found.status is CheckStatus.DEGRADED


def test_maps_that_promise_no_sum_must_be_finite_all_the_same(measurements: Make) -> None:
    total = [np.nan, 1.0]
    check = conclude(measurements, total=total, start=[1.0] * 2, promised=False)
    assert check.status is CheckStatus.FAIL
