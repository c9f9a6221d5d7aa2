"""A budget: the most images that fit, the same ones when the command is given again."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from melaudit.audit import budget
from melaudit.audit.budget import largest, seconds_of, within
from melaudit.audit.forecast import Stage
from melaudit.audit.prepare.configuration import Configuration
from melaudit.errors import ConfigurationError
from melaudit.images.dataset import Dataset, open_dataset
from melaudit.observer import Silent


@dataclass
class Found:
    """What an examination says of a data set, where an image takes two seconds, and all 60."""

    dataset: Dataset
    label: str = ""

    @property
    def forecast(self) -> Found:
        return self

    def stages(self, labels: NDArray[np.int64]) -> tuple[Stage, ...]:
        return Stage("Checking", 60.0, ""), Stage("Measuring", 2.0 * len(labels), "")


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Configuration:
    for k in range(100):
        (tmp_path / "data" / "ab"[k % 2]).mkdir(parents=True, exist_ok=True)
        (tmp_path / "data" / "ab"[k % 2] / f"{k:03}.jpg").write_bytes(b"x")
    found = Found(open_dataset(tmp_path / "data"))
    monkeypatch.setattr(budget, "examine", lambda *_: found)
    monkeypatch.setattr(budget, "time", SimpleNamespace(monotonic=lambda: 0.0))
    return Configuration(model=tmp_path / "m.pt", data=tmp_path / "data", out=tmp_path / "out")


@pytest.mark.parametrize(
    ("text", "limit"), [("100s", 20), ("101s", 20), ("102s", 21), ("62", 1), ("1h", None)]
)
def test_as_many_images_are_taken_as_fit(
    asked: Configuration, text: str, limit: int | None
) -> None:
    assert within(asked, text, Silent()).limit == limit


def test_the_same_command_goes_on_with_the_same_images(
    asked: Configuration, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = within(asked, "2m", Silent()).limit
    slower = Found(open_dataset(asked.data, limit=8))
    monkeypatch.setattr(budget, "examine", lambda *_: slower)
    assert within(asked, "120s", Silent()).limit == first == 30
    assert within(asked, "62s", Silent()).limit == 1  # another budget is another question
    assert within(asked, "1h", Silent()).limit is within(asked, "1h", Silent()).limit is None


@pytest.mark.parametrize(
    "content", [b"", b"[]", b'{"seconds": 120}', b'{"seconds": 120, "limit": "x"}']
)
def test_a_damaged_file_of_the_choice_is_made_again(asked: Configuration, content: bytes) -> None:
    (asked.out / "shards").mkdir(parents=True)
    (asked.out / "shards" / "budget.json").write_bytes(content)
    assert within(asked, "2m", Silent()).limit == 30
    assert json.loads((asked.out / "shards" / "budget.json").read_bytes())["limit"] == 30


def test_what_cannot_be_says_what_to_do(
    asked: Configuration, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigurationError, match=r"takes about 1 min 2 s here\. Give it more"):
        within(asked, "1m", Silent())
    limited = Configuration(model=asked.model, data=asked.data, out=asked.out, limit=5)
    with pytest.raises(ConfigurationError, match="give one of them"):
        within(limited, "1m", Silent())
    several = Found(open_dataset(asked.data), label="ring")
    monkeypatch.setattr(budget, "examine", lambda *_: several)
    with pytest.raises(ConfigurationError, match="--output ring"):
        within(asked, "9m", Silent())


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("90", 90), ("10m", 600), ("10min", 600), ("1h30m", 5400), ("1h 5s", 3605)],
)
def test_times_are_read_as_people_write_them(text: str, seconds: int) -> None:
    assert seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["", "0", "10x", "m", "-5m", "1.5h"])
def test_other_text_is_no_time(text: str) -> None:
    with pytest.raises(ConfigurationError, match="90s, 10m or 1h30m"):
        seconds_of(text)


@pytest.mark.parametrize("answer", [0, 1, 2, 63, 64, 99, 100])
def test_the_largest_is_found(answer: int) -> None:
    calls: list[int] = []

    def fits(n: int) -> bool:
        calls.append(n)
        return n <= answer

    assert largest(fits, 100) == (answer or None)
    assert len(calls) <= 8


def test_the_command_in_the_report_names_the_number(monkeypatch: pytest.MonkeyPatch) -> None:
    from melaudit.cli.auditing import _telling

    given: list[Any] = ["run", "--budget", "10m", "--processes", "2", "--seed", "1"]
    assert list(_telling(given, 77)) == ["run", "--limit", "77", "--seed", "1"]
    assert list(_telling(["run", "--budget=10m"], None)) == ["run"]
