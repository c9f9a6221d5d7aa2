"""What all artifacts of the whole picture promise, and what each of them measures."""

from __future__ import annotations

from functools import lru_cache
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter
from scipy import ndimage
from skimage import color

from melaudit.artifacts.interface import RGB, Artifact
from melaudit.artifacts.kinds.blur import Blur
from melaudit.artifacts.kinds.brightness import Brightness
from melaudit.artifacts.kinds.colour_cast import TYPICAL, ColourCast
from melaudit.artifacts.kinds.jpeg_quality import JpegQuality
from melaudit.artifacts.kinds.picture_size import PictureSize
from melaudit.artifacts.painting.relighting import lamp, relit
from melaudit.artifacts.painting.whole_picture import uneven_light
from melaudit.artifacts.search.photometry import photometry

ALL: tuple[Artifact, ...] = (ColourCast(), Brightness(), Blur(), JpegQuality(), PictureSize())
SEEN = ALL[:4]
"""Those that are seen in the pixels and not in the shape of the array."""

each = pytest.mark.parametrize("artifact", ALL, ids=lambda a: a.id)


@lru_cache
def skin(seed: int = 0, height: int = 300, width: int = 400) -> RGB:
    """Return textured skin of the usual hue with a darker, mottled lesion in its middle."""
    rng = np.random.default_rng(seed)
    lab = np.empty((height, width, 3))
    lab[...] = 70, *TYPICAL
    lab[..., 0] += 4 * rng.standard_normal((height, width))
    y, x = np.mgrid[:height, :width]
    lesion = np.hypot((y - height / 2) / height, (x - width / 2) / width) < 0.2
    lab[lesion] += (-25, 6, 8)
    values = np.asarray(color.lab2rgb(lab), np.float64)
    return np.round(255 * values).clip(0, 255).astype(np.uint8)


def rms(first: RGB, second: RGB) -> float:
    return float(np.sqrt(((first.astype(float) - second.astype(float)) ** 2).mean()))


@each
def test_the_same_generator_gives_the_same_edit_and_leaves_the_picture_alone(
    artifact: Artifact,
) -> None:
    image = skin()
    kept = image.copy()
    first = artifact.add(image, np.random.default_rng(5))
    again = artifact.add(image, np.random.default_rng(5))
    placebos = artifact.placebos(image, first, np.random.default_rng(6))
    artifact.remove(image, np.ones(image.shape[:2], bool))
    assert np.array_equal(first.image, again.image)
    assert np.array_equal(image, kept)
    assert first.image.dtype == np.uint8 and first.mask.all()
    assert all(p.image.shape == image.shape and p.image.dtype == np.uint8 for p in placebos)


@each
def test_a_dose_of_nothing_changes_nothing_and_more_changes_more(artifact: Artifact) -> None:
    image = skin()
    doses = (0.0, 0.3, 0.6, 1.0)
    edits = [artifact.add(image, np.random.default_rng(1), dose) for dose in doses]
    changes = [rms(edit.image, image) for edit in edits]
    assert changes[0] == 0 and not edits[0].mask.any()
    assert changes[1] > 0.5
    assert all(np.diff(changes) > 0)


@each
def test_sizes_and_shapes_of_all_kinds_are_taken(artifact: Artifact) -> None:
    for height, width in ((1, 1), (3, 50), (16, 16), (700, 90), (500, 900)):
        image = np.asarray(Image.fromarray(skin()).resize((width, height)))
        found = artifact.find(image)
        edit = artifact.add(image, np.random.default_rng(0))
        back = artifact.remove(edit.image, edit.mask)
        placebos = artifact.placebos(image, edit, np.random.default_rng(0))
        assert 0 <= found.score <= 1
        assert found.mask.shape == (height, width)
        assert {p.image.shape for p in placebos} | {edit.image.shape, back.image.shape} == {
            image.shape
        }


@each
def test_pictures_of_one_colour_are_no_trouble(artifact: Artifact) -> None:
    for level in (0, 128, 255):
        image = np.full((64, 80, 3), level, np.uint8)
        edit = artifact.add(image, np.random.default_rng(0))
        artifact.remove(edit.image, edit.mask)
        artifact.placebos(image, edit, np.random.default_rng(0))
        assert 0 <= artifact.find(image).score <= 1


