"""Dense groups: as many as there are, landmarks like the whole, everything the same for a seed."""

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from melaudit.audit.groups.clustering import OUTLIER, by_size, dense_groups, vote
from melaudit.audit.groups.embedding import Points


def blobs(sizes: list[int], apart: float, seed: int) -> tuple[Points, np.ndarray]:
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(len(sizes), 5))
    centres *= apart / np.linalg.norm(centres, axis=1, keepdims=True)
    truth = np.repeat(np.arange(len(sizes)), sizes)
    return (centres[truth] + rng.normal(size=(len(truth), 5))).astype(np.float32), truth


def test_groups_come_out_the_largest_first_and_strays_stay_out() -> None:
    points, truth = blobs([60, 140, 90], 14, 0)
    points[0] = 200
    labels = dense_groups(points, 20, 0)
    assert labels[0] == OUTLIER
    assert np.bincount(labels[labels >= 0]).tolist() == sorted(
        np.bincount(labels[labels >= 0]).tolist(), reverse=True
    )
    settled = labels >= 0
    assert settled.mean() > 0.8
    assert adjusted_rand_score(truth[settled], labels[settled]) == 1


def test_landmarks_agree_with_the_whole() -> None:
    points, _ = blobs([500, 900, 300], 14, 1)
    whole, few = dense_groups(points, 80, 0), dense_groups(points, 80, 0, exact=500)
    both = (whole >= 0) & (few >= 0)
    assert both.mean() > 0.8
    assert adjusted_rand_score(whole[both], few[both]) > 0.99


def test_the_same_seed_gives_the_same_groups() -> None:
    points, _ = blobs([200, 200], 10, 2)
    first, second = (dense_groups(points, 40, 7, exact=150) for _ in range(2))
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("n", [1, 9, 19])
def test_too_few_points_are_all_outliers(n: int) -> None:
    assert (dense_groups(np.zeros((n, 2), np.float32), 10, 0) == OUTLIER).all()


def test_a_point_does_as_most_of_its_neighbours_do() -> None:
    known = np.array([[0.0], [0.1], [0.2], [9.0], [9.1], [9.2], [50.0]] * 3, np.float32)
    labels = np.array([0, 0, 0, 1, 1, 1, OUTLIER] * 3)
    found = vote(known, labels, np.array([[0.05], [9.05]], np.float32))
    assert found.tolist() == [0, 1]


def test_numbers_follow_size() -> None:
    assert by_size(np.array([0, 1, 1, 2, 2, 2, -1])).tolist() == [2, 1, 1, 0, 0, 0, -1]
