"""A look of whole pictures that goes with a class is found, given to others, and proven or not.

More than half of the malignant images are tinted as by another lamp. The model goes by the darkness
of the middle and, by `weight`, by how blue the picture is on the whole.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from melaudit.artifacts.interface import RGB
from melaudit.artifacts.kinds.blur import Blur
from melaudit.artifacts.kinds.colour_cast import ColourCast
from melaudit.artifacts.kinds.hair import Hair
from melaudit.artifacts.painting.relighting import relit
from melaudit.audit.conclude.conclusions import conclude
from melaudit.audit.discovery.directions import directions
from melaudit.audit.discovery.halves import first_half
from melaudit.audit.discovery.naming import finder_of_look, looks_like, name_of_look
from melaudit.detectors.property_label import PropertyLabel
from melaudit.findings import Rung
from tests.artifacts.pictures import lesion, skin
from tests.audit.discovery.passed import CLASSES, SIDE, discovered

OF_EACH, TINTED = 100, 60
LAMP = np.array([0.8, 1.0, 1.25])


class Net(nn.Module):
    """Mean colours of 64 places; then the darkness of the middle, and blue over red everywhere."""

    def __init__(self, weight: float) -> None:
        super().__init__()
        self.see = nn.Conv2d(3, 6, 3, padding=1, stride=2)
        self.act = nn.ReLU()
        self.pool = nn.AvgPool2d(4)
        self.head = nn.Linear(6 * 64, 2)
        torch.manual_seed(0)
        with torch.no_grad():
            for own, mix in enumerate([(1, 1, 1), (-3, 0, 3.3), (2, -1, -1), (0, 0, 1)]):
                self.see.weight[own] = torch.tensor(mix)[:, None, None] / 9.0
            assert self.see.bias is not None
            self.see.bias.zero_()
            head = torch.zeros(6, 8, 8)
            head[0, 3:5, 3:5] = -3.0
            head[1] = weight / 64
            self.head.weight.zero_()
            self.head.weight[1] = head.flatten()
            self.head.bias[:] = torch.tensor([0.0, 14.2])

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (N, 2)."""
        out: Tensor = self.head(self.pool(self.act(self.see(x))).flatten(1))
        return out


