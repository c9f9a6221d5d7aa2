"""Two finders that fire on the same images: a claim is credited to the artifact it is about."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from melaudit.artifacts.kinds.colour_cast import ColourCast
from melaudit.artifacts.kinds.hair import Hair
from melaudit.artifacts.kinds.ruler import Ruler
from melaudit.artifacts.kinds.text import Text
from melaudit.detectors.artifact import ArtifactDetector
from melaudit.detectors.rungs.company import Company, Part, company
from melaudit.detectors.rungs.shown import shown
from melaudit.findings import Finding, NotFound, Trust
from melaudit.measurements import GRID, Measurements
from melaudit.statistics.estimates import odds_ratio_held_fixed
from tests.said import said

Make = Callable[..., Measurements]
Rows = NDArray[np.bool_]
N = 150
"""Images of each class: benign first, then malignant."""
SOUGHT = (Ruler(), Text(), Hair())


def rows(*spans: tuple[int, int]) -> Rows:
    """Return the images (2 N,) in some spans."""
    out = np.zeros(2 * N, bool)
    for start, stop in spans:
        out[start:stop] = True
    return out


def table(
    make: Make, places: Mapping[str, tuple[Rows, tuple[int, int]]], **more: Any
) -> Measurements:
    """Build images that show artifacts, each on the columns of the grid from one to another."""
    columns: dict[str, Any] = {}
    for name, (present, (left, right)) in places.items():
        mask = np.zeros((2 * N, GRID, GRID), np.uint8)
        mask[present, :, left:right] = 255
        columns |= {
            f"{name}.present": present,
            f"{name}.score": present * 0.9,
            f"{name}.mask": mask,
            **{f"{name}.{part}": np.zeros(2 * N) for part in ("share", "signed", "area")},
        }
    labels = more.pop("labels", np.repeat([0, 1], N))
    made = make(columns, labels=labels, explanations=Trust.UNUSABLE)
    return dataclasses.replace(made, **more)


def beside(measured: Measurements, artifact: Any) -> tuple[Company, ...]:
    (each,) = shown(artifact, measured, SOUGHT)
    return each.beside


STAMPED = rows((N, N + 60))
"""Date stamps on 60 malignant images."""
TICKS = rows((N, N + 11), (0, 4), (2 * N - 4, 2 * N))
"""The ruler's finder fires on 11 of them, and on 8 rulers, four of each class."""


def test_rulers_seen_in_date_stamps_are_seen_with_lettering(measurements: Make) -> None:
    measured = table(measurements, {"ruler": (TICKS, (2, 4)), "text": (STAMPED, (2, 8))})
    (found,) = beside(measured, Ruler())
    assert (found.other, found.part, found.both, found.n) == ("text", Part.SEEN_WITH, 11, 19)
    assert beside(measured, Text()) == ()
    (each,) = shown(Ruler(), measured, SOUGHT)
    assert np.array_equal(each.alone, rows((0, 4), (2 * N - 4, 2 * N)))

    (missed,) = said(ArtifactDetector(Ruler(), SOUGHT).conclude(measured))
    assert isinstance(missed, NotFound)
    assert "11 of 19 images with rulers show written letters or digits" in missed.statement
    assert "seen with letters" in missed.statement
    (text,) = said(ArtifactDetector(Text(), SOUGHT).conclude(measured))
    assert isinstance(text, Finding)
    assert "Seen with it: rulers (11 of 19 images with them)." in text.statement
    # Without a second finder to ask, the stamps would be called rulers.
    (alone,) = said(ArtifactDetector(Ruler()).conclude(measured))
    assert isinstance(alone, Finding)
    assert alone.title == "Rulers go with malignant in these data"


def test_two_shortcuts_on_the_same_class_both_stand(measurements: Make) -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], N)
    for _ in range(20):
        ruler, text = (rng.random(2 * N) < np.where(labels == 1, 0.4, 0.05) for _ in range(2))
        measured = table(measurements, {"ruler": (ruler, (2, 4)), "text": (text, (20, 24))})
        assert beside(measured, Ruler()) == beside(measured, Text()) == ()


def test_what_is_always_seen_together_is_told_by_its_place_or_not_at_all(
    measurements: Make,
) -> None:
    both = rows((N, N + 40), (0, 2))
    apart = table(measurements, {"ruler": (both, (2, 4)), "text": (both, (20, 24))})
    for artifact, other in ((Ruler(), "text"), (Text(), "ruler")):
        (found,) = beside(apart, artifact)
        assert (found.part, found.other) == (Part.EITHER, other)
    (finding,) = said(ArtifactDetector(Ruler(), SOUGHT).conclude(apart))
    assert isinstance(finding, Finding)
    assert finding.title == "Rulers or letters go with malignant in these data"
    assert "it cannot be told whether rulers or letters go with malignant" in finding.statement

    inside = table(measurements, {"hair": (both, (2, 4)), "text": (both, (1, 14))})
    (found,) = beside(inside, Hair())
    assert found.part is Part.SEEN_WITH
    assert beside(inside, Text()) == ()


