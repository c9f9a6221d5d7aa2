"""Strategies: planted groups come out whole, noise gives none, each image is in one at most."""

from collections.abc import Callable

import numpy as np
import pytest

from melaudit.audit.groups.embedding import pooled
from melaudit.audit.groups.strategies import smallest_group, strategies
from melaudit.measurements import GRID, Array, SomeRows

Planted = Callable[[int, int, int], tuple[Array, Array, Array]]

pytestmark = pytest.mark.usefixtures("few_draws")


@pytest.mark.parametrize("seed", range(2))
def test_a_planted_strategy_is_found_whole_and_pure(planted: Planted, seed: int) -> None:
    concepts, maps, inside = planted(200, 60, seed)
    found = strategies(concepts, pooled(maps), 0)
    best = max(found, key=lambda s: inside[s.members].mean())
    assert inside[best.members].mean() >= 0.95
    assert inside[best.members].sum() >= 0.9 * 60
    assert best.stability > best.by_chance
    members = np.concatenate([s.members for s in found])
    assert len(np.unique(members)) == len(members)


@pytest.mark.parametrize("seed", range(3))
def test_noise_gives_no_strategy(seed: int) -> None:
    rng = np.random.default_rng(seed)
    maps = rng.normal(size=(200, GRID, GRID)) + rng.normal(size=(200, 1, 1))
    concepts = rng.normal(size=(200, 5)) @ rng.normal(size=(5, 40)) + rng.normal(size=(200, 40))
    assert strategies(concepts, pooled(maps), 0) == ()


def test_one_strategy_seen_in_two_places_is_one_group(planted: Planted) -> None:
    """The ring: the same channels, on the left of one image and on the right of another."""
    rng = np.random.default_rng(0)
    concepts, maps, inside = planted(240, 100, 3)
    x = np.mgrid[:GRID, :GRID][1]
    left = rng.random(240) < 0.5
    side = np.where(left[:, None, None], x < GRID / 2, x >= GRID / 2)
    maps = np.where(inside[:, None, None], maps * side * 2, maps)
    found = strategies(concepts, pooled(maps), 0)
    shares = [inside[s.members].sum() / inside.sum() for s in found]
    assert max(shares) >= 0.9


def test_broken_rows_belong_nowhere_and_too_few_images_give_nothing(planted: Planted) -> None:
    concepts, maps, _ = planted(200, 60, 0)
    concepts[5] = np.nan
    assert all(5 not in s.members for s in strategies(concepts, pooled(maps), 0))
    assert strategies(concepts[:15], pooled(maps[:15]), 0) == ()
    assert strategies(np.zeros((60, 3)), np.zeros((60, 4), np.float32), 0) == ()


def test_the_smallest_group_grows_slower_than_a_large_class() -> None:
    sizes = [smallest_group(n) for n in (50, 400, 2000, 10_000, 400_000)]
    assert sizes == [10, 20, 100, 223, 1414]


def test_rows_that_are_read_when_asked_for_give_the_same_groups(planted: Planted) -> None:
    concepts, maps, _ = planted(200, 60, 0)
    rows = np.arange(len(concepts))[::-1]
    found = strategies(SomeRows(concepts, rows), pooled(maps)[rows], 0)
    known = strategies(concepts[rows], pooled(maps)[rows], 0)
    assert [s.members.tolist() for s in found] == [s.members.tolist() for s in known] != []
