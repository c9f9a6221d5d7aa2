"""Registers: relevance on tokens of unusual norm is counted, judged and shown where it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from melaudit.detectors.checks.register_tokens import RegisterTokens
from melaudit.detectors.interface import Batch, Maps
from melaudit.findings import Check, CheckStatus, Skipped
from melaudit.measurements import Measurements
from melaudit.relevance.model.tokens import as_map, unusual

Make = Callable[..., Measurements]


def concluded(make: Make, maps: Maps) -> Any:
    batch = Batch(tuple(map(str, range(len(maps.relevance)))), maps=maps)
    columns = {f"register_tokens.{k}": v for k, v in RegisterTokens().measure(batch).items()}
    (result,) = RegisterTokens().conclude(make(columns))
    return result


@pytest.mark.parametrize(("level", "status"), [(1, CheckStatus.PASS), (40, CheckStatus.DEGRADED)])
def test_the_share_on_registers_is_judged(
    measurements: Make, level: float, status: CheckStatus
) -> None:
    relevance = np.ones((4, 64, 64), np.float32)
    relevance[:, :8, :8] = level
    registers = np.zeros((4, 8, 8), np.bool_)
    registers[:, 0, 0] = True
    found: Check = concluded(measurements, Maps(relevance, registers=registers))
    share = level * 64 / (level * 64 + 64 * 63)
    assert found.status is status
    assert found.value == pytest.approx(share, rel=1e-5)
    assert "2 % of the area" in found.statement or "1.6 % of the area" in found.statement


def test_a_model_without_tokens_is_not_asked(measurements: Make) -> None:
    found = concluded(measurements, Maps(np.ones((4, 64, 64), np.float32)))
    assert isinstance(found, Skipped)


def test_tokens_are_a_grid_behind_those_that_stand_for_no_place() -> None:
    tokens = torch.randn(2, 5 + 14 * 28, 7)
    found = as_map(tokens, 112, 224)
    assert found is not None and found.shape == (2, 7, 14, 28)
    assert torch.equal(found[0, :, 1, 2], tokens[0, 5 + 28 + 2])
    assert as_map(torch.randn(2, 14 * 28 + 30, 7), 112, 224) is None


def test_only_a_token_far_beyond_the_others_is_unusual() -> None:
    tokens = torch.randn(2, 16, 10, 10, generator=torch.Generator().manual_seed(0))
    tokens[1, :, 3, 4] *= 8
    expected = torch.zeros(2, 10, 10, dtype=torch.bool)
    expected[1, 3, 4] = True
    assert torch.equal(unusual(tokens), expected)
