"""The signs of malignancy grow with the atypia, and the skin around is left alone."""

import numpy as np
from scipy import ndimage

from melaudit.demo.lesion import lesion
from melaudit.demo.skin import Picture

SIZE = 96
PLAIN: Picture = np.full((SIZE, SIZE, 3), (0.9, 0.75, 0.7), np.float32)


def drawn(atypia: float, n: int = 40) -> list[Picture]:
    return [lesion(PLAIN, np.random.default_rng(i), atypia) for i in range(n)]


def covered(picture: Picture) -> np.ndarray:
    return np.asarray(np.abs(picture - PLAIN).max(2) > 0.12)


def raggedness(mask: np.ndarray) -> float:
    """Perimeter squared over area, 1 for a disc."""
    filled = ndimage.binary_fill_holes(ndimage.binary_opening(mask))
    perimeter = (filled & ~ndimage.binary_erosion(filled)).sum()
    return float(perimeter**2 / (4 * np.pi * max(filled.sum(), 1)))


def spread_of_colour(picture: Picture) -> float:
    """Standard deviation of the hue-like log ratio red : blue inside the lesion."""
    inside = picture[covered(picture)]
    return float(np.log((inside[:, 0] + 0.02) / (inside[:, 2] + 0.02)).std())


def test_atypical_lesions_are_larger_more_ragged_and_more_colourful() -> None:
    mole, melanoma = drawn(-2.0), drawn(2.0)
    for sign in (lambda p: covered(p).sum(), lambda p: raggedness(covered(p)), spread_of_colour):
        few, many = [sign(p) for p in mole], [sign(p) for p in melanoma]
        assert np.median(many) > 1.3 * np.median(few)


def test_signs_of_neighbouring_atypia_overlap() -> None:
    areas = [[covered(p).sum() for p in drawn(atypia)] for atypia in (-1.0, 1.0)]
    assert np.quantile(areas[0], 0.9) > np.quantile(areas[1], 0.1)


def test_a_lesion_lies_near_the_middle_and_leaves_the_corners_alone() -> None:
    for picture in drawn(0.0):
        y, x = np.nonzero(covered(picture))
        assert len(y) > 100
        assert np.hypot(y.mean() - SIZE / 2, x.mean() - SIZE / 2) < 0.25 * SIZE
        corners = [picture[y, x] for y in (0, -1) for x in (0, -1)]
        assert np.abs(np.array(corners) - PLAIN[0, 0]).max() < 0.05


def test_the_given_picture_is_not_changed() -> None:
    given = PLAIN.copy()
    lesion(given, np.random.default_rng(3), 2.0)
    assert (given == PLAIN).all()
