"""A discovered artifact keeps the contract of all, with what its pool of images holds."""

from __future__ import annotations

import numpy as np
import pytest

from melaudit.artifacts import held
from melaudit.artifacts.discovered import Discovered, Pool, Source, nearest
from melaudit.artifacts.interface import RGB, Artifact, Mask, Phrases

SIDE = 80
PHRASES = Phrases("part", "with it", "other", "a part", "parts", "at its place")


def _skin(rng: np.random.Generator, level: float) -> RGB:
    colour = np.array([level, 0.8 * level, 0.7 * level])
    image = colour + rng.normal(0, 2, (SIDE, SIDE, 3))
    return np.clip(image, 0, 255).astype(np.uint8)


def _place(left: int) -> Mask:
    mask = np.zeros((SIDE, SIDE), bool)
    mask[8:24, left : left + 20] = True
    return mask


def _see(image: RGB) -> tuple[float, Mask]:
    """See what is nearly black."""
    dark = image.max(2) < 60
    return float(dark.sum()) / 50, dark


def _made(left: int = 4) -> Discovered:
    rng = np.random.default_rng(0)
    donors = []
    for _ in range(5):
        image = _skin(rng, 190)
        image[12:20, left + 4 : left + 16] = 10
        donors.append(Source(image, _place(left)))
    alike = tuple(_skin(rng, level) for level in (120, 190, 230))
    others = tuple(_skin(rng, 150) for _ in range(3))
    return Discovered(
        "discovered_1", "Discovered", PHRASES, Pool(tuple(donors), alike, others, "malignant"), _see
    )


def test_it_is_an_artifact_and_found_where_it_was_put_in() -> None:
    artifact: Artifact = _made()
    image = _skin(np.random.default_rng(1), 210)
    assert not held.find(artifact, image).present
    edited = held.add(artifact, image, np.random.default_rng(2))
    found = held.find(artifact, edited.image)
    assert found.present
    assert (found.mask & _place(4)).sum() > 0.9 * found.mask.sum()
    removed = held.remove(artifact, edited.image, _place(4))
    assert not held.find(artifact, removed.image).present
    assert abs(removed.image.astype(int) - image).mean() < 3


def test_the_same_numbers_give_the_same_place_at_every_dose() -> None:
    artifact, image = _made(), _skin(np.random.default_rng(1), 210)
    whole, again = (held.add(artifact, image, np.random.default_rng(3)) for _ in range(2))
    np.testing.assert_array_equal(whole.image, again.image)
    nothing = held.add(artifact, image, np.random.default_rng(3), 0.0)
    np.testing.assert_array_equal(nothing.image, image)
    with pytest.raises(ValueError, match="dose"):
        artifact.add(image, np.random.default_rng(3), 2.0)


def test_placebos_are_the_same_place_without_the_part_and_the_part_elsewhere() -> None:
    artifact, image = _made(), _skin(np.random.default_rng(1), 210)
    edited = held.add(artifact, image, np.random.default_rng(3))
    made = {p.id: p for p in held.placebos(artifact, image, edited, np.random.default_rng(4))}
    assert list(made) == ["same_class", "other_class", "mirrored"]
    assert made["mirrored"].look_alike is not None
    for name in ("same_class", "other_class"):
        assert made[name].look_alike is None
        assert not _see(made[name].image)[1].any()
    mirrored = _see(made["mirrored"].image)[1]
    assert mirrored.any()
    assert not (mirrored & edited.mask).any()


def test_a_part_that_is_its_own_mirror_image_has_no_other_place() -> None:
    artifact, image = _made(left=30), _skin(np.random.default_rng(1), 210)
    edited = held.add(artifact, image, np.random.default_rng(3))
    made = held.placebos(artifact, image, edited, np.random.default_rng(4))
    assert [p.id for p in made] == ["same_class", "other_class"]


def test_placebos_of_what_it_did_not_put_in_are_refused() -> None:
    artifact, image = _made(), _skin(np.random.default_rng(1), 210)
    removed = artifact.remove(image, _place(4))
    with pytest.raises(ValueError, match="add"):
        artifact.placebos(image, removed, np.random.default_rng(0))


def test_the_picture_with_the_nearest_surroundings_is_put_over_a_part() -> None:
    rng = np.random.default_rng(5)
    pictures = [_skin(rng, level) for level in (90, 150, 240)]
    for level, expected in ((100, 0), (160, 1), (220, 2)):
        image = _skin(rng, level)
        image[_place(4)] = 0  # the part itself does not count
        assert nearest(image, _place(4), pictures) is pictures[expected]
