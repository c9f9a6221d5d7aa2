"""What a sample says of all, by drawing many."""

import numpy as np
import pytest

from melaudit.statistics.sampling import margin


@pytest.mark.parametrize(("drawn", "of"), [(50, 1000), (400, 1000), (10, 20)])
def test_95_of_100_samples_lie_within_the_margin(drawn: int, of: int) -> None:
    rng = np.random.default_rng(0)
    everything = np.arange(of) < of // 2
    shares = np.array([rng.permutation(everything)[:drawn].mean() for _ in range(2000)])
    within = (abs(shares - 0.5) <= margin(drawn, of)).mean()
    assert 0.92 < within < 0.99


def test_all_images_leave_no_error() -> None:
    assert margin(7, 7) == 0
