"""Which parts are chosen: by where the model looks, and by the finders of known artifacts."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest

from melaudit.artifacts.interface import Artifact
from melaudit.artifacts.kinds.colour_cast import ColourCast
from melaudit.artifacts.kinds.hair import Hair
from melaudit.artifacts.kinds.ruler import Ruler
from melaudit.audit.discovery.marked_parts import marked_parts
from melaudit.audit.discovery.parts import places_looked_at, strongest
from melaudit.findings import Trust
from melaudit.measurements import GRID, Measurements


def marked(hairs: np.ndarray, rulers: np.ndarray, middle: bool = False) -> Measurements:
    """Return images (n,) of two predicted classes by turns, and what the finders say of them."""
    n = len(hairs)
    masks = np.zeros((n, GRID, GRID), np.uint8)
    masks[:, GRID // 2 if middle else 1, 4:28] = 255
    columns = {"hair.present": hairs, "ruler.present": rulers}
    for name in ("hair", "ruler"):
        present = columns[f"{name}.present"]
        columns[f"{name}.score"] = np.where(present, 0.7, 0.2)
        columns[f"{name}.mask"] = masks * present[:, None, None]
    turns = np.arange(n) % 2
    return Measurements(
        tuple(f"{i}.png" for i in range(n)), turns, turns, turns, np.zeros((n, 2), np.float32),
        ("benign", "malignant"), 1, columns.__getitem__, "layer", Trust.TRUSTED, 0,
    )  # fmt: skip


def test_what_a_finder_marks_more_in_one_class_is_a_part_and_what_it_marks_in_both_is_none() -> (
    None
):
    rows = np.arange(120)
    hairs, rulers = (rows % 2 == 1) & (rows % 3 > 0), rows % 3 == 0
    half = rows < 80
    sought: list[Artifact] = [Hair(), Ruler(), ColourCast()]
    (part,) = marked_parts(marked(hairs, rulers), sought, half)
    assert part.predicted == 1
    assert np.array_equal(part.present, hairs)
    assert part.central < 0.1 and "hair" in part.measured
    assert part.places(np.array([1, 0])).sum((1, 2)).tolist() == [24, 0]
    assert part.strength == pytest.approx(hairs[half & (rows % 2 == 1)].mean())
    (central,) = marked_parts(marked(hairs, rulers, middle=True), sought, half)
    assert central.central > 0.6


def test_images_of_the_class_that_are_decided_otherwise_are_no_example_of_other_classes() -> None:
    """A third of the class has hairs, and the model takes half of these for the other class."""
    rows = np.arange(240)
    hairs, none = (rows % 6 == 1), np.zeros(240, bool)
    table = marked(hairs, none)
    missed = hairs & (rows % 12 == 1)
    wrong = dataclasses.replace(table, predictions=np.where(missed, 0, table.predictions))
    half = np.ones(240, bool)
    (part,) = marked_parts(wrong, [Hair()], half)
    assert part.predicted == 1
    own = wrong.predictions == 1
    assert part.strength == pytest.approx(hairs[own].mean()), "none of the other class shows it"
    unknown = dataclasses.replace(wrong, labels=np.full(240, -1))
    assert marked_parts(unknown, [Hair()], half) == [], "without labels they show it, too"


def test_what_was_not_measured_or_is_on_few_images_is_no_part() -> None:
    rows = np.arange(120)
    few, none = rows % 40 == 1, np.zeros(120, bool)
    sought: list[Artifact] = [Hair(), Ruler(), ColourCast()]
    assert marked_parts(marked(few, none), sought, rows < 80) == []
    assert marked_parts(marked(rows % 2 == 1, none), sought[:1], rows < 30) == []


def test_the_places_hold_half_of_what_is_more_off_the_centre() -> None:
    more = np.full((GRID, GRID), -1e-4)
    more[2:5, 2:6] = 0.02
    more[2, 2] = 0.05
    more[14:18, 14:18] = 1.0  # on the object
    there = places_looked_at(more)
    assert there is not None
    assert there[2, 2]
    assert not there[14:18, 14:18].any()
    assert there.sum() == 6  # .05 + 5 x .02 of .27
    assert there[2:5, 2:6].sum() == there.sum()


def test_what_is_all_round_or_nowhere_is_no_place() -> None:
    assert places_looked_at(np.full((GRID, GRID), 1e-4)) is None
    assert places_looked_at(np.full((GRID, GRID), -1e-4)) is None
    assert places_looked_at(np.zeros((GRID, GRID))) is None


def test_of_many_classes_no_more_is_tried_than_of_two() -> None:
    ordered = [SimpleNamespace(predicted=index, rank=rank) for rank in range(5) for index in (0, 1)]
    of_two = strongest(ordered, 3)
    assert [(each.predicted, each.rank) for each in of_two] == [
        (0, 0), (1, 0), (0, 1), (1, 1), (0, 2), (1, 2)
    ]  # fmt: skip
    of_many = strongest([SimpleNamespace(predicted=index) for index in range(100)], 3)
    assert [each.predicted for each in of_many] == list(range(6))
    assert len(strongest(ordered[::2], 3)) == 3
