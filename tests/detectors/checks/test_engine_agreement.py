"""Engine agreement: two engines draw one picture, or the maps are marked down."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from melaudit.detectors.checks.engine_agreement import EngineAgreement
from melaudit.detectors.interface import Result
from melaudit.findings import Check, CheckStatus, Skipped
from melaudit.measurements import Measurements
from melaudit.relevance import Attribution, Explainer, explainer
from melaudit.relevance.dataflow.engine import DataflowEngine

Make = Callable[..., Measurements]
Examine = Callable[..., Sequence[Result]]


def small_net() -> nn.Sequential:
    torch.manual_seed(0)
    layers: list[nn.Module] = []
    for width in (3, 12, 12):
        layers += [nn.Conv2d(width, 12, 3, padding=1, bias=False), nn.ReLU()]
    return nn.Sequential(
        *layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(12, 2, bias=False)
    )


class Doubled(nn.Module):
    """Residual sums that zennit does not know of: each doubles relevance there."""

    def __init__(self) -> None:
        super().__init__()
        self.body = small_net()[:-3]
        self.more = nn.ModuleList(nn.Conv2d(12, 12, 3, padding=1, bias=False) for _ in range(6))
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.head = nn.Linear(12, 2, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x = self.body(x)
        for layer in self.more:
            x = x + layer(x).relu()
        return self.head(self.pool(x).flatten(1))  # type: ignore[no-any-return]


def images(n: int = 3) -> Tensor:
    return torch.rand(n, 3, 12, 12, generator=torch.Generator().manual_seed(2))


def conclude(
    measurements: Make,
    cosine: Any,
    ratio: Any = 0.5,
    other: Any = 0.5,
    applied: Any = 1,
    books: Any = 1,
) -> Result:
    cosine = np.asarray(cosine, float)
    columns = {
        f"engine_agreement.{name}": np.broadcast_to(np.asarray(values, float), cosine.shape)
        for name, values in (
            ("applied", applied),
            ("cosine", cosine),
            ("ratio", ratio),
            ("other_ratio", other),
            ("books", books),
        )
    }
    (result,) = EngineAgreement().conclude(measurements(columns))
    return result


@pytest.mark.parametrize(
    ("cosine", "status", "word"),
    [
        (0.9999, "pass", "the same maps"),
        (0.95, "degraded", "somewhat different"),
        (-0.3, "degraded", "much different"),
    ],
)
def test_the_median_decides_and_it_never_fails(
    measurements: Make, cosine: float, status: str, word: str
) -> None:
    check = conclude(measurements, [cosine, cosine - 1e-4, cosine + 1e-5])
    assert isinstance(check, Check)
    assert check.status == status
    assert word in check.statement
    assert check.value == pytest.approx(cosine)


def test_images_on_which_one_engine_does_not_conserve_do_not_count(measurements: Make) -> None:
    check = conclude(measurements, [1.0, 1.0, 0.1], other=[0.5, 0.495, 40.0])
    assert isinstance(check, Check) and check.status == CheckStatus.PASS
    assert "2 images" in check.statement
    skipped = conclude(measurements, [0.1, 0.1, 1.0], other=[40.0, 60.0, 0.5])
    assert isinstance(skipped, Skipped)
    assert "hold 0.5 and another's 40" in skipped.reason


def test_books_that_close_outweigh_an_engine_that_holds_another_amount(measurements: Make) -> None:
    with_books = conclude(measurements, [0.6, 0.7], other=[1.2, 0.3])
    assert isinstance(with_books, Skipped)
    without = conclude(measurements, [0.6, 0.7], other=[1.2, 0.3], books=0)
    assert isinstance(without, Check) and without.status == CheckStatus.DEGRADED


def test_no_other_engine_and_no_sample_are_skipped(measurements: Make) -> None:
    nothing = conclude(measurements, [np.nan], np.nan, np.nan, 0)
    unsampled = conclude(measurements, [np.nan], np.nan, np.nan, np.nan)
    assert isinstance(nothing, Skipped) and "no other engine" in nothing.reason
    assert isinstance(unsampled, Skipped) and "sampled" in unsampled.reason
    not_finite = conclude(measurements, [np.nan, np.nan], np.nan, np.inf)
    assert isinstance(not_finite, Skipped)


@pytest.mark.parametrize("engine", ["dataflow", "zennit"])
def test_sound_engines_are_innocent(examine: Examine, engine: str) -> None:
    with Explainer(small_net(), engine=engine) as e:
        (check,) = examine(EngineAgreement(), e, images(), "3")
    assert isinstance(check, Check)
    assert check.status == CheckStatus.PASS
    assert check.value is not None and check.value > 0.9999


@pytest.mark.parametrize("engine", ["dataflow", "zennit"])
def test_an_engine_that_draws_the_picture_upside_down_is_found(
    examine: Examine, monkeypatch: pytest.MonkeyPatch, engine: str
) -> None:
    attribute = DataflowEngine.attribute

    def flipped(self: DataflowEngine, *args: Any) -> Attribution:
        true = attribute(self, *args)
        return replace(true, maps=true.maps.flip(1))

    monkeypatch.setattr(DataflowEngine, "attribute", flipped)
    with Explainer(small_net(), engine=engine) as e:
        (check,) = examine(EngineAgreement(), e, images(), "3")
    assert isinstance(check, Check)
    assert check.status == CheckStatus.DEGRADED


def test_where_zennit_makes_relevance_up_there_is_nothing_to_compare(examine: Examine) -> None:
    with Explainer(Doubled(), engine="dataflow") as e:
        (result,) = examine(EngineAgreement(), e, images(), "body")
    assert isinstance(result, Skipped)
    assert "can be compared" in result.reason


class Averaging(nn.Module):
    """The small net with its average written as a call, not as a module."""

    def __init__(self, average: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.body, self.head, self.average = small_net()[:-3], small_net()[-1], average

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.average(self.body(x)).flatten(1))  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    "average",
    [
        lambda x: x.mean((2, 3)),
        lambda x: torch.mean(x, dim=(2, 3)),
        lambda x: nn.functional.adaptive_avg_pool2d(x, 1),
        lambda x: nn.functional.avg_pool2d(x, 12),
    ],
    ids=["mean", "torch.mean", "adaptive_avg_pool2d", "avg_pool2d"],
)
def test_an_average_that_zennit_cannot_follow_is_nothing_against_maps_of_dataflow(
    examine: Examine, average: Callable[[Tensor], Tensor]
) -> None:
    with Explainer(Averaging(average), engine="dataflow") as e:
        (own,) = examine(EngineAgreement(), e, images(), "body")
    with Explainer(Averaging(average), engine="zennit") as e:
        (zennit,) = examine(EngineAgreement(), e, images(), "body")
    assert isinstance(own, Skipped) and "x.mean((2, 3))" in own.reason
    assert isinstance(zennit, Check) and zennit.status == CheckStatus.DEGRADED


def test_without_another_engine_or_a_copy_it_is_skipped(
    examine: Examine, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Bound(nn.Sequential):
        def __deepcopy__(self, memo: object) -> nn.Module:
            raise TypeError("holds a file")

    with Explainer(Bound(*small_net())) as e:
        (uncopied,) = examine(EngineAgreement(), e, images(), "3")
    with Explainer(small_net(), engine="zennit") as e:
        monkeypatch.setattr(explainer, "other_engine", lambda engine: None)
        (alone,) = examine(EngineAgreement(), e, images(), "3")
    for result in (uncopied, alone):
        assert isinstance(result, Skipped) and "no other engine" in result.reason


def test_on_a_trained_resnet50_the_engines_agree(
    examine: Examine, rings: tuple[nn.Module, Tensor]
) -> None:
    model, x = rings
    with Explainer(model) as e:
        (check,) = examine(EngineAgreement(), e, x[1:2, :, ::2, ::2])
    assert isinstance(check, Check)
    assert check.status == CheckStatus.PASS
    assert check.value is not None and check.value > 0.9999
