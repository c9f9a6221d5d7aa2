"""A batch by hand: whoever tries a detector gives what it looks at, and no more."""

import numpy as np
import pytest

from melaudit.artifacts.interface import Found
from melaudit.artifacts.kinds.dark_ring import DarkRing
from melaudit.detectors.interface import Batch, BatchImages, CheckImages, UserKnowledge
from melaudit.detectors.near_duplicates import NearDuplicates
from melaudit.detectors.property_label import PropertyLabel

VIEWS = tuple(np.full((20, 30, 3), level, np.uint8) for level in (40, 90))


@pytest.mark.parametrize("detector", [NearDuplicates(), PropertyLabel()])
def test_images_are_enough_for_a_detector_that_looks_at_nothing_else(
    detector: NearDuplicates | PropertyLabel,
) -> None:
    measured = detector.measure(Batch(("a", "b"), BatchImages(VIEWS)))
    assert measured and all(len(column) == 2 for column in measured.values())


def test_the_users_word_comes_before_the_finders() -> None:
    nothing = np.zeros((20, 30), np.bool_)
    absent, seen = Found(0.0, False, nothing), Found(0.9, True, ~nothing)
    images = BatchImages(VIEWS, seen={"dark_ring": (seen, seen)})
    user = UserKnowledge(artifacts={"dark_ring": (absent, None)})
    assert Batch(("a", "b"), images, user=user).find(DarkRing()) == [absent, seen]


def test_checks_run_on_the_sample_and_costly_ones_on_a_handful_of_it() -> None:
    sampled, handful = np.array([1, 1, 0, 1], bool), np.array([0, 1, 0, 1], bool)
    images = CheckImages(sampled, handful)
    assert images.rows.tolist() == [0, 1, 3] and images.few.tolist() == [1, 3]
    rest = images.without(np.array([0, 1, 1, 0], bool))
    assert rest.rows.tolist() == [0, 3] and rest.few.tolist() == [3]
    assert CheckImages(sampled).few.tolist() == [0, 1, 3]


def test_a_batch_without_an_explainer_says_so() -> None:
    with pytest.raises(ValueError, match="has no explainer"):
        _ = Batch(("a",)).check_images.explainer
