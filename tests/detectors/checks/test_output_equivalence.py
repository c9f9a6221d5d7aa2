"""Output equivalence: the explained model must be the model, to rounding."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from melaudit.detectors.checks.output_equivalence import (
    OutputEquivalence,
    largest_difference,
    relative,
)
from melaudit.detectors.interface import Result
from melaudit.errors import RelevanceError
from melaudit.findings import Check, CheckStatus, Skipped
from melaudit.measurements import Measurements
from melaudit.relevance import Explainer

Make = Callable[..., Measurements]
Examine = Callable[..., Sequence[Result]]


def small_net() -> nn.Sequential:
    """A convolution and a BatchNorm with statistics of its own, which zennit merges."""
    torch.manual_seed(0)
    norm = nn.BatchNorm2d(8)
    conv = nn.Conv2d(3, 8, 3, padding=1)
    head = [nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3)]
    model = nn.Sequential(conv, norm, *head)
    for _ in range(20):
        model(torch.randn(16, 3, 12, 12))
    return model.eval()


def images(n: int = 5) -> Tensor:
    return torch.randn(n, 3, 12, 12, generator=torch.Generator().manual_seed(1))


def conclude(measurements: Make, difference: Any, scale: Any) -> Result:
    columns = {
        "output_equivalence.difference": np.asarray(difference, float),
        "output_equivalence.scale": np.asarray(scale, float),
    }
    (result,) = OutputEquivalence().conclude(measurements(columns))
    return result


@pytest.mark.parametrize(
    ("off", "status"), [(0.0, "pass"), (9e-4, "pass"), (2e-3, "degraded"), (0.03, "fail")]
)
def test_the_worst_image_decides(measurements: Make, off: float, status: str) -> None:
    check = conclude(measurements, [1e-6, 4 * off, np.nan], [4.0, 4.0, np.nan])
    assert isinstance(check, Check)
    assert check.status == status
    assert check.value == pytest.approx(max(off, 2.5e-7))


def test_nothing_compared_is_skipped_and_no_number_fails(measurements: Make) -> None:
    assert isinstance(conclude(measurements, [np.nan], [np.nan]), Skipped)
    check = conclude(measurements, [np.inf, 0.0], [1.0, 1.0])
    assert isinstance(check, Check) and check.status == CheckStatus.FAIL
    assert "not finite" in check.statement


def test_differences_count_what_is_no_number_on_one_side_only() -> None:
    a = np.array([[1.0, 2.0], [np.nan, 1.0], [np.inf, 1.0], [np.nan, 1.0]])
    b = np.array([[1.5, 2.0], [np.nan, 1.0], [np.inf, 3.0], [0.0, 1.0]])
    assert largest_difference(a, b).tolist() == [0.5, 0.0, 2.0, np.inf]


def test_an_image_with_next_to_no_logit_is_measured_by_the_others() -> None:
    off = relative(np.array([1e-6, 1e-6, 0.0]), np.array([2.0, 1e-9, 2.0]), 0.1)
    assert off == pytest.approx([5e-7, 5e-6, 0.0])


@pytest.mark.parametrize("engine", ["dataflow", "zennit"])
def test_both_engines_are_innocent(examine: Examine, engine: str) -> None:
    with Explainer(small_net(), engine=engine) as explainer:
        (check,) = examine(OutputEquivalence(), explainer, images(), "0")
    assert isinstance(check, Check) and check.status == CheckStatus.PASS
    assert check.value is not None and check.value < 1e-5


@pytest.mark.parametrize(("change", "status"), [(1.003, "degraded"), (1.04, "fail")])
def test_an_engine_that_changes_weights_is_guilty(
    examine: Examine, monkeypatch: pytest.MonkeyPatch, change: float, status: str
) -> None:
    model = small_net()
    head = model[-1]
    assert isinstance(head, nn.Linear)
    with Explainer(model, engine="dataflow") as explainer:
        enter = type(explainer._engine).__enter__

        def tampering(engine: Any) -> Any:
            enter(engine)
            head.weight = nn.Parameter(head.weight.detach() * change, requires_grad=False)
            head.bias = nn.Parameter(head.bias.detach() * change, requires_grad=False)
            return engine

        monkeypatch.setattr(type(explainer._engine), "__enter__", tampering)
        (check,) = examine(OutputEquivalence(), explainer, images(), "0")
    assert isinstance(check, Check)
    assert check.status == status
    assert check.value == pytest.approx(change - 1, rel=0.01)


class Restless(nn.Module):
    """A model whose dropout somebody forgot to switch off."""

    def __init__(self) -> None:
        super().__init__()
        self.body = small_net()

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.body(x)
        return logits * (1 + 0.04 * torch.rand(len(x), 1))


def test_a_model_that_answers_differently_every_time_is_found(examine: Examine) -> None:
    torch.manual_seed(5)
    with Explainer(Restless(), engine="dataflow") as explainer:
        (check,) = examine(OutputEquivalence(), explainer, images(), "body.0")
    assert isinstance(check, Check)
    assert check.status != CheckStatus.PASS
    assert "differently every time" in check.statement


def test_a_model_that_fails_without_the_engine_is_skipped(
    examine: Examine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(x: Tensor) -> Tensor:
        raise RelevanceError("no")

    with Explainer(small_net()) as explainer:
        monkeypatch.setattr(explainer, "logits", failing)
        (result,) = examine(OutputEquivalence(), explainer, images(), "0")
    assert isinstance(result, Skipped)


def test_asking_for_the_bare_logits_leaves_the_model_and_the_explainer_as_they_were() -> None:
    model, x = small_net().train(), images()
    with Explainer(model, engine="zennit") as explainer:
        before = explainer.lrp(x)
        bare = explainer.logits(x)
        assert model.training and all(p.requires_grad for p in model.parameters())
        assert torch.equal(explainer.lrp(x), before)
    assert torch.equal(bare, model.eval()(x))
    assert not bare.requires_grad


def test_on_a_trained_resnet50_both_engines_pass(
    examine: Examine, rings: tuple[nn.Module, Tensor]
) -> None:
    model, x = rings
    for engine in ("dataflow", "zennit"):
        with Explainer(model, engine=engine) as explainer:
            (check,) = examine(OutputEquivalence(), explainer, x[1:3, :, ::2, ::2])
        assert isinstance(check, Check)
        assert check.status == CheckStatus.PASS
