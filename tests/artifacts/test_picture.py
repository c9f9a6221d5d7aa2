"""Reduced copies of pictures, which finders share."""

from __future__ import annotations

import numpy as np
import pytest

from melaudit.artifacts.interface import Artifact
from melaudit.artifacts.picture import copies_kept, reduced
from melaudit.artifacts.registry import artifacts
from tests.artifacts.pictures import skin


def test_kept_copies_are_made_once_and_cannot_be_written_into() -> None:
    image, other = skin(seed=0), skin(seed=1)
    with copies_kept([image]):
        first = reduced(image, 48)
        assert reduced(image, 48) is first and reduced(image, 32) is not first
        assert reduced(other, 48) is not reduced(other, 48), "only of the pictures that are named"
        with pytest.raises(ValueError, match="read-only"):
            first[0] = 0
    assert reduced(image, 48) is not first
    assert np.array_equal(reduced(image, 48), first)


@pytest.mark.parametrize("artifact", artifacts(), ids=lambda artifact: str(artifact.id))
def test_a_finder_sees_the_same_in_kept_copies(artifact: Artifact) -> None:
    image = artifact.add(skin(seed=2), np.random.default_rng(0)).image
    alone = artifact.find(image)
    with copies_kept([image]):
        for _ in range(2):
            found = artifact.find(image)
            assert (found.score, found.present) == (alone.score, alone.present)
            assert np.array_equal(found.mask, alone.mask)
