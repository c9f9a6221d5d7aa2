"""Claims of attention are held against maps without registers: the innocent and the guilty."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from melaudit.audit.conclude.conclusions import conclude
from melaudit.audit.conclude.registers import without_registers
from melaudit.detectors.border_relevance import BorderRelevance
from melaudit.detectors.checks.register_tokens import RegisterTokens, spread
from melaudit.detectors.interface import Batch, Maps
from melaudit.findings import Finding, NotFound
from melaudit.measurements import WITHOUT_REGISTERS, Measurements

Make = Callable[..., Measurements]
SIDE = 64


def table(make: Make, at_registers: float, at_edge: float) -> Measurements:
    """Return 200 maps; 20 have so much more relevance in a corner, at registers or beside them."""
    rng = np.random.default_rng(0)
    relevance = rng.gamma(4, 1, (200, SIDE, SIDE)).astype(np.float32)
    relevance *= rng.gamma(20, 1 / 20, (200, 1, 1)).astype(np.float32)
    registers = np.zeros((200, 8, 8), np.bool_)
    registers[:, 7, 7] = True
    relevance[:20, 56:, 56:] += at_registers
    relevance[:20, :8, :8] += at_edge
    kept = 1 - np.stack([spread(r, SIDE, SIDE) for r in registers])
    ids = tuple(map(str, range(200)))
    batch = Batch(ids, maps=Maps(relevance, registers=registers))
    bare = Batch(ids, maps=Maps(relevance * kept, registers=registers))
    border, check = BorderRelevance(), RegisterTokens()
    columns: dict[str, NDArray[Any]] = {
        **{f"border_relevance.{k}": v for k, v in border.measure(batch).items()},
        **{f"{WITHOUT_REGISTERS}border_relevance.{k}": v for k, v in border.measure(bare).items()},
        **{f"register_tokens.{k}": v for k, v in check.measure(batch).items()},
    }
    return make(columns, predictions=np.ones(200, np.int64))


def said(data: Measurements) -> Finding | NotFound:
    found = conclude([BorderRelevance()], data)
    results: list[Finding | NotFound] = [*found.findings, *found.not_found]
    assert len(results) == 1
    return results[0]


def test_a_look_at_the_border_that_rests_on_registers_alone_is_not_claimed(
    measurements: Make,
) -> None:
    found = said(table(measurements, at_registers=300, at_edge=0))
    assert isinstance(found, NotFound)
    assert "unusual norm" in found.statement


def test_a_look_at_the_border_beside_registers_is_claimed_and_says_so(measurements: Make) -> None:
    found = said(table(measurements, at_registers=300, at_edge=300))
    assert isinstance(found, Finding)
    assert found.statement.endswith("tokens of unusual norm too.")


def test_maps_without_registers_are_whole_again(measurements: Make) -> None:
    half = np.full((2, 32, 32), 1 / 2048, np.float16)
    cells = np.zeros((2, 32, 32), np.uint8)
    cells[:, :8] = 255
    data = measurements(
        {"relevance.positive": half, "relevance.negative": half, "register_tokens.cells": cells}
    )
    found = without_registers(data).absolute_shares(np.arange(2)).reshape(2, 32, 32)
    assert found[:, :8].sum() == 0
    assert found.sum((1, 2)) == pytest.approx([1, 1])