def test_without_labels_the_place_tells(measurements: Make) -> None:
    unknown = {"labels": np.full(2 * N, -1)}
    rims, stickers = rows((0, 40)), rows((0, 60))
    inside = table(measurements, {"hair": (rims, (2, 4)), "text": (stickers, (1, 14))}, **unknown)
    (found,) = beside(inside, Hair())
    assert found.part is Part.SEEN_WITH and found.given is None
    assert "in the same place" in found.words("hairs")
    elsewhere = table(
        measurements, {"hair": (rims, (2, 4)), "text": (stickers, (20, 30))}, **unknown
    )
    assert beside(elsewhere, Hair()) == ()


def test_a_frequent_artifact_explains_nothing_by_being_frequent(measurements: Make) -> None:
    """Hairs on two of three images, of either class alike, and rulers on malignant ones."""
    rng = np.random.default_rng(3)
    for _ in range(20):
        hair = rng.random(2 * N) < 2 / 3
        ruler = rng.random(2 * N) < np.where(np.arange(2 * N) < N, 0.05, 0.3)
        measured = table(measurements, {"hair": (hair, (0, 32)), "ruler": (ruler, (2, 4))})
        assert beside(measured, Ruler()) == beside(measured, Hair()) == ()


def test_what_the_user_labelled_explains_too(measurements: Make) -> None:
    labelled = {"sticker": np.where(STAMPED, 1, 0).astype(np.int8)}
    measured = table(measurements, {"ruler": (TICKS, (2, 4))}, labelled=labelled)
    (found,) = beside(measured, Ruler())
    assert (found.others, found.part) == ("sticker", Part.SEEN_WITH)


@pytest.mark.parametrize("spare", [0, 40])
def test_what_training_images_show_is_told_apart_by_training_images(
    measurements: Make, spare: int
) -> None:
    labels = np.repeat([0, 1], 100 + spare)
    text = (labels == 1) & (np.arange(len(labels)) % 2 == 0)
    ruler = text & (np.arange(len(labels)) % 4 == 0)
    measured = table(
        measurements,
        {"ruler": (rows((0, 8)), (2, 4)), "text": (rows((4, 12)), (2, 8))},
        training={"ruler": (ruler, labels), "text": (text, labels)},
    )
    (found,) = beside(measured, Ruler())
    assert (found.n, found.both) == (ruler.sum(), ruler.sum())
    assert found.part is Part.SEEN_WITH


def test_an_odds_ratio_held_fixed_is_that_of_the_strata() -> None:
    rng = np.random.default_rng(0)
    fixed = rng.random(4000) < 0.4
    first = rng.random(4000) < np.where(fixed, 0.7, 0.1)
    second = rng.random(4000) < np.where(fixed, 0.8, 0.2)
    crude = odds_ratio_held_fixed(first, second, np.zeros(4000))
    found = odds_ratio_held_fixed(first, second, fixed)
    assert crude.low > 3
    assert found.low < 1 < found.high
    nothing = odds_ratio_held_fixed(first, first, first)
    assert (nothing.value, nothing.low, nothing.high) == (1, 0, np.inf)
    # An empty cell leaves a finite interval, which holds the exact test's side.
    some = np.arange(100) < 20
    empty = odds_ratio_held_fixed(some, some | (np.arange(100) >= 90), np.zeros(100))
    assert 1 < empty.low < empty.value < empty.high < np.inf


def test_each_kind_that_enough_images_show_is_looked_at_by_itself(measurements: Make) -> None:
    """Pinkish casts go with benign and bluish ones with malignant: together with neither."""
    kind = np.full(2 * N, -1)
    kind[:40], kind[N : N + 40], kind[60:63] = 0, 3, 1
    measured = table(measurements, {"colour_cast": (kind >= 0, (0, 32))})
    columns = {"colour_cast.kind": kind}
    read = measured.columns
    measured = dataclasses.replace(
        measured, columns=lambda name: columns[name] if name in columns else read(name)
    )
    found = shown(ColourCast(), measured, ())
    assert [each.key for each in found] == ["colour_cast.pinkish", "colour_cast.bluish"]
    pinkish, bluish = said(ArtifactDetector(ColourCast()).conclude(measured))
    assert isinstance(pinkish, Finding) and isinstance(bluish, Finding)
    assert pinkish.title == "Pinkish colour casts go with benign in these data"
    assert bluish.title == "Bluish colour casts go with malignant in these data"
    assert (bluish.id, bluish.artifact) == ("colour_cast.bluish", "colour_cast")
    columns["colour_cast.kind"] = np.where(kind == 1, kind, -1)
    (whole,) = shown(ColourCast(), measured, ())
    assert whole.key == "colour_cast"


def test_company_of_an_artifact_that_nobody_measured_is_nothing(measurements: Make) -> None:
    measured = table(measurements, {"ruler": (TICKS, (2, 4))})
    assert company(measured, Ruler(), "ruler", TICKS, SOUGHT) == ()
