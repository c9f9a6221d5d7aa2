"""The pass: which images the expensive checks run on."""

from __future__ import annotations

import numpy as np
import pytest

from melaudit.audit.measure.measurer import HANDFUL, CheckSample
from melaudit.statistics.sampling import sample


@pytest.mark.parametrize("size", [0, 1, 3, 4, 5, 16])
def test_the_most_expensive_checks_run_on_a_few_of_the_sampled_images(size: int) -> None:
    labels = np.repeat([0, 1], 40)
    sampled = sample(labels, size, seed=3)
    handful = CheckSample(sampled).handful
    assert handful.sum() == min(size, HANDFUL)
    assert not (handful & ~sampled).any()
    if size >= HANDFUL:
        assert set(labels[handful]) == {0, 1}


def test_everything_sampled_still_means_only_a_few() -> None:
    assert np.flatnonzero(CheckSample(np.ones(8, bool)).handful).tolist() == [0, 2, 5, 7]
