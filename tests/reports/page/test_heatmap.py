"""Tests of relevance as colour."""

import io

import numpy as np
import pytest
from PIL import Image

from melaudit.reports.page import heatmap


def test_positive_is_red_negative_is_blue_and_nothing_is_transparent() -> None:
    red, blue, nothing = heatmap.colour(np.array([[1.0, -1.0, 0.0]]))[0].astype(int)

    assert red[0] > 3 * red[2]
    assert blue[2] > 3 * blue[0]
    assert nothing[3] == 0


def test_both_signs_are_equally_strong() -> None:
    values = np.linspace(0, 1, 50)[None]

    plus, minus = heatmap.colour(values), heatmap.colour(-values)

    assert np.array_equal(plus[..., 3], minus[..., 3])
    assert np.all(np.diff(plus[0, :, 3].astype(int)) >= 0)


def test_red_and_blue_differ_for_the_colour_blind() -> None:
    # Dichromats see about what is left of a colour in the yellow-blue direction and in lightness.
    plus, minus = (heatmap.colour(np.array([[v]]))[0, 0, :3].astype(int) for v in (0.7, -0.7))

    def yellow_blue(rgb: np.ndarray) -> float:
        return float((rgb[0] + rgb[1]) / 2 - rgb[2])

    assert yellow_blue(plus) - yellow_blue(minus) > 80


def test_nan_and_infinity_are_transparent_and_do_not_set_the_scale() -> None:
    values = np.array([[np.nan, np.inf, -np.inf, 0.5]])

    assert heatmap.scale(values) == pytest.approx(0.5, rel=0.05)
    assert heatmap.colour(values)[0, :3, 3].max() == 0


def test_an_empty_map_has_no_colour_and_no_share() -> None:
    empty = np.zeros((8, 8), np.float16)

    assert heatmap.scale(empty) == 1
    assert heatmap.colour(empty)[..., 3].max() == 0
    assert heatmap.border_share(empty) is None
    assert heatmap.for_share(empty) is None


def test_a_single_bright_pixel_does_not_bleach_the_map() -> None:
    values = np.full((64, 64), 0.1)
    values[0, 0] = 1

    assert heatmap.scale(values) == pytest.approx(0.1)


def test_a_coarse_map_is_kept_exactly_and_at_its_own_resolution() -> None:
    values = np.random.default_rng(0).uniform(-1, 1, (32, 24)).astype(np.float32)

    with Image.open(io.BytesIO(heatmap.overlay(values, full=1.0))) as image:
        assert image.size == (24, 32)
        drawn = np.asarray(image.convert("RGBA"))

    expected = heatmap.colour(values)
    seen = expected[..., 3] > 0
    assert np.array_equal(drawn[seen], expected[seen])
    assert heatmap.is_coarse(values)


def test_a_fine_map_keeps_its_resolution_and_is_small() -> None:
    values = np.random.default_rng(0).normal(0, 0.2, (224, 224))

    webp = heatmap.overlay(values)

    with Image.open(io.BytesIO(webp)) as image:
        assert image.size == (224, 224)
        assert not {"exif", "icc_profile", "xmp"} & set(image.info)
    assert len(webp) < 50_000  # noise is the worst that can come


def test_shares_of_border_and_sign_are_those_of_the_map() -> None:
    values = np.zeros((100, 100))
    values[:10] = 1  # 1000 pixels at the border
    values[40:50] = -0.5  # 1000 pixels, 30 of each row at the border

    assert heatmap.border_share(values) == pytest.approx((1000 + 0.5 * 300) / 1500)
    assert heatmap.for_share(values) == pytest.approx(1000 / 1500)


def test_the_legend_runs_from_full_blue_to_full_red() -> None:
    stops = heatmap.legend_stops()

    assert [s[0] for s in stops][:1] == ["0"]
    assert stops[-1][0] == "1"
    assert stops[4][2] == "0.00"
    assert stops[0][2] == stops[-1][2] == f"{heatmap.OPAQUE:.2f}"
