"""The ring finder on drawn pictures of many kinds, and on real ones."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy import ndimage

from melaudit.artifacts import Artifact
from melaudit.artifacts.kinds.dark_ring import DarkRing, four_black_corners

RGB = NDArray[np.uint8]
FAIR, TAN, DARK = (224, 178, 158), (176, 124, 96), (78, 52, 40)
BLACK, GREY, BROWN = (4, 4, 6), (52, 50, 50), (58, 40, 30)


def rounded(image: NDArray[np.float64]) -> RGB:
    return np.asarray(image.clip(0, 255), np.uint8)


def skin(height: int = 180, width: int = 180, colour: tuple[int, int, int] = FAIR) -> RGB:
    """Skin: a colour, mottled at two scales, a little darker towards the edge."""
    rng = np.random.default_rng(height + width)
    mottle = ndimage.gaussian_filter(rng.normal(0, 1, (height, width)), height / 20)
    mottle = 0.03 * mottle / mottle.std() + rng.normal(0, 0.015, (height, width))
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    shade = 1 + mottle - 0.06 * (x**2 + y**2)
    return rounded(np.array(colour) * shade[..., None])


def disc(image: RGB, centre: tuple[float, float], radii: tuple[float, float]) -> NDArray[np.bool_]:
    """Where an ellipse lies; centre (y, x) and radii (y, x) in parts of height and width."""
    h, w = image.shape[:2]
    y, x = np.mgrid[:h, :w]
    dy, dx = (y + 0.5) / h - centre[0], (x + 0.5) / w - centre[1]
    inside: NDArray[np.bool_] = (dy / radii[0]) ** 2 + (dx / radii[1]) ** 2 <= 1
    return inside


def paint(image: RGB, where: NDArray[np.bool_], colour: tuple[int, int, int], blur: float) -> RGB:
    """Lay a colour over a region, its edge as soft as `blur` pixels."""
    weight = ndimage.gaussian_filter(where.astype(float), blur)[..., None]
    mixed = weight * np.array(colour) + (1 - weight) * image
    return rounded(mixed)


def with_lesion(image: RGB, centre: tuple[float, float] = (0.5, 0.5), size: float = 0.2) -> RGB:
    return paint(image, disc(image, centre, (size, 0.8 * size)), (70, 40, 34), 2)


def ringed(
    image: RGB,
    centre: tuple[float, float] = (0.5, 0.5),
    radii: tuple[float, float] = (0.5, 0.5),
    colour: tuple[int, int, int] = BLACK,
    blur: float = 1.0,
) -> tuple[RGB, NDArray[np.bool_]]:
    """The image with everything outside an ellipse painted over, and where that is."""
    outside = ~disc(image, centre, radii)
    return paint(image, outside, colour, blur), outside


def overlap(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    return float((a & b).sum() / max((a | b).sum(), 1))


@pytest.mark.parametrize(
    ("centre", "radii"),
    [
        ((0.5, 0.5), (0.5, 0.5)),
        ((0.5, 0.5), (0.32, 0.32)),
        ((0.5, 0.5), (0.62, 0.62)),
        ((0.47, 0.56), (0.42, 0.42)),
        ((0.5, 0.5), (0.6, 0.45)),
        ((0.52, 0.48), (0.45, 0.6)),
    ],
    ids=["touching", "small", "corners", "off-centre", "tall", "wide"],
)
@pytest.mark.parametrize("colour", [BLACK, GREY, BROWN], ids=["black", "grey", "brown"])
@pytest.mark.parametrize("size", [(64, 64), (180, 240), (300, 300), (1024, 768)], ids=str)
def test_rings_of_any_kind_are_found_where_they_are(
    size: tuple[int, int],
    colour: tuple[int, int, int],
    centre: tuple[float, float],
    radii: tuple[float, float],
) -> None:
    image, outside = ringed(with_lesion(skin(*size)), centre, radii, colour)
    found = DarkRing().find(image)
    assert found.present
    assert found.score > 0.6
    assert found.mask.shape == size
    # A rim of half a pixel of the reduced copy is all that may be missing or too much.
    assert overlap(found.mask, outside) > 0.8
    assert not found.mask[disc(image, centre, (0.93 * radii[0], 0.93 * radii[1]))].any()


@pytest.mark.parametrize("corners", [1, 2, 3, 4])
def test_a_ring_of_which_few_corners_show_is_found_in_just_these(corners: int) -> None:
    centre, radius = {
        1: ((0.35, 0.35), 0.78),
        2: ((0.32, 0.5), 0.74),
        3: ((0.44, 0.44), 0.70),
        4: ((0.5, 0.5), 0.6),
    }[corners]
    image, outside = ringed(with_lesion(skin()), centre, (radius, radius))
    at_corner = outside[[0, 0, -1, -1], [0, -1, 0, -1]]
    assert at_corner.sum() == corners  # the drawing is what the name says
    found = DarkRing().find(image)
    assert found.present
    assert (found.mask[[0, 0, -1, -1], [0, -1, 0, -1]] == at_corner).all()
    assert overlap(found.mask, outside) > 0.75


@pytest.mark.parametrize("colour", [FAIR, TAN, DARK], ids=["fair", "tan", "dark"])
def test_darkness_is_judged_against_the_skin(colour: tuple[int, int, int]) -> None:
    plain = with_lesion(skin(colour=colour))
    assert not DarkRing().find(plain).present
    assert DarkRing().find(ringed(plain)[0]).present


def test_a_lesion_that_fills_the_field_is_no_part_of_the_ring() -> None:
    lesion = paint(skin(300, 300), disc(skin(300, 300), (0.5, 0.5), (0.4, 0.4)), (60, 36, 34), 3)
    image, outside = ringed(lesion)
    assert overlap(DarkRing().find(image).mask, outside) > 0.9


def test_a_black_lesion_on_the_rim_does_not_hide_where_the_field_ends() -> None:
    plain = skin(300, 300)
    lesion = paint(plain, disc(plain, (0.75, 0.3), (0.2, 0.22)), (18, 12, 14), 2)
    image, outside = ringed(lesion, radii=(0.46, 0.46))
    found = DarkRing().find(image)
    assert found.present
    assert overlap(found.mask, outside) > 0.85


@pytest.mark.parametrize("quality", [30, 60])
def test_jpeg_noise_does_not_matter(quality: int) -> None:
    image, outside = ringed(with_lesion(skin(300, 300)))
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=quality)
    found = DarkRing().find(np.asarray(Image.open(file)))
    assert found.present
    assert overlap(found.mask, outside) > 0.9


def _hairs(image: RGB) -> RGB:
    page = Image.fromarray(image)
    pen = ImageDraw.Draw(page)
    rng = np.random.default_rng(0)
    h, w = image.shape[:2]
    for _ in range(40):
        points = [(float(rng.uniform(0, w)), float(rng.uniform(0, h))) for _ in range(2)]
        pen.line(points, fill=(22, 16, 14), width=max(1, w // 90))
    return np.asarray(page)


def _box(image: RGB, y: slice, x: slice, colour: tuple[int, int, int]) -> RGB:
    out = image.copy()
    out[y, x] = colour
    return out


def _ruler(image: RGB) -> RGB:
    out = image.copy()
    for x in range(0, image.shape[1], 12):
        out[-24:, x : x + 3] = 8
    return out


def _vignette(image: RGB) -> RGB:
    h, w = image.shape[:2]
    y, x = np.mgrid[-1 : 1 : h * 1j, -1 : 1 : w * 1j]
    return rounded(image * (1 - 0.2 * (x**2 + y**2))[..., None])


INNOCENT = {
    "plain": skin(),
    "lesion": with_lesion(skin()),
    "black picture": np.zeros((180, 180, 3), np.uint8),
    "white picture": np.full((180, 180, 3), 255, np.uint8),
    "hairs": _hairs(with_lesion(skin(300, 300))),
    "ruler ticks": _ruler(with_lesion(skin(300, 300))),
    "black ruler along the edge": _box(with_lesion(skin()), slice(160, 180), slice(0, 180), BLACK),
    "black ruler down the side": _box(with_lesion(skin()), slice(0, 180), slice(0, 18), BLACK),
    "black marker in a corner": _box(with_lesion(skin()), slice(140, 180), slice(140, 180), BLACK),
    "lesion on an edge": with_lesion(skin(), (0.5, 0.05), 0.25),
    "lesion in a corner": with_lesion(skin(), (0.06, 0.06), 0.32),
    "lesion over an edge and a corner": with_lesion(skin(), (0.8, 0.0), 0.4),
    "white frame": ringed(with_lesion(skin()), radii=(0.5, 0.5), colour=(252, 252, 252))[0],
    "white frame on dark skin": ringed(with_lesion(skin(colour=DARK)), colour=(252, 252, 252))[0],
    "faint vignette": _vignette(with_lesion(skin())),
}


@pytest.mark.parametrize("name", INNOCENT)
def test_what_is_no_ring_is_not_taken_for_one(name: str) -> None:
    found = DarkRing().find(INNOCENT[name])
    assert not found.present, found.score
    assert not found.mask.any()
    assert 0 <= found.score <= 1


def test_the_score_grows_with_the_darkness_of_the_ring() -> None:
    scores = [
        DarkRing().find(ringed(skin(), colour=(level, level, level))[0]).score
        for level in (160, 120, 80, 40, 0)
    ]
    assert scores == sorted(scores)
    assert scores[0] < 0.5 < scores[-1]


@pytest.mark.parametrize("size", [(1, 1), (3, 300), (10, 10), (400, 7)])
def test_odd_sizes_are_no_error(size: tuple[int, int]) -> None:
    found = DarkRing().find(np.full((*size, 3), 90, np.uint8))
    assert found.mask.shape == size
    assert not found.present


@pytest.mark.parametrize(
    "array",
    [np.zeros((9, 9), np.uint8), np.zeros((9, 9, 4), np.uint8), np.zeros((0, 9, 3), np.uint8)],
    ids=["grey", "rgba", "empty"],
)
def test_an_array_that_is_no_image_is_refused_in_words(array: RGB) -> None:
    with pytest.raises(ValueError, match=r"RGB image \(h, w, 3\)"):
        DarkRing().find(array)


def test_the_finder_keeps_the_contract_and_leaves_the_image_alone() -> None:
    finder: Artifact = DarkRing()
    image = ringed(skin())[0]
    image.setflags(write=False)
    first, second = finder.find(image), finder.find(image)
    assert finder.id == "dark_ring"
    assert first.score == second.score
    assert (first.mask == second.mask).all()


def test_the_strict_rule_asks_for_four_black_corner_blocks() -> None:
    image = skin(64, 64)
    assert not four_black_corners(image)
    for y in (slice(10), slice(-10, None)):
        for x in (slice(10), slice(-10, None)):
            image[y, x] = 9
    assert four_black_corners(image)
    image[:10, :10] = 11
    assert not four_black_corners(image)


def _pictures(folder: Path) -> list[RGB]:
    return [np.asarray(Image.open(p).convert("RGB")) for p in sorted(folder.iterdir())]


def test_every_ring_of_the_strict_rule_is_found_in_real_images_and_few_more(shared: Path) -> None:
    finder = DarkRing()
    for kind, strict, beyond in (("benign", 1, 0.12), ("malignant", 206, 0.3)):
        images = _pictures(shared / "data" / "isic-rings" / kind)
        by_rule = np.array([four_black_corners(image) for image in images])
        present = np.array([finder.find(image).present for image in images])
        assert by_rule.sum() == strict
        assert present[by_rule].all()
        assert present[~by_rule].mean() < beyond


def test_real_dark_corners_are_ranked_above_the_rest(shared: Path) -> None:
    folder = shared / "data" / "artifacts" / "isic2018"
    with (folder / "labels.csv").open() as file:
        rows = list(csv.DictReader(file))
    score, label = [], []
    for row in rows:
        image = np.asarray(Image.open(folder / row["image"]).convert("RGB"))
        score.append(DarkRing().find(image).score)
        label.append(row["dark_corner"] == "1")
    positive, negative = np.array(score)[label], np.array(score)[~np.array(label)]
    pairs = positive[:, None] - negative[None]
    assert (pairs > 0).mean() + (pairs == 0).mean() / 2 > 0.985
    assert (negative >= DarkRing().threshold).mean() < 0.02
