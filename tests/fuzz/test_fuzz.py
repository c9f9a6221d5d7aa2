"""A few seconds of fuzzing, the same each time; python -m tests.fuzz does more of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import strategies as st

from tests.fuzz.__main__ import main
from tests.fuzz.rounds import fuzzed, some
from tests.fuzz.targets import Target, targets

_EXAMPLES = {"findings": 25, "record": 15}


@pytest.mark.parametrize("target", targets(), ids=lambda target: target.name)
def test_no_input_does_harm(target: Target) -> None:
    examples = _EXAMPLES.get(target.name, 60)
    assert 0 < some(target, examples) <= examples


def test_what_fails_is_found() -> None:
    def fragile(content: int, _: Path) -> None:
        assert content < 500

    target = Target("fragile", st.integers(0, 1000), fragile)
    tried, error = fuzzed(target, 5.0, 0)
    assert tried > 0
    assert isinstance(error, AssertionError)
    with pytest.raises(AssertionError):
        some(target, 60)


def test_it_runs_by_hand(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--seconds", "0.5", "policy"]) == 0
    told = capsys.readouterr().out
    assert told.startswith("policy: ")
    assert "nothing found" in told
