"""A discovered look keeps the contract of all artifacts, with the looks that its pool holds."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from melaudit.artifacts import held
from melaudit.artifacts.discovered_look import DiscoveredLook, Looks, around
from melaudit.artifacts.interface import RGB, Artifact, Phrases
from melaudit.artifacts.painting.look import Look, given_look, look_of, mirrored
from melaudit.artifacts.painting.relighting import relit
from melaudit.artifacts.search.blurriness import blurriness
from melaudit.artifacts.search.photometry import photometry

SIDE = 96
PHRASES = Phrases(
    "look", "with it", "other", "a bluer picture", "bluer pictures", made="made bluer"
)
LAMP, NEUTRAL = np.array([0.75, 1.0, 1.3]), np.ones(3)


def _skin(seed: int) -> RGB:
    rng = np.random.default_rng(seed)
    image = np.full((SIDE, SIDE, 3), (190, 160, 145)) + rng.normal(0, 12, (SIDE, SIDE, 3))
    image += rng.normal(0, 10)
    y, x = np.mgrid[:SIDE, :SIDE] - SIDE / 2
    image[np.hypot(y, x) < 20] -= 70
    return np.clip(image, 0, 255).astype(np.uint8)


def _blue(image: RGB) -> float:
    return float(2.0 ** (1 - photometry(image).zone[2] / 4))


def _made() -> DiscoveredLook:
    def looks(first: int, lamp: NDArray[np.float64]) -> tuple[Look, ...]:
        images = [relit(_skin(seed), lamp) for seed in range(first, first + 5)]
        return tuple(look_of(image, around(image)) for image in images)

    pool = Looks(looks(0, LAMP), looks(5, NEUTRAL), looks(10, NEUTRAL), "malignant")
    return DiscoveredLook("discovered_bluer", "Discovered", PHRASES, pool, _blue)


def test_a_picture_takes_on_the_colour_of_a_donor_and_gets_its_own_back() -> None:
    artifact: Artifact = _made()
    image = _skin(20)
    assert not held.find(artifact, image).present
    edited = held.add(artifact, image, np.random.default_rng(2))
    found = held.find(artifact, edited.image)
    assert found.present
    assert found.mask.all()
    lamp = relit(image, LAMP)
    assert abs(photometry(edited.image).zone[1:] - photometry(lamp).zone[1:]).max() < 3
    removed = held.remove(artifact, edited.image, found.mask)
    assert not held.find(artifact, removed.image).present
    assert abs(photometry(removed.image).zone[1:] - photometry(image).zone[1:]).max() < 3


def test_a_look_keeps_the_contrast_of_the_object_and_black_stays_black() -> None:
    image = _skin(20)
    image[:8] = 0
    look = look_of(relit(_skin(1), LAMP), around(_skin(1)))
    moved = given_look(image, around(image), look)
    assert moved[:8].max() <= 2
    middle, rim = (slice(40, 56),) * 2, (slice(20, 30), slice(0, 96))
    before, after = (
        photometry(each[rim]).whole[0] - photometry(each[middle]).whole[0]
        for each in (image, moved)
    )
    assert abs(before - after) < 3


def test_a_blurred_donor_blurs_and_a_sharp_one_sharpens() -> None:
    sharp = _skin(20)
    blurred = np.asarray(cv2.GaussianBlur(_skin(3), (0, 0), 1.2), np.uint8)
    dulled = given_look(sharp, around(sharp), look_of(blurred, around(blurred)))
    assert abs(blurriness(dulled) - blurriness(blurred)) < 0.15
    back = given_look(blurred, around(blurred), look_of(sharp, around(sharp)))
    assert blurriness(back) < blurriness(blurred) - 0.08


def test_the_same_numbers_give_the_same_look_at_every_dose() -> None:
    artifact, image = _made(), _skin(20)
    whole, again = (held.add(artifact, image, np.random.default_rng(3)) for _ in range(2))
    np.testing.assert_array_equal(whole.image, again.image)
    nothing = held.add(artifact, image, np.random.default_rng(3), 0.0)
    np.testing.assert_array_equal(nothing.image, image)
    half = held.add(artifact, image, np.random.default_rng(3), 0.5)
    assert _blue(image) < _blue(half.image) < _blue(whole.image)
    with pytest.raises(ValueError, match="dose"):
        artifact.add(image, np.random.default_rng(3), 2.0)


def test_placebos_are_looks_without_it_and_the_other_way() -> None:
    artifact, image = _made(), _skin(20)
    edited = held.add(artifact, image, np.random.default_rng(3))
    made = {p.id: p for p in held.placebos(artifact, image, edited, np.random.default_rng(4))}
    assert list(made) == ["same_class", "other_class", "uneven_light", "opposite"]
    alike = [p.id for p in made.values() if p.look_alike is not None]
    assert alike == ["uneven_light", "opposite"]
    for name in ("same_class", "other_class", "opposite"):
        assert not artifact.find(made[name].image).present
    assert _blue(made["opposite"].image) < _blue(image)
    # The object in the middle stays as it is, whatever is done around it.
    for changed in (edited.image, *(p.image for n, p in made.items() if n != "uneven_light")):
        np.testing.assert_array_equal(changed[30:66, 30:66], image[30:66, 30:66])
        assert (changed[:8] != image[:8]).any(2).mean() > 0.5
    own = look_of(image, around(image))
    np.testing.assert_allclose(mirrored(own, own).colour, own.colour)
    with pytest.raises(ValueError, match="add"):
        artifact.placebos(image, artifact.remove(image, around(image)), np.random.default_rng(0))


def test_only_what_it_is_about_is_changed() -> None:
    image, made = _skin(20), _made()
    blurred = np.asarray(cv2.GaussianBlur(relit(_skin(3), LAMP), (0, 0), 1.2), np.uint8)
    look = look_of(blurred, around(blurred))
    dull = given_look(image, around(image), look, of=(False, False, False, True))
    assert abs(photometry(dull).zone - photometry(image).zone).max() < 0.5
    assert blurriness(dull) > blurriness(image) + 0.05
    blue = given_look(image, around(image), look, of=(False, False, True, False))
    assert abs(photometry(blue).zone[:2] - photometry(image).zone[:2]).max() < 1.5
    assert photometry(blue).zone[2] < photometry(image).zone[2] - 5
    assert abs(blurriness(blue) - blurriness(image)) < 0.02
    assert made.of == (True, True, True, True)
