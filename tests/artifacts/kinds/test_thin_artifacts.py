"""What rulers, hairs and bubbles have in common: added, taken out, compared with placebos."""

from __future__ import annotations

import numpy as np
import pytest

from melaudit.artifacts import Artifact
from melaudit.artifacts.kinds.gel_bubble import GelBubble
from melaudit.artifacts.kinds.hair import Hair
from melaudit.artifacts.kinds.ruler import Ruler
from tests.artifacts.drawn import DARK, FAIR, RGB, TAN, skin_with_lesion

each = pytest.mark.parametrize(
    "artifact", [Ruler(), Hair(), GelBubble()], ids=lambda artifact: artifact.id
)
SEEDS = range(5)
PICTURE = skin_with_lesion()


def _rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def _energy(before: RGB, after: RGB) -> float:
    return float(((after.astype(int) - before.astype(int)) ** 2).sum())


@each
@pytest.mark.parametrize("colour", [FAIR, TAN, DARK], ids=["fair", "tan", "dark"])
def test_clean_skin_of_any_tone_has_none(artifact: Artifact, colour: tuple[int, int, int]) -> None:
    for seed in SEEDS:
        found = artifact.find(skin_with_lesion(colour=colour, seed=seed))
        assert not found.present, found.score
        assert not found.mask.any()


@each
@pytest.mark.parametrize("colour", [TAN, DARK], ids=["tan", "dark"])
@pytest.mark.parametrize("size", [180, 512])
def test_what_is_added_is_mostly_found_where_it_is(
    artifact: Artifact, size: int, colour: tuple[int, int, int]
) -> None:
    picture = skin_with_lesion(size, colour)
    present = 0
    for seed in SEEDS:
        edited = artifact.add(picture, _rng(seed))
        found = artifact.find(edited.image)
        assert found.mask.shape == (size, size)
        assert found.score > artifact.find(picture).score
        if found.present:
            present += 1
            y, x = np.nonzero(edited.mask)
            # One pixel of the reduced copy is as far as a mask can be off.
            near = np.zeros_like(edited.mask)
            reach = 4 + size // 100
            for dy, dx in ((0, 0), (reach, 0), (-reach, 0), (0, reach), (0, -reach)):
                near[(y + dy).clip(0, size - 1), (x + dx).clip(0, size - 1)] = True
            assert (found.mask & near).sum() > 0.7 * found.mask.sum()
    assert present >= 3


@each
def test_the_dose_changes_how_strong_it_is_and_not_where(artifact: Artifact) -> None:
    for seed in SEEDS:
        edits = [artifact.add(PICTURE, _rng(seed), dose) for dose in (0.0, 0.3, 0.6, 1.0)]
        assert (edits[0].image == PICTURE).all()
        assert not edits[0].mask.any()
        strength = [_energy(PICTURE, edited.image) for edited in edits]
        assert strength == sorted(strength)
        assert strength[-1] > 2 * strength[1] > 0
        assert (edits[1].mask & ~edits[3].mask).mean() < 1e-3


@each
def test_the_same_state_of_the_generator_gives_the_same_edits(artifact: Artifact) -> None:
    picture = PICTURE.copy()
    picture.setflags(write=False)
    one, two, other = (artifact.add(picture, _rng(seed)) for seed in (3, 3, 4))
    assert (one.image == two.image).all()
    assert (one.image != other.image).any()
    first, second = (artifact.placebos(picture, one, _rng(5)) for _ in range(2))
    assert [p.id for p in first] == [p.id for p in second]
    assert all((a.image == b.image).all() for a, b in zip(first, second, strict=True))


@each
def test_taking_it_out_lowers_the_score_and_leaves_the_rest_as_it_was(artifact: Artifact) -> None:
    picture = skin_with_lesion(colour=DARK)
    lower = 0
    for seed in SEEDS:
        edited = artifact.add(picture, _rng(seed))
        removed = artifact.remove(edited.image, edited.mask)
        lower += artifact.find(removed.image).score < artifact.find(edited.image).score
        # Less is left of the edit than there was, and nothing changed far from it.
        assert _energy(picture, removed.image) < 0.3 * _energy(picture, edited.image)
        y, x = np.nonzero(removed.mask)
        edge_y, edge_x = np.nonzero(edited.mask)
        far = [
            (abs(edge_y - a) + abs(edge_x - b)).min() for a, b in zip(y[::37], x[::37], strict=True)
        ]
        assert max(far) <= 8
    assert lower == len(SEEDS)


