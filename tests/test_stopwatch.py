"""Where the time went: parts within parts, their images, and what speedscope reads."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
import torch
from torch import nn

from melaudit.observer import Silent, Timing
from melaudit.relevance import Explainer
from melaudit.stopwatch import Stopwatch, parts, running, shown, speedscope, table, timed


def ticking() -> Stopwatch:
    """Return a stopwatch on which a second passes each time it is looked at."""
    seconds = itertools.count()
    return Stopwatch(lambda: float(next(seconds)))


def run() -> Stopwatch:
    watch = ticking()
    observer = Timing(Silent(), watch)
    with running(watch):
        observer.stage("Measuring", 3)
        for _ in range(2):
            with timed("maps"):
                shown(4)
            with timed("hair"), timed("lines"):
                pass
        observer.stage("Concluding")
        with pytest.raises(ValueError, match="left"), timed("maps"):
            raise ValueError("left")
        shown(1)
    return watch


def test_the_turns_of_a_part_add_up_where_it_lies() -> None:
    found = {part.path: (part.seconds, part.images) for part in parts(run().marks)}
    assert found == {
        ("Measuring",): (13.0, 8),
        ("Measuring", "maps"): (2.0, 8),
        ("Measuring", "hair"): (6.0, 0),
        ("Measuring", "hair", "lines"): (2.0, 0),
        ("Concluding",): (3.0, 1),
        ("Concluding", "maps"): (1.0, 0),
    }


def test_the_table_has_stages_their_large_parts_and_the_whole() -> None:
    rows = table(run().marks)
    assert [row[0] for row in rows] == [
        *("Measuring", "  maps", "  hair", "Concluding", "  maps", "all"),
    ]
    assert rows[0][1:] == ("13.0", "81.2 %", "8")
    assert rows[-1][1:] == ("16.0", "100.0 %", "9")


def test_events_open_and_close_as_speedscope_wants_them() -> None:
    written: dict[str, Any] = json.loads(json.dumps(speedscope(run().marks, "run")))
    (profile,) = written["profiles"]
    assert profile["type"] == "evented" and profile["unit"] == "seconds"
    frames = written["shared"]["frames"]
    going_on, last = [], 0.0
    for event in profile["events"]:
        assert profile["startValue"] <= last <= event["at"] <= profile["endValue"]
        last = event["at"]
        if event["type"] == "O":
            going_on.append(event["frame"])
        else:
            assert going_on.pop() == event["frame"] < len(frames)
    assert not going_on


def test_nothing_is_noted_where_no_stopwatch_runs() -> None:
    with timed("maps"):
        shown(3)
    watch = ticking()
    with running(watch):
        pass
    shown(3)
    assert watch.marks == []


def test_every_image_that_the_model_is_shown_counts() -> None:
    model = nn.Sequential(nn.Conv2d(3, 2, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    x, watch = torch.rand(3, 3, 8, 8), ticking()
    with running(watch), Explainer(model.eval()) as explainer:
        watch.begin("all")
        explainer.lrp(x)
        explainer.logits(x)
    assert parts(watch.marks)[0].images == 6
