"""What is kept of every image: shares of relevance, and the model's own attention."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from melaudit.audit.measure.columns import (
    MAP,
    MAX_ATTENDED,
    PEAK,
    attention_columns,
    keeps_maps,
    map_column,
    relevance_columns,
)


def test_the_parts_of_a_map_sum_to_one_and_nothing_cancels() -> None:
    maps = torch.randn(2, 64, 64, generator=torch.Generator().manual_seed(0))
    kept = relevance_columns(maps, torch.randn(2, 5))
    both = kept["relevance.positive"].astype(float) + kept["relevance.negative"]
    assert both.shape == (2, 32, 32)
    assert both.sum((1, 2)) == pytest.approx([1, 1], abs=1e-2)
    assert np.abs(kept["relevance.concepts"].astype(float)).sum(1) == pytest.approx(1, abs=1e-2)


def test_the_most_attended_channels_are_kept_with_their_weights_and_the_entropy() -> None:
    weights = torch.full((2, 100), 0.5 / 99)
    weights[0, 37] = 0.5
    weights[1] = 1 / 100
    kept = attention_columns(weights)
    assert kept["attention.channels"].shape == kept["attention.weights"].shape == (2, MAX_ATTENDED)
    assert kept["attention.channels"][0, 0] == 37
    assert kept["attention.weights"][0, 0] == pytest.approx(0.5)
    by_hand = -0.5 * np.log(0.5) - 0.5 * np.log(0.5 / 99)
    assert kept["attention.entropy"] == pytest.approx([by_hand, np.log(100)])


def test_gates_that_do_not_sum_to_one_are_compared_as_shares() -> None:
    kept = attention_columns(torch.tensor([[0.9, 0.9, 0.0], [0.0, 0.0, 0.0]]))
    assert kept["attention.channels"].shape == (2, 3)
    assert np.exp(kept["attention.entropy"][0]) == pytest.approx(2)
    assert kept["attention.entropy"][1] == 0


def test_a_whole_map_is_kept_to_half_a_step_and_what_is_not_finite_as_nothing() -> None:
    maps = torch.randn(3, 16, 12, generator=torch.Generator().manual_seed(0))
    maps[1] = 0
    maps[2, 0, 0] = torch.nan
    kept = map_column(maps)[MAP]
    assert kept.dtype == np.int8 and kept.shape == (3, 16, 12)
    peak = float(maps[0].abs().max())
    assert kept[0] / PEAK * peak == pytest.approx(maps[0].numpy(), abs=0.51 * peak / PEAK)
    assert not kept[1].any()
    assert kept[2, 0, 0] == 0 and np.abs(kept[2]).max() == PEAK


def test_maps_of_a_large_run_are_not_kept() -> None:
    assert keeps_maps(1000, 224, 224) and keeps_maps(3900, 128, 128)
    assert not keeps_maps(1300, 224, 224) and not keeps_maps(400_000, 128, 128)
