"""What some images of a class show is found by likeness, wherever it is, and nothing else is."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from melaudit.audit.groups import likeness as module
from melaudit.audit.groups import stability
from melaudit.audit.groups.exclusive import Pattern
from melaudit.audit.groups.likeness import (
    Described,
    alike_patterns,
    amounts,
    described,
    likeness,
    likest,
    places_like,
)
from melaudit.audit.groups.portrait import outside_centre
from melaudit.audit.measure.visual_words import UNIT

SIDE, K = 8, 6
AWAY = outside_centre(SIDE, SIDE) > 0


def seen(seed: int, n: int, shows: np.ndarray, evidence: float = 0.3) -> tuple[np.ndarray, ...]:
    """Return descriptions (n, SIDE, SIDE, K) as bytes, and evidence for and against (n, 32, 32).

    Images that show it have one place, anywhere off the centre, that is like the first axis.
    """
    rng = np.random.default_rng(seed)
    units = rng.normal(size=(n, SIDE, SIDE, K))
    units[..., 0] = -np.abs(units[..., 0])
    positive = rng.uniform(0, 0.002, (n, 32, 32))
    for row in np.flatnonzero(shows):
        y, x = rng.permutation(np.argwhere(AWAY))[0]
        units[row, y, x] = np.eye(K)[0] + rng.normal(0, 0.05, K)
        positive[row, 4 * y : 4 * y + 4, 4 * x : 4 * x + 4] += evidence / 16
    units /= np.linalg.norm(units, axis=3, keepdims=True)
    return (units * UNIT).round().astype(np.int8), positive, np.zeros_like(positive)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "DRAWS", 4)
    monkeypatch.setattr(stability, "NULLS", 3)


def test_what_a_third_of_a_class_shows_anywhere_is_found_and_nothing_else() -> None:
    shows = np.arange(60) % 3 == 0
    own, others = described(*seen(0, 60, shows)), described(*seen(1, 60, np.zeros(60, bool)))
    (found,) = alike_patterns(own, others, 8, seed=0)
    assert (found.members == shows).mean() >= 0.95
    assert found.like is not None and found.like[0] > 0.9
    assert found.others <= 0.025 and found.stability > 0.6 and found.evidence > 0.2
    again = alike_patterns(own, others, 8, seed=0)
    assert np.array_equal(again[0].shown, found.shown)


def test_nothing_is_found_where_both_classes_show_it_or_none_does() -> None:
    for share in (0, 3):
        shows = np.arange(60) % 3 < share / 3
        own, others = described(*seen(0, 60, shows)), described(*seen(1, 60, shows))
        assert alike_patterns(own, others, 8, seed=0) == ()


def test_few_images_are_not_judged() -> None:
    shows = np.ones(20, bool)
    own = described(*seen(0, 20, shows))
    assert alike_patterns(own, described(*seen(1, 30, ~np.ones(30, bool))), 8, seed=0) == ()
    assert alike_patterns(own.of(np.arange(9)), own, 8, seed=0) == ()


def test_likeness_is_the_cosine_of_the_likest_place_off_the_centre() -> None:
    noted, *_ = seen(2, 5, np.array([True, False, True, False, False]))
    like = np.eye(K, dtype=np.float32)[1]
    flat = noted.reshape(-1, K).astype(float)
    lengths = np.linalg.norm(flat, axis=1)
    cosines = (1 - cdist(flat, like[None].astype(float), "cosine")[:, 0]) * lengths / UNIT
    cosines = cosines.reshape(5, SIDE, SIDE)
    assert np.allclose(likeness(noted, like), cosines, atol=1e-5)
    expected = [each[AWAY].max() for each in cosines]
    assert np.allclose(likest(noted, like[None]), [expected], atol=1e-5)
    both = likest(noted, np.stack([-like, like]))
    assert np.allclose(both[1], expected, atol=1e-5)
    assert np.allclose(both[0], [-each[AWAY].min() for each in cosines], atol=1e-5)
    assert likest(noted[:0], like[None]).shape == (1, 0)


def test_evidence_is_for_less_against_and_what_is_no_number_counts_as_nothing() -> None:
    noted, positive, _ = seen(3, 2, np.zeros(2, bool))
    negative = np.full_like(positive, 0.001)
    positive[0, 0, 0] = np.nan
    positive[1, 0, 0] = np.inf
    found = described(noted, positive, negative)
    assert isinstance(found, Described) and len(found) == 2
    corner = positive[:, :4, :4] - 0.001
    corner[:, 0, 0] = 0
    assert np.allclose(found.evidence[:, 0], corner.sum((1, 2)), atol=1e-6)


def pattern(bound: float = 0.8, usual: float = 0.4) -> Pattern:
    like = np.eye(K, dtype=np.float32)[0]
    return Pattern(
        None, (), bound, np.ones(3, np.float32), np.zeros(3, bool), 0.1, 0.1, like=like, usual=usual
    )


def test_amounts_rise_from_a_quarter_of_what_others_show_at_most() -> None:
    found = amounts(pattern(), np.array([0.4, 0.6, 0.8, 1.0], np.float32))
    assert np.allclose(found, [0.25, 0.5, 1, 2], atol=1e-5)


def test_places_go_on_from_what_is_like_it_off_the_centre_and_one_beyond() -> None:
    noted = np.zeros((3, SIDE, SIDE, K), np.int8)
    noted[..., 1] = UNIT
    noted[:, 0, 0] = np.array([90, 89, 0, 0, 0, 0])  # .71: more than usual, less than the bound
    like = np.array([UNIT, 0, 0, 0, 0, 0])
    noted[0, 0, 5] = noted[0, 1, 4] = like  # off the centre, and in it beside
    noted[0, 2, 3] = like  # beside that, two places in the centre: what the picture is of
    noted[0, 5, 3] = like  # in the centre alone
    noted[1, 4, 4] = like
    found = places_like(noted, pattern())
    expected = np.zeros((SIDE, SIDE), bool)
    expected[0, 4:7] = expected[1, 3:6] = expected[2, 4] = True
    assert AWAY[0, 5] and not AWAY[1, 4]
    assert np.array_equal(found[0], expected)
    assert not found[1:].any()
    with pytest.raises(ValueError, match="by likeness"):
        places_like(
            noted, Pattern(0, (1,), 2.0, np.ones(1, np.float32), np.zeros(1, bool), 0.1, 0.1)
        )
