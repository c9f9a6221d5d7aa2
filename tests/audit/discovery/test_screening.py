"""Of two candidates the one that moves decisions is tried first, beyond what its placebos do."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from melaudit.artifacts.interface import RGB, Edited, Found, Mask, Phrases, Placebo
from melaudit.audit.discovery.halves import first_half
from melaudit.audit.discovery.made import Candidate
from melaudit.audit.discovery.naming import Name
from melaudit.audit.discovery.screening import pull
from tests.audit.discovery.passed import CLASSES, SIDE, discovered
from tests.audit.discovery.test_discovery import Net

NAME = Name("bar", "Bar", Phrases("bar", "barred", "bar-free", "a bar", "bars"), "", known=True)
CORNER, ELSEWHERE = slice(8, 24), slice(40, 56)
"""Columns of the corner that the model goes by, and of another place."""


class Bar:
    """Puts in a green bar; its placebo is grey, or the same bar."""

    id, title, remedy, doses = "bar", "Bar", "Leave it.", "opacity"
    whole_picture, threshold = False, 0.5

    def __init__(self, columns: slice, placebo: tuple[int, int, int]) -> None:
        self.columns, self.placebo = columns, placebo
        self.phrases = NAME.phrases

    def find(self, image: RGB) -> Found:
        """Find nothing."""
        return Found(0.0, False, np.zeros(image.shape[:2], np.bool_))

    def add(self, image: RGB, rng: np.random.Generator, dose: float = 1.0) -> Edited:
        """Paint the bar."""
        return Edited(self._painted(image, (20, 200, 40)), np.ones(image.shape[:2], np.bool_))

    def remove(self, image: RGB, mask: Mask) -> Edited:
        """Do nothing."""
        return Edited(image, mask)

    def placebos(self, image: RGB, edited: Edited, rng: np.random.Generator) -> Sequence[Placebo]:
        """Paint a bar of another colour."""
        return [Placebo("plain", "another bar", self._painted(image, self.placebo))]

    def _painted(self, image: RGB, colour: tuple[int, int, int]) -> RGB:
        out = image.copy()
        out[8:16, self.columns] = colour
        return out


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an image folder of two classes, told by the darkness of the middle."""
    root = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(3)
    for kind, darker in zip(CLASSES, (55, 80), strict=True):
        (root / kind).mkdir()
        for i in range(30):
            image = np.full((SIDE, SIDE, 3), (210, 175, 150)) + rng.normal(0, 5, (SIDE, SIDE, 3))
            image[24:40, 24:40] -= rng.normal(darker, 8)
            Image.fromarray(np.clip(image, 0, 255).astype(np.uint8)).save(root / kind / f"{i}.png")
    return root


def test_what_moves_decisions_beyond_its_placebos_pulls(folder: Path, tmp_path: Path) -> None:
    _, table, laboratory = discovered(folder, tmp_path, Net(4.0), most=0, words=False)
    half = first_half(table)
    nothing = np.zeros(len(table.ids))

    def pulled(bar: Bar, amount: np.ndarray[tuple[int], np.dtype[np.float64]] = nothing) -> float:
        candidate = Candidate(1, amount, lambda called: bar, lambda taken: NAME, "")
        return pull(candidate, table, laboratory, half)

    grey, green = (150, 150, 150), (20, 200, 40)
    used = pulled(Bar(CORNER, grey))
    assert used > 1
    assert abs(pulled(Bar(ELSEWHERE, grey))) < 0.1  # where the model does not look
    assert pulled(Bar(CORNER, green)) == pytest.approx(0, abs=1e-5)  # its placebo does as much
    assert pulled(Bar(CORNER, grey), nothing + 2) == -np.inf  # every image shows it already