@each
def test_nothing_to_take_out_is_nothing_changed(artifact: Artifact) -> None:
    removed = artifact.remove(PICTURE, np.zeros(PICTURE.shape[:2], np.bool_))
    assert (removed.image == PICTURE).all()
    assert not removed.mask.any()


@each
def test_the_neutral_placebo_changes_as_much_nearby_and_is_not_taken_for_it(
    artifact: Artifact,
) -> None:
    for seed in SEEDS:
        edited = artifact.add(PICTURE, _rng(seed))
        placebos = artifact.placebos(PICTURE, edited, _rng(seed))
        neutral = [placebo for placebo in placebos if placebo.look_alike is None]
        assert len(neutral) == 1
        assert _energy(PICTURE, neutral[0].image) == pytest.approx(
            _energy(PICTURE, edited.image), rel=0.15
        )
        assert not artifact.find(neutral[0].image).present
        # Its weight lies about where the edit's does: of 200 scales within .03 of the picture in
        # the median, one .26 away.
        centres = []
        for image in (edited.image, neutral[0].image):
            change = ((image.astype(float) - PICTURE) ** 2).sum(2)
            y, x = np.mgrid[: change.shape[0], : change.shape[1]]
            centres.append(((y * change).sum() / change.sum(), (x * change).sum() / change.sum()))
        (y0, x0), (y1, x1) = centres
        assert np.hypot(y1 - y0, x1 - x0) < 0.3 * len(PICTURE)


@each
def test_look_alikes_say_what_may_be_claimed_and_differ(artifact: Artifact) -> None:
    edited = artifact.add(PICTURE, _rng(1))
    placebos = artifact.placebos(PICTURE, edited, _rng(1))
    alike = [placebo for placebo in placebos if placebo.look_alike]
    assert len(alike) == 2
    assert len({placebo.look_alike for placebo in alike}) == 2
    for placebo in alike:
        strength = _energy(PICTURE, placebo.image) / _energy(PICTURE, edited.image)
        assert 0.3 < strength < 1.2
        assert (placebo.image != edited.image).any()


@each
@pytest.mark.parametrize("size", [(1, 1), (1, 100), (100, 1), (2000, 30), (33, 17)], ids=str)
def test_odd_shapes_are_no_error(artifact: Artifact, size: tuple[int, int]) -> None:
    noise = _rng().integers(90, 110, (*size, 3)).astype(np.uint8)
    for picture in (noise, np.zeros((*size, 3), np.uint8), np.full((*size, 3), 255, np.uint8)):
        assert artifact.find(picture).mask.shape == size
        edited = artifact.add(picture, _rng())
        assert edited.image.shape == picture.shape
        assert artifact.remove(edited.image, edited.mask).image.shape == picture.shape
        assert artifact.remove(picture, np.ones(size, np.bool_)).image.shape == picture.shape
        for placebo in artifact.placebos(picture, edited, _rng()):
            assert placebo.image.shape == picture.shape


@each
@pytest.mark.parametrize(
    "array",
    [np.zeros((9, 9), np.uint8), np.zeros((9, 9, 4), np.uint8), np.zeros((9, 9, 3), np.float32)],
    ids=["grey", "rgba", "float"],
)
def test_an_array_that_is_no_image_is_refused_in_words(artifact: Artifact, array: RGB) -> None:
    with pytest.raises(ValueError, match=r"RGB image \(h, w, 3\)"):
        artifact.find(array)
    with pytest.raises(ValueError, match=r"RGB image \(h, w, 3\)"):
        artifact.add(array, _rng())


@each
def test_a_dose_beyond_one_and_a_mask_of_another_size_are_refused(artifact: Artifact) -> None:
    with pytest.raises(ValueError, match="dose"):
        artifact.add(PICTURE, _rng(), 1.5)
    with pytest.raises(ValueError, match="mask"):
        artifact.remove(PICTURE, np.zeros((9, 9), np.bool_))
