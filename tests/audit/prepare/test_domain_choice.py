"""Which domain pictures are taken for: named, recognised, or the one that fits anything."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.pictures import RGB, head, radiograph, tile
from melaudit.audit.prepare.domain_choice import choose_domain
from tests.artifacts.pictures import DARK, FAIR, TAN, lesion, skin

Draw = Callable[[np.random.Generator, int], RGB]

DRAWN: dict[str, tuple[Draw, str]] = {
    "lesions": (lambda _, k: lesion(skin(90, 120, (FAIR, TAN)[k % 2], k)), "dermoscopy"),
    "chests": (lambda rng, k: radiograph(rng, bool(k % 2), 96), "radiograph"),
    "heads": (lambda rng, k: head(rng, bool(k % 2), 80), "radiograph"),
    "tiles": (lambda rng, k: tile(rng, k % 10), "photo"),
    "digits": (lambda rng, _: np.repeat(rng.integers(0, 2, (28, 28, 1)) * 255, 3, 2), "photo"),
    "grey noise": (lambda rng, _: np.repeat(rng.integers(0, 255, (80, 80, 1)), 3, 2), "photo"),
}


def files(folder: Path, draw: Draw, n: int = 12) -> list[str]:
    rng = np.random.default_rng(0)
    paths = [folder / f"{k:02}.png" for k in range(n)]
    for k, path in enumerate(paths):
        Image.fromarray(np.asarray(draw(rng, k), np.uint8)).save(path)
    return [str(path) for path in paths]


@pytest.mark.parametrize("name", DRAWN)
def test_pictures_are_taken_for_what_they_look_like(tmp_path: Path, name: str) -> None:
    draw, expected = DRAWN[name]
    chosen = choose_domain("auto", files(tmp_path, draw))
    assert chosen.domain.id == expected
    assert "12" in chosen.why, "how many were looked at"
    assert "--domain" in chosen.why, "how to choose another"


def test_a_name_is_taken_at_its_word(tmp_path: Path) -> None:
    chosen = choose_domain("photo", files(tmp_path, DRAWN["chests"][0], 2))
    assert chosen.domain.id == "photo"
    assert chosen.why == "--domain says that these are photographs."


def test_what_cannot_be_read_is_taken_for_photographs(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"no picture")
    assert choose_domain("auto", [str(tmp_path / "a.png")]).domain.id == "photo"
    assert choose_domain("auto", []).domain.id == "photo"


def test_very_dark_skin_is_not_taken_for_a_radiograph(tmp_path: Path) -> None:
    chosen = choose_domain("auto", files(tmp_path, lambda _, k: lesion(skin(90, 120, DARK, k))))
    assert chosen.domain.id in ("dermoscopy", "photo")


def test_real_dermoscopy_is_recognised_in_every_set(shared: Path) -> None:
    for folder, pattern in (
        ("isic-rings", "*/*"),
        ("artifacts/isic2018", "**/*.jpg"),
        ("artifacts/ham", "**/*.jpg"),
        ("ham-photos/images", "*"),
    ):
        paths = sorted(map(str, (shared / "data" / folder).glob(pattern)))
        assert choose_domain("auto", paths).domain.id == "dermoscopy", folder


def test_photographs_are_not_taken_for_a_field() -> None:
    data = pytest.importorskip("skimage.data")
    folder = Path(data.__file__).parent
    paths = [str(p) for p in sorted(folder.iterdir()) if p.suffix in (".png", ".jpg")]
    assert choose_domain("auto", paths).domain.id == "photo"
