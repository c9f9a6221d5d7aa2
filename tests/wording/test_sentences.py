"""Tests of how sentences are put together, and of figures in plain text."""

import math
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import melaudit
from melaudit import wording
from melaudit.findings import Counts
from melaudit.statistics.estimates import Estimate
from melaudit.wording.sentences import (
    first_sentence,
    frequencies,
    interval,
    many,
    percent,
    points,
    ratio,
    rest_of,
    within,
)


@pytest.mark.parametrize(
    ("n", "thing", "things", "words"),
    [
        (1, "image", None, "1 image"),
        (0, "image", None, "0 images"),
        (1200, "image", None, "1,200 images"),
        (1, "picture or map", "pictures and maps", "1 picture or map"),
        (2, "picture or map", "pictures and maps", "2 pictures and maps"),
    ],
)
def test_what_is_counted_agrees_with_its_number(
    n: int, thing: str, things: str | None, words: str
) -> None:
    assert many(n, thing, things) == words
    assert wording.many_unbroken(n, thing, things) == words.replace(" ", "\u00a0", 1)


@pytest.mark.parametrize(
    ("share", "words"),
    [
        *((0.34, "34 %"), (0.008, "0.8 %"), (0.0004, "0.04 %"), (0.0, "0 %"), (1e-9, "0 %")),
        *((1.0, "100 %"), (1 - 1e-12, "100 %"), (0.9996, "99.96 %"), (0.996, "99.6 %")),
        *((0.00001, "below 0.01 %"), (0.99999, "below 100 %"), (1.004, "100.4 %")),
    ],
)
def test_a_percentage_in_plain_text_is_finer_where_it_is_small(share: float, words: str) -> None:
    assert percent(share) == words


def test_ratios_changes_and_intervals_in_plain_text() -> None:
    assert (ratio(0.623), ratio(4.12), ratio(34.6), ratio(351.0)) == ("0.62", "4.1", "35", "350")
    assert ratio(math.inf) == "any size"
    assert (points(0.34), points(-0.031), points(0)) == ("34 of 100", "-3.1 of 100", "0 of 100")
    assert (points(0.9996), points(-0.9996)) == ("99.96 of 100", "-99.96 of 100")
    assert (points(0.0004), points(-0.0004)) == ("0.04 of 100", "-0.04 of 100")
    assert (points(-0.00001), points(1.0)) == ("above -0.01 of 100", "100 of 100")
    assert interval(Estimate(2, 1, 4), ratio) == "95 % interval 1 to 4"
    assert interval(Estimate(2, 1, math.inf), ratio) == "95 % interval from 1 upwards"


def test_no_line_ends_between_a_figure_and_its_percent_sign() -> None:
    assert wording.unbroken("62 % (41 % to 90.5 %).") == ("62\u00a0% (41\u00a0% to 90.5\u00a0%).")
    assert wording.unbroken("a %s, 5 %d and %") == "a %s, 5 %d and %"


def test_no_sentence_is_written_with_a_format_that_leaves_out_the_space() -> None:
    formats = [
        f"{path.name}: {found}"
        for path in Path(melaudit.__file__).parent.rglob("*.py")
        for found in re.findall(r"\{[^{}]*:[,.\d]*%\}", path.read_text("utf-8"))
    ]
    assert formats == []


def test_predictions_before_and_after_a_change_are_a_sentence_in_counts() -> None:
    counts = Counts("benign images", 1200, "malignant", 4, 1139, "a black ring put in")

    assert frequencies(counts) == (
        "Of 1,200 benign images, the model predicts malignant for 4; "
        "with a black ring put in, for 1,139."
    )


def test_a_text_is_split_after_its_first_sentence() -> None:
    text = "It rises by 0.5 points. Not more. Really."

    assert (first_sentence(text), rest_of(text)) == (
        "It rises by 0.5 points.",
        "Not more. Really.",
    )
    assert rest_of("One only.") == ""


def test_a_title_within_a_sentence_has_no_capital_unless_it_is_all_capitals() -> None:
    assert within("Black ring of the dermatoscope") == "black ring of the dermatoscope"
    assert within("JPEG compression") == "JPEG compression"


@pytest.mark.parametrize("kind", [float, np.float32, np.float64])
def test_a_share_may_be_a_number_of_numpy(kind: Callable[[float], float]) -> None:
    shares = (0.0, 0.25, 1.0)
    assert [percent(kind(share)) for share in shares] == ["0 %", "25 %", "100 %"]
    assert [points(kind(share)) for share in shares] == ["0 of 100", "25 of 100", "100 of 100"]
