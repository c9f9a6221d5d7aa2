"""What anybody's artifact returns is held to the contract; ours are, in test_contract.py."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from melaudit.artifacts import held
from melaudit.artifacts.interface import RGB, Edited, Found, PaintedLater, Placebo
from melaudit.artifacts.kinds.colour_cast import ColourCast
from melaudit.artifacts.kinds.dark_ring import DarkRing
from melaudit.errors import ArtifactError

IMAGE: RGB = np.full((40, 50, 3), 120, np.uint8)
NOWHERE = np.zeros((40, 50), np.bool_)
FOUND: Any = Found(0.5, True, NOWHERE)
EDITED: Any = Edited(IMAGE, NOWHERE)
PLACEBO: Any = Placebo("skin", "a ring of skin colour", IMAGE)
RNG = np.random.default_rng(0)


class Returns(DarkRing):
    """Returns what it is told to."""

    id = "sticker"

    def __init__(self, value: Any) -> None:
        self.value = value

    def find(self, *_: Any, **__: Any) -> Any:
        return self.value

    add = remove = placebos = rule = find


@pytest.mark.parametrize(
    ("found", "shown"),
    [
        (None, "None; expected Found"),
        ((0.5, True, NOWHERE), "expected Found"),
        (replace(FOUND, score=float("nan")), "nan; expected a score from 0 to 1"),
        (replace(FOUND, score=1.5), "1.5; expected a score"),
        (replace(FOUND, score="high"), "'high'; expected a score"),
        (replace(FOUND, present="yes"), "'yes'; expected whether"),
        (replace(FOUND, mask=NOWHERE.T), r"an array \(50, 40\); expected a mask \(40, 50\)"),
        (replace(FOUND, mask=NOWHERE.astype(np.uint8)), "of type bool"),
        (replace(FOUND, mask=None), "None; expected a mask"),
    ],
)
def test_what_is_found(found: Any, shown: str) -> None:
    with pytest.raises(ArtifactError, match=f"artifact sticker: find gave .*{shown}"):
        held.find(Returns(found), IMAGE)


@pytest.mark.parametrize(
    ("edited", "shown"),
    [
        (IMAGE, "expected Edited"),
        (replace(EDITED, image=IMAGE[:-1]), r"an array \(39, 50, 3\); expected an image"),
        (replace(EDITED, image=IMAGE / 255), "of type uint8"),
        (replace(EDITED, image=None), "None; expected an image"),
        (replace(EDITED, mask=IMAGE), "expected a mask"),
    ],
)
def test_what_is_edited(edited: Any, shown: str) -> None:
    with pytest.raises(ArtifactError, match=f"artifact sticker: add gave .*{shown}"):
        held.add(Returns(edited), IMAGE, RNG)
    with pytest.raises(ArtifactError, match=f"artifact sticker: remove gave .*{shown}"):
        held.remove(Returns(edited), IMAGE, NOWHERE)


@pytest.mark.parametrize(
    ("placebos", "shown"),
    [
        (None, "expected a sequence of Placebo"),
        ([EDITED], "expected a sequence of Placebo"),
        ((each for each in [PLACEBO]), "expected a sequence of Placebo"),
        ([replace(PLACEBO, id="")], "''; expected a text"),
        ([replace(PLACEBO, title=5)], "5; expected a text"),
        ([PLACEBO, replace(PLACEBO, image=IMAGE[1:])], "expected an image"),
        ([replace(PLACEBO, look_alike="any ring")], "at least one that is neutral"),
        ([], "at least one that is neutral"),
    ],
)
def test_what_is_a_placebo(placebos: Any, shown: str) -> None:
    with pytest.raises(ArtifactError, match=f"artifact sticker: placebos gave .*{shown}"):
        held.placebos(Returns(placebos), IMAGE, EDITED, RNG)


def test_a_placebo_is_painted_once_when_its_picture_is_asked_for() -> None:
    painted: list[str] = []

    def paint(image: Any) -> Any:
        painted.append("white")
        return image

    later = PaintedLater("white", "a white ring", lambda: paint(IMAGE), "any frame")
    neutral, alike = held.placebos(Returns([PLACEBO, later]), IMAGE, EDITED, RNG)
    assert (neutral, alike.id, alike.title, alike.look_alike) == (
        PLACEBO, "white", "a white ring", "any frame",
    )  # fmt: skip
    assert painted == []
    assert alike.image is IMAGE and alike.image is IMAGE
    assert painted == ["white"]
    other = PaintedLater("white", "a white ring", lambda: paint(IMAGE[1:]), "any frame")
    _, alike = held.placebos(Returns([PLACEBO, other]), IMAGE, EDITED, RNG)
    with pytest.raises(ArtifactError, match=r"artifact sticker: placebos gave .*expected an image"):
        _ = alike.image


@pytest.mark.parametrize("kind", [-1, 99, 0.5, None])
def test_which_kind(kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    cast: Any = ColourCast()
    monkeypatch.setattr(ColourCast, "kind_of", lambda *_: kind)
    with pytest.raises(ArtifactError, match=r"artifact colour_cast: kind_of gave .*whole number"):
        held.kind_of(cast, IMAGE, FOUND)


def test_whether_a_rule_holds() -> None:
    with pytest.raises(ArtifactError, match="artifact sticker: rule gave 'no'"):
        held.rule(Returns("no"), IMAGE)


def test_what_is_right_goes_through() -> None:
    assert held.find(Returns(replace(FOUND, score=np.float32(1))), IMAGE).score == 1
    assert held.find(Returns(FOUND), IMAGE) is FOUND
    assert held.add(Returns(EDITED), IMAGE, RNG) is EDITED
    assert held.remove(Returns(EDITED), IMAGE, NOWHERE) is EDITED
    assert held.placebos(Returns([PLACEBO]), IMAGE, EDITED, RNG) == (PLACEBO,)
    assert held.rule(Returns(True), IMAGE) is True
