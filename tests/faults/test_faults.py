"""A few of the faults at a time that costs little; `python -m tests.faults` tries all of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.cases import Fault, all_faults, met

FAULTS = tuple(all_faults())
CALL = 4
"""The call that fails, of those of which the command lets every one fail."""


@pytest.mark.parametrize("fault", [f for f in FAULTS if f.quick], ids=lambda f: f.name)
def test_a_fault_ends_as_it_must(fault: Fault, tmp_path: Path) -> None:
    outcome = fault.act(tmp_path, CALL)
    assert met(fault, outcome), f"{outcome}; expected {' or '.join(fault.must)}"


def test_there_are_enough_and_each_has_a_name() -> None:
    assert len(FAULTS) >= 46
    assert len({(f.area, f.name) for f in FAULTS}) == len(FAULTS)
