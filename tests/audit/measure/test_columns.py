"""What is kept of every image: shares of relevance, and the model's own attention."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from melaudit.audit.measure.columns import MAX_ATTENDED, attention_columns, relevance_columns


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