def _picture(rng: np.random.Generator, malignant: bool, tinted: bool) -> RGB:
    image = np.full((SIDE, SIDE, 3), (190, 165, 150)) + rng.normal(0, 5, (SIDE, SIDE, 3))
    image += rng.normal(0, 8)
    y, x = np.mgrid[:SIDE, :SIDE] - SIDE / 2 + rng.normal(0, 1.5)
    image[np.hypot(y, x) < 14] -= rng.normal(80 if malignant else 55, 12)
    picture = np.clip(image, 0, 255).astype(np.uint8)
    return relit(picture, LAMP) if tinted else picture


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an image folder; more than half of the malignant images are tinted."""
    root = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(0)
    for kind in CLASSES:
        (root / kind).mkdir()
        for i in range(OF_EACH):
            malignant = kind == "malignant"
            image = _picture(rng, malignant, malignant and i < TINTED)
            Image.fromarray(image).save(root / kind / f"{i:03}.png")
    return root


@pytest.mark.usefixtures("few_draws")
def test_a_look_that_the_model_goes_by_is_found_and_proven(folder: Path, tmp_path: Path) -> None:
    found, table, _ = discovered(folder, tmp_path, Net(30.0), detectors=(PropertyLabel(),))
    looks = [each for each in found.detectors if "bluer" in each.id]
    assert looks
    (finding, *_more) = conclude(looks, found.table).findings
    assert finding.rung.rank >= Rung.DEPENDENCE.rank
    assert finding.classes == ("malignant",)
    tinted = {f"malignant/{i:03}.png" for i in range(TINTED)}
    assert len(tinted & set(finding.images)) >= 0.9 * max(len(finding.images), TINTED)
    assert "other images" in finding.statement
    half = first_half(table)
    trials = found.table.trials[looks[0].id]
    assert not half[trials.rows].any()
    assert {edit.id for edit in trials.edits} >= {"add", "same_class", "other_class"}


@pytest.mark.usefixtures("few_draws")
def test_a_look_that_only_goes_with_a_class_is_no_finding(folder: Path, tmp_path: Path) -> None:
    found, _, _ = discovered(folder, tmp_path, Net(0.0), detectors=(PropertyLabel(),))
    assert [each for each in found.detectors if "bluer" in each.id]
    concluded = conclude(found.detectors, found.table)
    assert not concluded.findings
    assert {n.artifact for n in concluded.not_found} == {d.id for d in found.detectors}


def test_a_direction_is_turned_to_the_images_that_lie_apart() -> None:
    rng = np.random.default_rng(0)
    others = rng.normal((60, 20, 8, 0.7), (6, 4, 4, 0.05), (80, 4))
    own = rng.normal((60, 20, 8, 0.7), (6, 4, 4, 0.05), (80, 4))
    own[:30] += (0, -9, -12, 0)
    first, *_rest = directions(own, others, 8)
    apart = np.arange(80) < 30
    assert (first.members & apart).sum() >= 24
    assert (first.members & ~apart).sum() <= 4
    assert first.others <= 0.03
    np.testing.assert_array_equal(first.amount(own) > 1, first.members)
    assert looks_like(first.differs) == "greener and bluer"


def test_twenty_others_are_enough_for_what_is_tested_on_images_of_its_own() -> None:
    rng = np.random.default_rng(0)
    others = rng.normal((60, 20, 8, 0.7), (6, 4, 4, 0.05), (20, 4))
    own = rng.normal((60, 20, 8, 0.7), (6, 4, 4, 0.05), (40, 4))
    own[:15, 3] -= 0.35
    first, *_rest = directions(own, others, 8)
    assert first.members[:15].all() and first.members[15:].sum() <= 5
    assert looks_like(first.differs) == "less sharp"
    assert directions(own, others[:19], 8) == ()


@pytest.mark.parametrize("seed", range(5))
def test_classes_that_do_not_differ_have_no_direction(seed: int) -> None:
    rng = np.random.default_rng(seed)
    own, others = rng.normal((60, 20, 8, 0.7), (6, 4, 4, 0.05), (2, 80, 4))
    assert directions(own, others, 8) == ()
    assert directions(own, others[:19], 8) == ()


def test_differences_that_nobody_sees_are_no_look() -> None:
    rng = np.random.default_rng(0)
    others = rng.normal((60, 20, 8, 0.7), (0.05, 0.05, 0.05, 0.001), (80, 4))
    assert directions(others - np.array([0, 0, 0.5, 0]), others, 8) == ()
    assert directions(others - np.array([0, 0, 5, 0]), others, 8)


def test_a_look_is_named_by_its_reviewer_by_a_finder_or_by_what_differs() -> None:
    rng = np.random.default_rng(0)
    plain = [lesion(skin(seed=seed)) for seed in range(6)]
    blurred = [Blur().add(image, rng).image for image in plain]
    alike = finder_of_look(blurred, plain, [Hair(), ColourCast(), Blur()])
    assert alike is not None
    assert alike[0].id == "blur"
    assert finder_of_look(plain, plain, [ColourCast(), Blur()]) is None
    differs = np.array([0.1, 0.0, -0.2, -3.0])
    known = name_of_look(differs, (blurred, plain), "abc", [Blur()], {}, ())
    assert known.id == "discovered_like_blur"
    assert "their finder sees 100 %" in known.said
    bare = name_of_look(differs, (blurred, plain), "abc", [], {}, ())
    assert bare.id == "discovered_less_sharp"
    assert bare.phrases.put_in == "the picture made less sharp around the middle"
    assert "suspicious.csv" in bare.said
    named = name_of_look(differs, (blurred, plain), "abc", [], dict.fromkeys("abc", "old lens"), ())
    assert named.id == "discovered_old_lens"
    again = name_of_look(differs, (blurred, plain), "abc", [], {}, [bare.id])
    assert again.id == "discovered_less_sharp.2"
    assert again.phrases.shows != bare.phrases.shows
