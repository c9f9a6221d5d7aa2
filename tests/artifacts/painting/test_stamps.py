"""Marks are taken off pictures and put on others as they were; rows are completed."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from melaudit.artifacts.interface import Adaptable, Mask
from melaudit.artifacts.kinds.ruler import Ruler
from melaudit.artifacts.kinds.text import Text
from melaudit.artifacts.painting.stamps import lifted, stamped
from melaudit.artifacts.search.row_completion import completed
from tests.artifacts.drawn import DARK, FAIR, RGB, TAN, skin_with_lesion

BLUE = (20, 30, 160)


def lettered(picture: RGB, colour: tuple[int, int, int] = (12, 12, 14)) -> RGB:
    """The picture with tall digits along its lower edge."""
    page = Image.fromarray(picture)
    tall = len(picture) // 8
    place = (len(picture) // 10, len(picture) - 2 * tall)
    ImageDraw.Draw(page).text(place, "27.40.83", fill=colour, font=ImageFont.load_default(tall))
    return np.asarray(page)


def scaled(picture: RGB, wide: float, colour: tuple[int, int, int] = (12, 12, 14)) -> RGB:
    """The picture with a scale of bold ticks along its left side."""
    page = Image.fromarray(picture)
    pen = ImageDraw.Draw(page)
    side = len(picture)
    for k in range(12):
        y = (0.12 + 0.065 * k) * side
        pen.line([0.05 * side, y, 0.1 * side, y], fill=colour, width=round(wide * side))
    return np.asarray(page)


def where(before: RGB, after: RGB) -> Mask:
    differs: Mask = np.abs(before.astype(int) - after).sum(2) > 30
    return differs


@pytest.mark.parametrize("skin", [FAIR, TAN], ids=["fair", "tan"])
@pytest.mark.parametrize("colour", [(12, 12, 14), BLUE], ids=["black", "blue"])
def test_a_mark_is_put_on_other_skin_with_its_place_shape_and_colour(
    skin: tuple[int, int, int], colour: tuple[int, int, int]
) -> None:
    bare, other = skin_with_lesion(240, skin), skin_with_lesion(240, FAIR)
    shown = scaled(bare, 0.02, colour)
    truth = where(bare, shown)
    stamp = lifted(shown, truth)
    assert stamp is not None
    assert np.allclose(stamp.colour, colour, atol=12)

    edited = stamped(other, (stamp,), np.random.default_rng(0), 1.0)

    there = where(other, edited.image)
    assert (there & truth).sum() > 0.9 * truth.sum()
    assert (there & ~truth).sum() < 0.1 * truth.sum(), "nothing of the skin comes along"
    middle = edited.image[round(0.12 * 240), round(0.075 * 240)]
    assert np.allclose(middle, colour, atol=40)


def test_a_mark_fits_pictures_of_other_sizes_and_fades_with_the_dose() -> None:
    shown = scaled(skin_with_lesion(240), 0.02)
    stamp = lifted(shown, where(skin_with_lesion(240), shown))
    assert stamp is not None
    for size in (120, 400):
        picture = skin_with_lesion(size)
        changes = [
            np.abs(
                stamped(picture, (stamp,), np.random.default_rng(0), dose).image.astype(int)
                - picture
            ).mean()
            for dose in (0, 0.5, 1)
        ]
        assert changes[0] == 0
        assert changes[1] == pytest.approx(changes[2] / 2, rel=0.1)


def test_nothing_is_taken_where_nothing_stands_out() -> None:
    picture = skin_with_lesion(200)
    mask = np.zeros((200, 200), bool)
    assert lifted(picture, mask) is None
    mask[5:15, 5:60] = True
    assert lifted(picture, mask) is None


@pytest.mark.parametrize("artifact", [Ruler(), Text()], ids=lambda a: a.id)
def test_rulers_and_lettering_are_put_in_as_pictures_show_them(artifact: Ruler | Text) -> None:
    assert isinstance(artifact, Adaptable)
    skins = [skin_with_lesion(240, skin) for skin in (FAIR, TAN, DARK)]
    draw = lettered if artifact.id == "text" else lambda picture: scaled(picture, 0.012)
    truth = np.mean([where(skin, draw(skin)) for skin in skins[:2]], axis=0) > 0.5

    like = artifact.like([draw(skin) for skin in skins[:2]])

    assert like is not artifact and like.phrases.shows != artifact.phrases.shows
    assert "like those in these images" in like.phrases.shows
    picture = skin_with_lesion(240, FAIR)
    for seed in range(3):
        edited = like.add(picture, np.random.default_rng(seed))
        put = where(picture, edited.image)
        assert (put & truth).sum() > 0.6 * truth.sum()
        assert like.find(edited.image).present
    again = like.add(picture, np.random.default_rng(0))
    assert np.array_equal(again.image, like.add(picture, np.random.default_rng(0)).image)
    drawn = artifact.add(picture, np.random.default_rng(0))
    assert (where(picture, drawn.image) & truth).sum() < 0.5 * truth.sum()


@pytest.mark.parametrize("artifact", [Ruler(), Text()], ids=lambda a: a.id)
def test_pictures_that_show_none_leave_the_artifact_as_it_is(artifact: Ruler | Text) -> None:
    assert artifact.like([skin_with_lesion(200), skin_with_lesion(200, TAN)]) is artifact
    assert artifact.like([]) is artifact


def test_a_row_is_completed_with_what_is_like_its_marks_and_with_nothing_else() -> None:
    bare = skin_with_lesion(240)
    shown = scaled(bare, 0.02)
    truth = where(bare, shown)
    part = truth.copy()
    part[: 240 // 4] = part[240 // 2 :] = False
    assert 3 <= part.sum() / truth.sum() * 12 <= 5

    whole = completed(shown, part)

    assert (whole & truth).sum() > 0.85 * truth.sum()
    assert (whole & ~truth).sum() < 0.15 * truth.sum()


def test_what_is_no_row_is_left_as_it_is() -> None:
    picture = scaled(skin_with_lesion(240), 0.02)
    mask = np.zeros((240, 240), bool)
    assert not completed(picture, mask).any()
    mask[100:140, 100:140] = True  # a patch
    assert np.array_equal(completed(picture, mask), mask)


def test_lettering_that_was_taken_out_leaves_no_trace_of_its_colour() -> None:
    bare = skin_with_lesion(240, TAN)
    shown = lettered(bare, (255, 235, 60))
    found = Text().find(shown)
    assert found.present
    cleaned = Text().remove(shown, found.mask).image.astype(int)
    yellow = (cleaned[..., 0] > 200) & (cleaned[..., 1] > 190) & (cleaned[..., 2] < 120)
    assert not yellow.any()