@each
def test_what_is_no_rgb_picture_is_refused(artifact: Artifact) -> None:
    for wrong in (np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3)), np.zeros((0, 4, 3), np.uint8)):
        with pytest.raises(ValueError, match="RGB image"):
            artifact.find(wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("artifact", SEEN, ids=lambda a: a.id)
def test_what_was_added_is_found_all_over_and_plain_skin_has_none(artifact: Artifact) -> None:
    for seed in range(4):
        image = skin(seed)
        before = artifact.find(image)
        after = artifact.find(artifact.add(image, np.random.default_rng(seed)).image)
        assert not before.present and not before.mask.any()
        assert after.present and after.mask.all()
        assert before.score < artifact.threshold <= after.score


@pytest.mark.parametrize("artifact", SEEN, ids=lambda a: a.id)
def test_what_was_added_is_mostly_gone_after_removal(artifact: Artifact) -> None:
    for seed in range(4):
        image = skin(seed)
        added = artifact.add(image, np.random.default_rng(seed))
        found = artifact.find(added.image)
        removed = artifact.remove(added.image, found.mask)
        plain, with_it = artifact.find(image).score, found.score
        assert artifact.find(removed.image).score < (plain + with_it) / 2


@each
def test_one_placebo_has_no_name_and_changes_as_much_without_showing_the_artifact(
    artifact: Artifact,
) -> None:
    image = skin(3)
    edit = artifact.add(image, np.random.default_rng(3), 0.6)
    placebos = artifact.placebos(image, edit, np.random.default_rng(4))
    nameless = [p for p in placebos if p.look_alike is None]
    assert len({p.id for p in placebos}) == len(placebos)
    assert len(nameless) == 1
    assert rms(nameless[0].image, image) == pytest.approx(rms(edit.image, image), rel=0.1)
    assert artifact.find(nameless[0].image).present == artifact.find(image).present


def test_uneven_light_evens_out_and_leaves_black_black() -> None:
    image = skin().copy()
    image[:, :60] = 0
    lit = uneven_light(image, 15.0, np.random.default_rng(0))
    assert rms(lit, image) == pytest.approx(15, rel=0.05)
    assert not lit[:, :60].any()
    assert abs(float(lit.mean()) - float(image.mean())) < 5


def test_light_and_colour_are_those_of_another_implementation() -> None:
    image = skin()
    lab = color.rgb2lab(image)
    measured = photometry(image)
    assert measured.whole == pytest.approx(lab.reshape(-1, 3).mean(0), abs=1.0)
    assert measured.zone == pytest.approx((70, *TYPICAL), abs=1.0)
    assert measured.lightness == pytest.approx(np.median(lab[..., 0]), abs=1.5)


def test_the_zone_does_not_see_the_lesion_nor_the_black_outside() -> None:
    image = skin()
    ringed = image.copy()
    y, x = np.mgrid[:300, :400]
    ringed[np.hypot(y - 150, x - 200) > 180] = 0
    painted = image.copy()
    painted[100:200, 130:270] = (90, 40, 160)
    for other in (ringed, painted):
        assert photometry(other).zone == pytest.approx(photometry(image).zone, abs=1.5)
    assert photometry(painted).whole[2] < photometry(image).whole[2] - 5


def test_a_lamp_gives_grey_its_own_hue() -> None:
    grey = np.full((8, 8, 3), 198, np.uint8)
    a, b = color.rgb2lab(relit(grey, lamp(12.0, -9.0)))[0, 0, 1:]
    assert (a, b) == pytest.approx((12, -9), abs=1.2)


def test_a_cast_of_a_given_hue_moves_the_skin_that_way() -> None:
    image = skin()
    before = photometry(image).zone
    for degrees in (0, 90, 180, 270):
        edit = ColourCast(hue=degrees).add(image, np.random.default_rng(0))
        _, a, b = photometry(edit.image).zone - before
        turned = np.rad2deg(np.arctan2(b, a)) - degrees
        assert abs((turned + 180) % 360 - 180) < 25


def test_a_cast_is_put_in_as_the_pictures_show_it_and_any_cast_where_they_differ() -> None:
    rng = np.random.default_rng(0)
    blue = [ColourCast(hue=h).add(skin(), rng).image for h in (260, 275, 280)]
    like = ColourCast().like(blue)
    before = photometry(skin()).zone
    for seed in range(5):
        _, a, b = photometry(like.add(skin(), np.random.default_rng(seed)).image).zone - before
        assert b < -5 and abs(a) < 8
    assert "hue" in like.phrases.shows and "hue" not in ColourCast().phrases.shows
    mixed = ColourCast()
    every = [ColourCast(hue=h).add(skin(), rng).image for h in (0, 90, 180, 270)]
    assert mixed.like(every) is mixed
    assert mixed.like([]) is mixed


def test_a_cast_of_each_kind_is_found_to_be_of_that_kind() -> None:
    rng, cast = np.random.default_rng(0), ColourCast()
    assert [kind.kind for kind in cast.kinds] == ["pinkish", "yellowish", "greenish", "bluish"]
    for k, kind in enumerate(cast.kinds):
        image = kind.add(kind.add(skin(), rng).image, rng).image
        assert cast.kind_of(image, cast.find(image)) == k
        assert kind.phrases.things == f"{kind.kind} colour casts"
        assert kind.like([image] * 4).phrases.things == kind.phrases.things
        assert kind.kinds == ()


def test_the_look_alike_of_a_cast_goes_the_other_way() -> None:
    image = skin()
    artifact = ColourCast(hue=30)
    edit = artifact.add(image, np.random.default_rng(0))
    (other,) = [p for p in artifact.placebos(image, edit, np.random.default_rng(0)) if p.look_alike]
    first = photometry(edit.image).zone - photometry(image).zone
    second = photometry(other.image).zone - photometry(image).zone
    assert first[1:] @ second[1:] < 0
    assert rms(other.image, image) == pytest.approx(rms(edit.image, image), rel=0.15)


def test_darkness_is_the_median_lightness() -> None:
    grey = np.full((50, 50, 3), 119, np.uint8)  # L* 50
    assert Brightness().find(grey).score == pytest.approx(0.5, abs=0.01)
    assert Brightness().find(np.full((50, 50, 3), 255, np.uint8)).score == pytest.approx(0)


def test_blur_grows_with_its_width_and_does_not_follow_contrast() -> None:
    grain = ndimage.gaussian_filter(np.random.default_rng(0).normal(size=(200, 200)), 1)
    values = np.repeat((128 + 30 * grain / grain.std())[..., None], 3, 2)
    picture = Image.fromarray(values.clip(0, 255).astype(np.uint8))
    blurred = [
        np.asarray(picture.filter(ImageFilter.GaussianBlur(radius))) for radius in (0, 1, 2, 4)
    ]
    scores = [Blur().find(image).score for image in blurred]
    assert all(np.diff(scores) > 0)
    pale = (0.5 * blurred[0].astype(float) + 100).astype(np.uint8)
    assert Blur().find(pale).score == pytest.approx(scores[0], abs=0.02)


def test_a_blur_in_one_direction_counts() -> None:
    image = skin()
    moved = ndimage.gaussian_filter1d(image, 5, axis=1)
    assert Blur().find(moved).score > Blur().find(image).score + 0.15


def test_compression_is_seen_by_its_blocks_and_grows_with_them() -> None:
    # Smoothed: independent noise in every pixel is not what cameras see.
    image = ndimage.gaussian_filter(skin(), (1, 1, 0))
    scores = []
    for quality in (90, 50, 20, 8):
        stored = BytesIO()
        Image.fromarray(image).save(stored, "JPEG", quality=quality)
        scores.append(JpegQuality().find(np.asarray(Image.open(stored))).score)
    assert all(np.diff(scores) > 0)
    assert scores[0] < JpegQuality.threshold < scores[3]
    assert JpegQuality().find(image).score < 0.05


def test_size_and_shape_are_those_of_the_array() -> None:
    def score(height: int, width: int) -> float:
        return PictureSize().find(np.zeros((height, width, 3), np.uint8)).score

    assert score(256, 256) == pytest.approx(0.5)
    assert score(128, 128) > score(200, 200) > score(450, 600) > score(1024, 1024)
    assert score(1000, 1600) == pytest.approx(0.5)
    assert score(1600, 1000) == score(1000, 1600)
    assert not PictureSize().find(np.zeros((450, 600, 3), np.uint8)).present


def test_a_squeezed_circle_is_round_again_after_removal() -> None:
    image = np.zeros((300, 600, 3), np.uint8)
    y, x = np.mgrid[:300, :600]
    image[np.hypot(y - 150, x - 300) < 100] = 200
    edit = PictureSize().remove(image, np.ones((300, 600), bool))
    square = np.asarray(Image.fromarray(edit.image).resize((300, 300)))[..., 0] > 100
    assert np.ptp(np.flatnonzero(square.any(0))) == pytest.approx(
        np.ptp(np.flatnonzero(square.any(1))), abs=4
    )


def test_real_pictures_rarely_show_any_and_show_what_is_added(shared: Path) -> None:
    files = sorted((shared / "data" / "isic-rings").glob("*/*.jpg"))[::40]
    images = [np.asarray(Image.open(file).convert("RGB")) for file in files]
    for artifact in SEEN:
        plain = [artifact.find(image).present for image in images]
        added = [
            artifact.find(artifact.add(image, np.random.default_rng(i)).image).present
            for i, image in enumerate(images)
        ]
        assert np.mean(plain) <= 0.25
        assert np.mean(added) >= 0.6
