"""Every hostile input ends as it must, runs nothing and opens no socket."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.hostile.case import CANARY, Case, outcome_of
from tests.hostile.cases import all_cases, row

CASES = list(all_cases())


@pytest.mark.parametrize("case", CASES, ids=[f"{i:03}-{c.area}" for i, c in enumerate(CASES)])
def test_a_hostile_input_ends_as_it_must(case: Case, tmp_path: Path) -> None:
    result = outcome_of(case, tmp_path)
    assert result.met, f"{case.name}: {result.outcome}; expected {' or '.join(case.expected)}"


def test_the_watch_notices_code_and_sockets(tmp_path: Path) -> None:
    def runs(folder: Path) -> str:
        (folder / CANARY).mkdir()
        return "used"

    def connects(_: Path) -> str:
        import socket

        socket.create_connection(("localhost", 1))
        return "used"

    assert outcome_of(Case("x", "x", runs, ("used",)), tmp_path).outcome == "ran code"
    (tmp_path / CANARY).rmdir()
    assert "socket" in outcome_of(Case("x", "x", connects, ("used",)), tmp_path).outcome


def test_the_page_has_every_case() -> None:
    page = (Path(__file__).parents[2] / "docs" / "reliability.md").read_text("utf-8")
    missing = [c.name for c in CASES if row(c) not in page]
    assert not missing, "run `python -m tests.hostile --table` and put it into docs/reliability.md"


def test_there_are_enough() -> None:
    assert len(CASES) >= 200
    assert len({(c.area, c.name) for c in CASES}) == len(CASES)
