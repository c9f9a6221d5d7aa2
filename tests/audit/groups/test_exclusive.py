"""Parts that one class shows and others do not: found when there, not when not."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from melaudit.audit.groups.exclusive import (
    MAX_SHARE_OF_OTHERS,
    Counted,
    Pattern,
    counted,
    exclusive_patterns,
    unions,
)
from melaudit.audit.groups.portrait import outside_centre
from melaudit.audit.measure.visual_words import Vocabulary
from melaudit.statistics.overlap import jaccard

SIDE, WORDS = 8, 12
N = 160


def drawn(seed: int, n: int, planted: int = 0, places: int = 6) -> tuple[np.ndarray, np.ndarray]:
    """Draw words (n, SIDE, SIDE) of 10 common kinds; the first `planted` images show 10 and 11."""
    rng = np.random.default_rng(seed)
    visual_words = rng.integers(0, 10, (n, SIDE, SIDE)).astype(np.uint8)
    away = np.flatnonzero(outside_centre(SIDE, SIDE).ravel())
    for row in range(planted):
        chosen = rng.choice(away, places, replace=False)
        visual_words[row].reshape(-1)[chosen] = rng.integers(10, 12, places)
    evidence = rng.uniform(0.5, 1, (n, 2 * SIDE, 2 * SIDE)).astype(np.float32)
    return visual_words, evidence / evidence.sum((1, 2), keepdims=True)


def vocabulary() -> Vocabulary:
    """Return words at random places of the unit sphere, but 10 beside 11."""
    rng = np.random.default_rng(0)
    where = rng.normal(size=(WORDS, 5)).astype(np.float32)
    where[11] = where[10] + 0.05
    where /= np.linalg.norm(where, axis=1, keepdims=True)
    return Vocabulary("layer", SIDE, np.zeros(3, np.float32), np.eye(3, dtype=np.float32), where)


def patterns(planted: int, seed: int = 0, others: int = N) -> tuple[Pattern, ...]:
    own = counted(*drawn(seed, N, planted), WORDS)
    rest = counted(*drawn(seed + 1, others), WORDS)
    return exclusive_patterns([own], [rest], [vocabulary()], 10, seed)


@pytest.mark.parametrize("planted", [20, 60, 140])
def test_what_one_class_shows_is_found(planted: int) -> None:
    found = patterns(planted)
    assert found
    truth = np.arange(N) < planted
    assert jaccard(found[0].members, truth) > 0.9
    assert set(found[0].visual_words) >= {10, 11}
    assert found[0].others <= MAX_SHARE_OF_OTHERS
    assert found[0].stability > 0.6
    assert found[0].by_chance < found[0].stability


@pytest.mark.parametrize("seed", range(5))
def test_classes_that_show_the_same_have_no_part(seed: int) -> None:
    assert patterns(0, seed) == ()


def test_what_both_classes_show_is_no_part() -> None:
    own = counted(*drawn(0, N, 60), WORDS)
    rest = counted(*drawn(1, N, 60), WORDS)
    assert exclusive_patterns([own], [rest], [vocabulary()], 10, 0) == ()


def test_a_part_in_the_centre_is_not_looked_at() -> None:
    visual_words, evidence = drawn(0, N)
    centre = outside_centre(SIDE, SIDE) == 0
    visual_words[:80, centre] = 11
    rest = counted(*drawn(1, N), WORDS)
    assert (
        exclusive_patterns([counted(visual_words, evidence, WORDS)], [rest], [vocabulary()], 10, 0)
        == ()
    )


def test_too_few_others_set_no_bound() -> None:
    assert patterns(60, others=30) == ()


def test_members_come_in_the_order_of_how_much_they_show() -> None:
    (pattern, *_) = patterns(60)
    amounts = pattern.shown[pattern.order]
    assert (np.diff(amounts) <= 0).all()
    assert set(pattern.order.tolist()) == set(np.flatnonzero(pattern.members).tolist())


def test_the_same_seed_gives_the_same_patterns() -> None:
    first, second = patterns(60), patterns(60)
    assert [p.visual_words for p in first] == [p.visual_words for p in second]
    assert [p.strength for p in first] == [p.strength for p in second]


def test_words_and_evidence_are_counted_away_from_the_centre() -> None:
    visual_words, evidence = drawn(3, 7)
    found = counted(visual_words, evidence, WORDS)
    fine = torch.nn.functional.avg_pool2d(torch.from_numpy(evidence)[:, None], 2)[:, 0] * 4
    for row in range(7):
        for word in range(WORDS):
            places = rests = 0.0
            for y in range(SIDE):
                for x in range(SIDE):
                    far = np.hypot((y + 0.5) / SIDE - 0.5, (x + 0.5) / SIDE - 0.5) > 0.39894
                    if far and visual_words[row, y, x] == word:
                        places += 1
                        rests += float(fine[row, y, x])
            assert found.places[row, word] == places
            assert np.asarray(found.evidence)[row, word] == pytest.approx(rests, rel=1e-5)


def test_unions_hold_each_word_and_those_that_look_alike_or_come_together() -> None:
    places = np.zeros((50, WORDS), np.float32)
    places[:, :] = np.random.default_rng(0).poisson(3, (50, WORDS))
    places[:, 2] = places[:, 7]  # always come together
    joined = {
        tuple(np.flatnonzero(row).tolist()) for row in unions(vocabulary().visual_words, places)
    }
    assert {(word,) for word in range(WORDS)} <= joined
    assert (10, 11) in joined
    assert (2, 7) in joined
    assert max(map(len, joined)) <= WORDS / 3


def test_a_word_that_nobody_shows_joins_nothing_by_chance() -> None:
    places = np.random.default_rng(0).poisson(3, (50, WORDS)).astype(np.float32)
    places[:, 4] = 0
    assert np.isfinite(unions(vocabulary().visual_words, places).astype(float)).all()


def test_some_of_the_pictures() -> None:
    every = Counted(np.arange(6, dtype=np.float32)[:, None], np.ones((6, 1), np.float32))
    assert every.of(np.array([4, 1])).places.ravel().tolist() == [4, 1]


def test_what_both_vocabularies_tell_is_one_part_of_images_that_show_it_in_both() -> None:
    fine, coarse = drawn(0, N, 60), drawn(2, N, 60)
    rest, rest_coarse = counted(*drawn(1, N), WORDS), counted(*drawn(3, N), WORDS)
    own = [counted(*fine, WORDS), counted(*coarse, WORDS)]
    alone = [
        exclusive_patterns([o], [r], [vocabulary()], 10, 0)[0]
        for o, r in zip(own, (rest, rest_coarse), strict=True)
    ]
    found = exclusive_patterns(own, [rest, rest_coarse], [vocabulary(), vocabulary()], 10, 0)
    assert (found[0].members == (alone[0].members & alone[1].members)).all()
    assert found[0].others <= min(pattern.others for pattern in alone)


def test_a_map_that_is_no_number_rests_on_nothing() -> None:
    visual_words, evidence = drawn(0, 3)
    evidence[1] = np.nan
    found = counted(visual_words, evidence, WORDS)
    evidence = np.asarray(found.evidence)
    assert np.isfinite(evidence).all()
    assert evidence[1].sum() == 0 and evidence[0].sum() > 0


def test_evidence_of_many_images_is_added_up_only_for_those_that_are_asked_for() -> None:
    visual_words, evidence = drawn(0, 9)
    every = counted(visual_words, evidence, WORDS)
    evidence[5:] = np.inf  # read now, not when counted
    some = every.of(np.arange(9) < 5).of(np.array([4, 0]))
    again = counted(visual_words[[4, 0]], evidence[[4, 0]], WORDS)
    np.testing.assert_array_equal(np.asarray(some.evidence), np.asarray(again.evidence))
    np.testing.assert_array_equal(some.places, again.places)
    assert isinstance(some.held(np.array([1])).evidence, np.ndarray)
