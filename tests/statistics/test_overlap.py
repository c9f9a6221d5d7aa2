"""The Jaccard index, against Python's own sets."""

import numpy as np
from numpy.typing import NDArray

from melaudit.statistics.overlap import jaccard, like_none, overlap, pairwise_jaccard


def by_sets(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> float:
    a, b = (set(np.flatnonzero(mask).tolist()) for mask in (first, second))
    return len(a & b) / len(a | b)


def test_of_masks_it_is_that_of_sets() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        first, second = rng.random((2, 30)) < rng.random((2, 1))
        first[0] = True
        assert jaccard(first, second) == by_sets(first, second) == jaccard(second, first)
        assert jaccard(first, first) == 1 and jaccard(first, ~first) == 0


def test_two_empty_groups_have_nothing_in_common() -> None:
    assert jaccard(np.zeros(3, bool), np.zeros(3, bool)) == 0


def test_of_labellings_it_is_that_of_each_pair_of_groups() -> None:
    first = np.array([0, 0, 0, 1, 1, -1])
    second = np.array([0, 0, 1, 1, -1, 1])
    for g in range(2):
        for h in range(2):
            expected = by_sets(first == g, second == h)
            assert pairwise_jaccard(first, second, 2)[g, h] == expected
            assert jaccard(first == g, second == h) == expected
    assert np.isnan(pairwise_jaccard(first, second, 3)[2]).all()
    assert pairwise_jaccard(first, np.full(6, -1), 2).shape == (2, 0)


def test_a_group_is_like_none_of_others_below_the_limit_and_of_none_at_all() -> None:
    own = np.array([True, True, False, False])
    half, same = np.array([True, False, False, False]), own.copy()
    assert like_none(own, [], 0.1)
    assert like_none(own, [half], 0.51) and not like_none(own, [half], 0.5)
    assert not like_none(own, [half, same], 0.9)


def test_the_overlap_is_the_share_of_the_smaller_place_that_lies_in_the_larger() -> None:
    large, small, apart = (np.zeros((300, 4, 4), np.uint8) for _ in range(3))
    large[:, :2], small[:, 1, :2], small[:, 2, :2], apart[:, 3] = 255, 1, 1, 7
    rows = np.arange(300)
    assert overlap(large, small, rows) == overlap(small, large, rows) == 0.5
    assert overlap(large, apart, rows) == 0
    assert overlap(large, np.zeros_like(large), rows) == 0
    small[290:] = 0
    assert overlap(large, small, rows[280:]) == 0.5
    assert overlap(large, small, rows[:0]) == 0
