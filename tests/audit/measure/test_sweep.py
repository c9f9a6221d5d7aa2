"""The pass: which images the probes run on."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from melaudit.audit.measure.sweep import FEW, Sweep
from melaudit.images.sampling import sample


def plan(sampled: Any) -> Sweep:
    rest: dict[str, Any] = dict.fromkeys(
        ("explainer", "detectors", "preprocessing", "device", "layer", "batch_size", "workers")
    )
    return Sweep(**rest, sampled=np.asarray(sampled, bool))


@pytest.mark.parametrize("size", [0, 1, 3, 4, 5, 16])
def test_the_most_expensive_probes_run_on_a_few_of_the_sampled_images(size: int) -> None:
    labels = np.repeat([0, 1], 40)
    sampled = sample(labels, size, seed=3)
    few = plan(sampled).few
    assert few.sum() == min(size, FEW)
    assert not (few & ~sampled).any()
    if size >= FEW:
        assert set(labels[few]) == {0, 1}


def test_everything_sampled_still_means_only_a_few() -> None:
    assert np.flatnonzero(plan(np.ones(8)).few).tolist() == [0, 2, 5, 7]
