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


def test_the_page_has_every_fault_and_no_other() -> None:
    page = (Path(__file__).parents[2] / "docs" / "reliability.md").read_text("utf-8")
    table = page.partition("\n| area | fault |")[2].partition("\n\n")[0].splitlines()[2:]
    cells = [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in table]
    expected = [[f.area, f.name, " or ".join(f.must)] for f in FAULTS]
    assert [row[:3] for row in cells] == expected, "run `python -m tests.faults --table`"
    assert all(met(f, row[3]) for f, row in zip(FAULTS, cells, strict=True) if row[3] != "—")


def test_there_are_enough_and_each_has_a_name() -> None:
    assert len(FAULTS) >= 46
    assert len({(f.area, f.name) for f in FAULTS}) == len(FAULTS)
