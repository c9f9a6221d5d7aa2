"""Faithfulness: maps must mark what the output falls without."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from melaudit.detectors.checks.faithfulness import (
    CELLS,
    Faithfulness,
    by_relevance,
    grid,
    without,
)
from melaudit.detectors.interface import Batch, Result
from melaudit.errors import RelevanceError
from melaudit.findings import Check, CheckStatus, Skipped
from melaudit.measurements import Measurements
from melaudit.relevance import Explainer

Make = Callable[..., Measurements]
Show = Callable[[Explainer, Tensor, str], Batch]


class Spots(nn.Module):
    """A model that counts bright spots: the logit is what the picture holds above a threshold."""

    def __init__(self, outputs: int = 2) -> None:
        super().__init__()
        self.bright = nn.Conv2d(3, 1, 1)
        self.head = nn.Linear(1, outputs, bias=False)
        with torch.no_grad():
            self.bright.weight.fill_(1 / 3)
            self.bright.bias = nn.Parameter(torch.tensor([-1.0]))
            self.head.weight.copy_(torch.tensor([[1.0], [-1.0]])[:outputs])

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.bright(x).relu().mean((2, 3)))  # type: ignore[no-any-return]


def spotted(n: int = 10, side: int = 32) -> Tensor:
    """Dim pictures (n, 3, side, side), each with bright spots at places of its own."""
    generator = torch.Generator().manual_seed(0)
    x = 0.5 * torch.rand(n, 3, side, side, generator=generator)
    for image in x:
        for _ in range(4):
            row, column = torch.randint(0, side - 4, (2,), generator=generator).tolist()
            image[:, row : row + 4, column : column + 4] += 3
    return x


def with_maps(batch: Batch, relevance: NDArray[np.float32]) -> Batch:
    return replace(batch, maps=replace(batch.maps, relevance=relevance))


def judged(make: Make, batch: Batch, **kwargs: Any) -> Result:
    measured = Faithfulness().measure(batch)
    columns = {f"faithfulness.{name}": np.asarray(v) for name, v in measured.items()}
    (result,) = Faithfulness().conclude(
        make(columns, predictions=batch.maps.targets, logits=batch.answers.logits, **kwargs)
    )
    return result


def conclude(measurements: Make, advantage: Any, logit: float = 2.0) -> Result:
    advantage = np.asarray(advantage, float)
    columns = {"faithfulness.advantage": advantage}
    logits = np.tile([logit, -9.0], (len(advantage), 1))
    zeros = np.zeros(len(advantage), np.int64)
    (result,) = Faithfulness().conclude(measurements(columns, predictions=zeros, logits=logits))
    return result


def test_the_interval_of_the_mean_decides(measurements: Make) -> None:
    noise = np.linspace(-0.2, 0.2, 10)
    found = [conclude(measurements, 2 * (noise + shift)) for shift in (0.5, 0.0, -0.5)]
    checks = [c for c in found if isinstance(c, Check)]
    assert [c.status for c in checks] == ["pass", "degraded", "fail"]
    assert [c.value for c in checks] == pytest.approx([0.5, 0.0, -0.5])
    assert "+0.50 of a logit of typical size" in checks[0].statement
    assert "point away" in checks[2].statement


def test_too_few_images_and_no_logit_are_skipped(measurements: Make) -> None:
    few = conclude(measurements, [1.0] * 7 + [np.nan] * 9)
    assert isinstance(few, Skipped) and "7 images" in few.reason
    assert isinstance(conclude(measurements, [0.0] * 9, 0.0), Skipped)


@pytest.mark.parametrize("outputs", [1, 2])
def test_relevance_of_bright_spots_is_innocent_and_its_negative_guilty(
    measurements: Make, show: Show, outputs: int
) -> None:
    with Explainer(Spots(outputs), "epsilon_plus") as explainer:
        batch = show(explainer, spotted(), "bright")
        sound = judged(measurements, batch)
        relevance = batch.maps.relevance
        away = judged(measurements, with_maps(batch, relevance.max() - relevance))
    assert isinstance(sound, Check) and isinstance(away, Check)
    assert (sound.status, away.status) == (CheckStatus.PASS, CheckStatus.FAIL)
    assert sound.value is not None and sound.value > 0.3


def test_maps_of_other_images_are_not_shown_to_be_faithful(measurements: Make, show: Show) -> None:
    with Explainer(Spots(), "epsilon_plus") as explainer:
        batch = show(explainer, spotted(), "bright")
        others = np.roll(batch.maps.relevance, 1, 0)
        check = judged(measurements, with_maps(batch, others))
    assert isinstance(check, Check)
    assert check.status != CheckStatus.PASS


def test_only_sampled_images_with_positive_relevance_are_measured(show: Show) -> None:
    with Explainer(Spots(), "epsilon_plus") as explainer:
        batch = show(explainer, spotted(5), "bright")
        relevance = batch.maps.relevance.copy()
        relevance[1], relevance[2, 0, 0] = -1.0, np.nan
        last = np.array([False, False, False, False, True])
        rest = replace(batch, check_images=batch.check_images.without(last))
        found = Faithfulness().measure(with_maps(rest, relevance))
        alone = show(explainer, spotted(5)[3:4], "bright")
        again = Faithfulness().measure(replace(alone, ids=batch.ids[3:4]))
    assert np.isfinite(found["advantage"]).tolist() == [True, False, False, True, False]
    assert again["advantage"][0] == pytest.approx(found["advantage"][3], rel=1e-4)


def test_a_model_that_cannot_be_run_by_itself_is_skipped(
    measurements: Make, show: Show, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(x: Tensor) -> Tensor:
        raise RelevanceError("no")

    with Explainer(Spots()) as explainer:
        batch = show(explainer, spotted(9), "bright")
        monkeypatch.setattr(explainer, "logits", failing)
        assert isinstance(judged(measurements, batch), Skipped)


@pytest.mark.parametrize(("height", "width"), [(32, 32), (30, 50), (5, 8), (1, 3)])
def test_cells_are_blocks_of_nearly_one_size(height: int, width: int) -> None:
    cells = grid(height, width)
    count = min(CELLS, height) * min(CELLS, width)
    sizes = np.bincount(cells.ravel())
    assert cells.shape == (height, width) and len(sizes) == count and sizes.min() > 0
    for cell in range(count):
        rows, columns = np.nonzero(cells == cell)
        assert len(rows) == (np.ptp(rows) + 1) * (np.ptp(columns) + 1)
    assert (np.diff(cells[:, 0]) >= 0).all() and (np.diff(cells[0]) >= 0).all()


def test_cells_are_ordered_by_mean_positive_relevance() -> None:
    cells = np.array([[0, 0, 1, 2]])
    # Sum would put cell 0 first, and counting negatives would put cell 2 before it.
    assert by_relevance(np.array([[3.0, -50.0, 2.0, 1.0]]), cells).tolist() == [1, 0, 2]
    assert by_relevance(np.array([[3e-300, 3e-300, 5e-300, 0]]), cells).tolist() == [1, 0, 2]


def test_deleted_cells_get_the_mean_colour_and_others_stay() -> None:
    x = torch.rand(3, 16, 16)
    cells = grid(16, 16)
    changed = without(x, cells, [np.array([0]), np.array([1, 63])])
    assert changed.shape == (2, 3, 16, 16)
    expected = x.clone()
    expected[:, :2, :2] = x.flatten(1).mean(1)[:, None, None]
    assert torch.allclose(changed[0], expected)
    assert int((changed[1] != x).any(0).sum()) == 8
