"""Channel uniformity: every channel has a picture of its own, unless relevance leaks round."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from crp.attribution import CondAttribution
from torch import Tensor, nn
from zennit.layer import Sum

from melaudit.detectors.checks.channel_uniformity import ChannelUniformity, misfit, pairwise_cosines
from melaudit.detectors.interface import Result
from melaudit.errors import RelevanceError
from melaudit.findings import Check, CheckStatus, Skipped
from melaudit.measurements import Measurements
from melaudit.relevance import Explainer

Make = Callable[..., Measurements]
Examine = Callable[..., Sequence[Result]]


class Residual(nn.Module):
    """A block in which a weak branch is added to a strong skip."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.stem = nn.Conv2d(3, 16, 3, padding=1, bias=False)
        self.branch = nn.Conv2d(16, 16, 3, padding=1, bias=False)
        self.block = Sum()
        self.head = nn.Linear(16, 2, bias=False)
        with torch.no_grad():
            self.branch.weight *= 0.003

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x).relu()
        x = self.block(torch.stack([x, self.branch(x)], -1))
        return self.head(x.amax((2, 3)))  # type: ignore[no-any-return]


def leak(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let relevance go round the conditioned layer, as zennit-crp does when asked to."""
    generate = CondAttribution.generate

    def leaking(*args: object, **kwargs: object) -> object:
        return generate(*args, **{**kwargs, "exclude_parallel": False})

    monkeypatch.setattr(CondAttribution, "generate", leaking)


def images(n: int = 3) -> Tensor:
    return torch.rand(n, 3, 24, 24, generator=torch.Generator().manual_seed(0))


def test_pictures_at_a_layer_that_every_path_passes_are_innocent(examine: Examine) -> None:
    with Explainer(Residual(), "epsilon_plus", engine="zennit") as explainer:
        (check,) = examine(ChannelUniformity(), explainer, images(), "block")
    assert isinstance(check, Check)
    assert check.status == CheckStatus.PASS
    assert check.value is not None and check.value < 0.5


def test_pictures_that_leak_through_the_skip_are_guilty(
    examine: Examine, monkeypatch: pytest.MonkeyPatch
) -> None:
    leak(monkeypatch)
    with Explainer(Residual(), "epsilon_plus", engine="zennit") as explainer:
        (check,) = examine(ChannelUniformity(), explainer, images(), "branch")
    assert isinstance(check, Check)
    assert check.status == CheckStatus.FAIL
    assert check.value is not None and check.value > 4
    assert "CRP is broken" in check.statement


def conclude(measurements: Make, misfit: Any, least: Any, applied: Any = 1) -> Result:
    misfit = np.asarray(misfit, float)
    columns = {
        "channel_uniformity.applied": np.full(misfit.shape, applied, float),
        "channel_uniformity.filled": np.where(np.isnan(misfit), np.nan, 1.0),
        "channel_uniformity.misfit": misfit,
        "channel_uniformity.mean_cosine": np.full(misfit.shape, least, float),
        "channel_uniformity.min_cosine": np.full(misfit.shape, least, float),
    }
    (result,) = ChannelUniformity().conclude(measurements(columns))
    return result


@pytest.mark.parametrize(
    ("misfit", "least", "status"),
    [
        (0.3, 0.97, "pass"),
        (2.0, 0.97, "degraded"),
        (30.0, 0.97, "fail"),
        (0.3, 1.0, "degraded"),
        (2.0, 1.0, "fail"),
        (32.0, 1.0, "fail"),
        (np.nan, np.nan, "fail"),
    ],
)
def test_misfit_and_likeness_decide(
    measurements: Make, misfit: float, least: float, status: str
) -> None:
    check = conclude(measurements, [misfit] * 3, least)
    assert isinstance(check, Check)
    assert check.status == status


def test_one_odd_image_does_not_decide(measurements: Make) -> None:
    check = conclude(measurements, [0.2, 0.3, 700.0], 0.9)
    assert isinstance(check, Check) and check.status == CheckStatus.PASS


def test_a_layer_without_conditional_maps_is_skipped(measurements: Make, examine: Examine) -> None:
    result = conclude(measurements, [np.nan], np.nan, applied=0)
    assert isinstance(result, Skipped) and "layer4" in result.reason
    result = conclude(measurements, [np.nan], np.nan, applied=np.nan)
    assert isinstance(result, Skipped) and "sampled" in result.reason

    class Refusing(Explainer):
        def crp(self, *args: Any) -> Tensor:
            raise RelevanceError("no channels there")

    with Refusing(Residual(), "epsilon_plus", engine="zennit") as explainer:
        (result,) = examine(ChannelUniformity(), explainer, images(), "block")
    assert isinstance(result, Skipped)


def test_cosines_are_those_of_every_two_maps_with_a_length() -> None:
    rng = np.random.default_rng(0)
    maps = rng.normal(size=(4, 3, 5))
    maps[2] = 0
    a, b, c = (maps[i].ravel() for i in (0, 1, 3))
    expected = [abs(u @ v) / np.sqrt((u @ u) * (v @ v)) for u, v in ((a, b), (a, c), (b, c))]
    assert np.allclose(pairwise_cosines(maps), expected)


def test_misfit_is_zero_for_what_is_expected_and_counts_what_is_too_much() -> None:
    expected = np.array([0.02, -0.01, 0.01])
    assert misfit(expected, expected) == 0
    assert misfit(np.zeros(3), expected) == pytest.approx(1)
    assert misfit(np.full(3, -0.46), expected) > 30
    assert not np.isfinite(misfit(expected, np.zeros(3)))


def test_on_a_trained_resnet50_only_the_leak_is_guilty(
    examine: Examine, rings: tuple[nn.Module, Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    model, x = rings
    detector = ChannelUniformity(channels=3)
    with Explainer(model, engine="zennit") as explainer:
        (at_block,) = examine(detector, explainer, x[:1])
        (inside,) = examine(detector, explainer, x[:1], "layer4.2.conv3")
        leak(monkeypatch)
        (leaked,) = examine(detector, explainer, x[:1], "layer4.2.conv3")
    checks = [c for c in (at_block, inside, leaked) if isinstance(c, Check)]
    assert [c.status for c in checks] == [CheckStatus.PASS, CheckStatus.PASS, CheckStatus.FAIL]
    assert "same" in checks[2].statement and "layer4.2.conv3" in checks[2].statement


def test_maps_that_promise_no_sum_are_judged_by_their_likeness_alone(examine: Examine) -> None:
    with Explainer(Residual(), engine="gradient_x_input") as explainer:
        (differ,) = examine(ChannelUniformity(), explainer, images(), "block")
    assert isinstance(differ, Check) and differ.status is CheckStatus.PASS
    assert "promises no amounts" in differ.statement
    alike = Residual()
    with torch.no_grad():  # every channel is fed by the same kernel, so all pictures are one
        alike.stem.weight.copy_(alike.stem.weight[:1].abs().expand(16, -1, -1, -1))
        alike.branch.weight.zero_()
    with Explainer(alike, engine="gradient_x_input") as explainer:
        (same,) = examine(ChannelUniformity(), explainer, images(), "block")
    assert isinstance(same, Check) and same.status is CheckStatus.DEGRADED


def test_occlusion_has_no_conditional_maps_so_the_check_is_skipped(examine: Examine) -> None:
    with Explainer(Residual(), engine="occlusion") as explainer:
        (result,) = examine(ChannelUniformity(), explainer, images(1), "block")
    assert isinstance(result, Skipped) and "no conditional maps" in result.reason
