"""What every registered artifact must do, whatever it is."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from benchmarks.pictures import radiograph
from melaudit.artifacts import Artifact, Phrases, Placebo, artifacts, held
from melaudit.artifacts.picture import MIN_VISIBLE_CHANGE
from tests.artifacts.pictures import RGB, lesion, pictures, root_mean_square, skin

ALL = artifacts()
LOCAL = tuple(artifact for artifact in ALL if not artifact.whole_picture)
SEEN = tuple(artifact for artifact in ALL if artifact.id != "picture_size")
"""All but the one that is found in the shape of the array and not in its pixels."""
SEEDS = range(4)
DOSES = (0.0, 0.25, 0.5, 0.75, 1.0)
SKIN = pictures()
CHESTS = [radiograph(np.random.default_rng(k), bool(k % 2), side=240) for k in range(3)]
IN_RADIOGRAPHS = ("side_marker", "annotation", "tube", "black_border", "inverted")


def shown(artifact: Artifact) -> list[RGB]:
    """Pictures in which it comes up."""
    return CHESTS if artifact.id in IN_RADIOGRAPHS else SKIN


of_every_kind = pytest.mark.parametrize("artifact", ALL, ids=lambda artifact: artifact.id)
THIN = ("ruler", "hair", "gel_bubble", "tube", "annotation", "side_marker")
"""Nothing smooth fits inside a hair: these spread the change nearby, see test_thin_artifacts.py."""
WIDE = tuple(artifact for artifact in ALL if artifact.id not in THIN)
of_some_width = pytest.mark.parametrize("artifact", WIDE, ids=lambda artifact: artifact.id)
in_the_pixels = pytest.mark.parametrize("artifact", SEEN, ids=lambda artifact: artifact.id)
with_a_place = pytest.mark.parametrize("artifact", LOCAL, ids=lambda artifact: artifact.id)


def _rng(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


@of_every_kind
def test_it_names_itself(artifact: Artifact) -> None:
    assert artifact.id.isidentifier()
    assert artifact.id == artifact.id.lower()
    assert isinstance(artifact.phrases, Phrases)
    said = vars(artifact.phrases)
    assert bool(said.pop("made")) == artifact.whole_picture
    assert all(said.values())
    assert artifact.title
    assert artifact.doses
    assert artifact.remedy.endswith(".")
    assert 0 < artifact.threshold <= 1


@of_every_kind
def test_dose_nought_changes_nothing(artifact: Artifact) -> None:
    for seed, picture in enumerate(shown(artifact)):
        edited = held.add(artifact, picture, _rng(seed), 0.0)
        assert (edited.image == picture).all()
        assert not edited.mask.any()


@of_every_kind
def test_the_change_grows_with_the_dose(artifact: Artifact) -> None:
    everywhere = np.ones(shown(artifact)[0].shape[:2], np.bool_)
    for seed in SEEDS:
        images = [held.add(artifact, shown(artifact)[0], _rng(seed), dose).image for dose in DOSES]
        changes = [root_mean_square(shown(artifact)[0], image, everywhere) for image in images]
        assert all(b >= a - 0.01 for a, b in pairwise(changes)), changes
        assert changes[-1] > 0.5


@with_a_place
def test_its_place_is_the_same_whatever_the_dose(artifact: Artifact) -> None:
    for seed in SEEDS:
        weak, strong = (
            held.add(artifact, shown(artifact)[0], _rng(seed), dose).mask for dose in (0.5, 1.0)
        )
        assert weak.any()
        assert (weak & strong).sum() >= 0.98 * weak.sum()


@of_every_kind
def test_the_same_seed_gives_the_same_edit_and_another_another(artifact: Artifact) -> None:
    first, again, other = (held.add(artifact, shown(artifact)[0], _rng(seed)) for seed in (1, 1, 2))
    assert (first.image == again.image).all()
    assert (first.mask == again.mask).all()
    assert (first.image != other.image).any()
    placebos, repeated = (
        held.placebos(artifact, shown(artifact)[0], first, _rng(3)) for _ in range(2)
    )
    # Whichever of them are painted, and in whatever order.
    backwards = [placebo.image for placebo in reversed(repeated)]
    for placebo, image in zip(placebos, reversed(backwards), strict=True):
        assert (placebo.image == image).all()


@of_every_kind
def test_nothing_is_changed_in_place(artifact: Artifact) -> None:
    picture = shown(artifact)[1].copy()
    picture.setflags(write=False)
    edited = held.add(artifact, picture, _rng(0))
    edited.image.setflags(write=False)
    held.find(artifact, edited.image)
    held.remove(artifact, edited.image, edited.mask)
    held.placebos(artifact, picture, edited, _rng(0))
    assert (picture == shown(artifact)[1]).all()


@of_every_kind
def test_the_mask_of_an_edit_holds_every_visible_change(artifact: Artifact) -> None:
    for seed, picture in enumerate(shown(artifact)):
        edited = held.add(artifact, picture, _rng(seed))
        change = np.abs(edited.image.astype(int) - picture).max(2)
        assert (change[~edited.mask] <= MIN_VISIBLE_CHANGE + 2).all()
        assert edited.mask.dtype == np.bool_


@in_the_pixels
def test_what_is_added_raises_the_score_and_what_is_taken_out_lowers_it(
    artifact: Artifact,
) -> None:
    raised = lowered = found = total = 0
    for number, picture in enumerate(shown(artifact)[:2]):
        before = held.find(artifact, picture).score
        for seed in SEEDS:
            edited = held.add(artifact, picture, _rng(10 * number + seed))
            after = held.find(artifact, edited.image)
            removed = held.remove(artifact, edited.image, edited.mask)
            left = held.find(artifact, removed.image).score
            assert removed.image.shape == picture.shape
            total += 1
            found += after.present
            raised += after.score > before
            lowered += left < after.score or after.score == 0
    assert raised >= 0.75 * total
    assert lowered >= 0.75 * total
    assert found >= 0.5 * total


@with_a_place
def test_removal_leaves_what_lies_far_from_the_mask_untouched(artifact: Artifact) -> None:
    picture = shown(artifact)[0]
    mask = np.zeros(picture.shape[:2], np.bool_)
    mask[:30, :60] = True
    removed = held.remove(artifact, picture, mask)
    far = np.ones_like(mask)
    far[:70, :100] = False
    assert (removed.image[far] == picture[far]).all()
    assert not removed.mask[far].any()
    nothing = held.remove(artifact, picture, np.zeros_like(mask))
    assert (nothing.image == picture).all()
    assert not nothing.mask.any()


@in_the_pixels
def test_plain_skin_of_any_tone_has_none(artifact: Artifact) -> None:
    # Pixels cannot tell very dark skin from a short exposure.
    for picture in shown(artifact)[:2] if artifact.id == "brightness" else shown(artifact):
        found = held.find(artifact, picture)
        assert not found.present, found.score
        assert not found.mask.any()


def _neutral(placebos: tuple[Placebo, ...]) -> list[Placebo]:
    return [placebo for placebo in placebos if placebo.look_alike is None]


@of_every_kind
def test_it_has_two_to_five_placebos_of_which_one_means_nothing(artifact: Artifact) -> None:
    edited = held.add(artifact, shown(artifact)[0], _rng(0))
    placebos = tuple(held.placebos(artifact, shown(artifact)[0], edited, _rng(0)))
    assert 2 <= len(placebos) <= 5
    assert _neutral(placebos)
    assert len({placebo.id for placebo in placebos}) == len(placebos)
    for placebo in placebos:
        assert placebo.id.isidentifier()
        assert placebo.title
        assert placebo.image.shape == shown(artifact)[0].shape
        assert placebo.image.dtype == np.uint8
        assert (placebo.image != shown(artifact)[0]).any()


@of_some_width
def test_neutral_placebos_keep_to_the_place_and_one_changes_about_as_much(
    artifact: Artifact,
) -> None:
    for seed, picture in enumerate(shown(artifact)[:2]):
        edited = held.add(artifact, picture, _rng(seed))
        neutral = _neutral(tuple(held.placebos(artifact, picture, edited, _rng(seed))))
        strength = root_mean_square(picture, edited.image, edited.mask)
        shares = [root_mean_square(picture, p.image, edited.mask) / strength for p in neutral]
        # A black ring or a white frame changes skin by more than anything smooth can.
        assert max(shares) > (0.15 if strength > 100 else 0.3), shares
        assert max(shares) < 1.5
        for placebo in neutral:
            change = np.abs(placebo.image.astype(int) - picture).max(2)
            assert (change[~edited.mask] <= MIN_VISIBLE_CHANGE + 2).all()


@in_the_pixels
def test_neutral_placebos_are_not_taken_for_it(artifact: Artifact) -> None:
    alarms = total = 0
    for seed in SEEDS:
        edited = held.add(artifact, shown(artifact)[0], _rng(seed))
        for placebo in _neutral(
            tuple(held.placebos(artifact, shown(artifact)[0], edited, _rng(seed)))
        ):
            alarms += held.find(artifact, placebo.image).present
            total += 1
    assert alarms <= 0.125 * total


ODD = [(1, 1), (1, 100), (100, 1), (2000, 30), (17, 33), (64, 64)]


@pytest.mark.parametrize("size", ODD, ids=str)
@of_every_kind
def test_odd_shapes_are_no_error(artifact: Artifact, size: tuple[int, int]) -> None:
    for picture in (
        skin(*size),
        np.zeros((*size, 3), np.uint8),
        np.full((*size, 3), 255, np.uint8),
    ):
        found = held.find(artifact, picture)
        assert found.mask.shape == size
        assert 0 <= found.score <= 1
        edited = held.add(artifact, picture, _rng(0))
        assert edited.image.shape == picture.shape
        assert edited.mask.shape == size
        removed = held.remove(artifact, edited.image, edited.mask)
        assert removed.image.shape == picture.shape
        everything = held.remove(artifact, picture, np.ones(size, np.bool_))
        assert everything.image.dtype == np.uint8
        for placebo in held.placebos(artifact, picture, edited, _rng(0)):
            assert placebo.image.shape == picture.shape


BAD = [
    np.zeros((9, 9), np.uint8),
    np.zeros((9, 9, 4), np.uint8),
    np.zeros((0, 9, 3), np.uint8),
    np.zeros((9, 9, 3), np.float32),
]


@pytest.mark.parametrize("array", BAD, ids=["grey", "rgba", "empty", "float"])
@of_every_kind
def test_an_array_that_is_no_picture_is_refused_in_words(artifact: Artifact, array: RGB) -> None:
    with pytest.raises(ValueError, match=r"RGB image \(h, w, 3\)"):
        held.find(artifact, array)
    with pytest.raises(ValueError, match=r"RGB image \(h, w, 3\)"):
        held.add(artifact, array, _rng(0))


@of_every_kind
def test_a_mask_of_another_size_and_a_dose_beyond_one_are_refused(artifact: Artifact) -> None:
    picture = lesion(skin(60, 80))
    with pytest.raises(ValueError, match="mask"):
        held.remove(artifact, picture, np.zeros((80, 60), np.bool_))
    with pytest.raises(ValueError, match="dose"):
        held.add(artifact, picture, _rng(0), 1.5)
