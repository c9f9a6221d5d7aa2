"""A mark that no finder knows is found, put into other images, and proven; nothing where it is not.

The model goes by the darkness of the middle and, by `weight`, by a green bar near a corner.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from melaudit.artifacts.interface import RGB
from melaudit.artifacts.kinds.hair import Hair
from melaudit.audit.conclude.conclusions import conclude
from melaudit.audit.discovery.discovery import Tried, discover
from melaudit.audit.discovery.halves import first_half
from melaudit.audit.measure.learn_words import sight
from melaudit.audit.measure.store import Store
from melaudit.audit.measure.visual_words import NOTHING
from melaudit.detectors.artifact import ArtifactDetector
from melaudit.detectors.discovered import DiscoveredDetector
from melaudit.findings import Rung, Subject
from melaudit.images.dataset import open_dataset
from melaudit.observer import Silent
from tests.audit.discovery.passed import CLASSES, SIDE, discovered

OF_EACH, MARKED = 100, 60


class Net(nn.Module):
    """Channels of three colours at every place; then the middle, and `weight` times the corner."""

    def __init__(self, weight: float) -> None:
        super().__init__()
        self.see = nn.Conv2d(3, 6, 3, padding=1, stride=2)
        self.act = nn.ReLU()
        self.pool = nn.AvgPool2d(4)
        self.head = nn.Linear(6 * 64, 2)
        torch.manual_seed(0)
        with torch.no_grad():
            for own, mix in enumerate([(1, 1, 1), (-1, 2, -1), (2, -1, -1), (0, 0, 1)]):
                self.see.weight[own] = torch.tensor(mix)[:, None, None] / 9.0
            assert self.see.bias is not None
            self.see.bias.zero_()
            head = torch.zeros(6, 8, 8)
            head[0, 3:5, 3:5] = -3.0
            head[1, 1, 1:3] = weight
            self.head.weight.zero_()
            self.head.weight[1] = head.flatten()
            self.head.bias[:] = torch.tensor([0.0, 15.6])

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (N, 2)."""
        out: Tensor = self.head(self.pool(self.act(self.see(x))).flatten(1))
        return out


def _picture(rng: np.random.Generator, malignant: bool, marked: bool) -> RGB:
    image = np.full((SIDE, SIDE, 3), (210, 175, 150)) + rng.normal(0, 5, (SIDE, SIDE, 3))
    image += rng.normal(0, 8)
    y, x = np.mgrid[:SIDE, :SIDE] - SIDE / 2 + rng.normal(0, 1.5)
    image[np.hypot(y, x) < 14] -= rng.normal(80 if malignant else 55, 12)
    if marked:
        image[8:16, 8:24] = (20, 200, 40)
    return np.clip(image, 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an image folder; more than half of the malignant images have the mark."""
    root = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(0)
    for kind in CLASSES:
        (root / kind).mkdir()
        for i in range(OF_EACH):
            malignant = kind == "malignant"
            image = _picture(rng, malignant, malignant and i < MARKED)
            Image.fromarray(image).save(root / kind / f"{i:03}.png")
    return root


@pytest.mark.usefixtures("few_draws")
def test_what_the_model_goes_by_is_found_and_proven(folder: Path, tmp_path: Path) -> None:
    found, table, _ = discovered(folder, tmp_path, Net(4.0))
    reasons = [each.reason for each in found.skipped]
    assert any("were not measured" in each for each in reasons)  # of light and colour
    # Images of the other half need not show it again.
    assert any("unnamed part 1, which edits already showed to be used" in each for each in reasons)
    first = found.detectors[0]
    assert isinstance(first, DiscoveredDetector)
    assert first.subject is Subject.MODEL
    finding, *more = conclude(found.detectors, found.table).findings
    assert finding.rung.rank >= Rung.DEPENDENCE.rank
    assert finding.classes == ("malignant",)
    marked = {f"malignant/{i:03}.png" for i in range(MARKED)}
    assert len(marked & set(finding.images)) >= 0.9 * MARKED
    assert len(marked & set(finding.images)) >= 0.9 * len(finding.images)
    assert "other images" in finding.statement
    assert not more
    # Everything that is claimed is of the other half than the one it was chosen on.
    half = first_half(table)
    trials = found.table.trials[first.id]
    assert not half[trials.rows].any()
    assert {e.n for e in finding.evidence if e.rung is Rung.OPPORTUNITY} <= {int((~half).sum())}
    # Had another class shown it, no model would have learned from it what it does here.
    origin = dataclasses.replace(first.origin, predicted="benign")
    against = DiscoveredDetector(first.artifact, (), origin)
    concluded = conclude([against], found.table)
    assert not concluded.findings
    assert all("decisions follow it to malignant" in n.statement for n in concluded.not_found)


@pytest.mark.usefixtures("few_draws")
def test_what_only_goes_with_a_class_is_no_finding(folder: Path, tmp_path: Path) -> None:
    found, table, _ = discovered(folder, tmp_path, Net(0.1))
    concluded = conclude(found.detectors, found.table)
    assert not concluded.findings
    assert found.detectors
    assert {n.artifact for n in concluded.not_found} == {d.id for d in found.detectors}
    # It is chosen on either half, and tested on the other one.
    half = first_half(table)
    tested = [each.origin.tested for each in found.detectors]
    for one in (half, ~half):
        assert any(np.array_equal(each, one) for each in tested)
    for detector in found.detectors:
        assert detector.origin.tested[found.table.trials[detector.id].rows].all()


@pytest.mark.usefixtures("few_draws")
def test_where_the_model_looks_on_a_group_is_tried_and_proven(folder: Path, tmp_path: Path) -> None:
    found, _, _ = discovered(folder, tmp_path, Net(4.0), words=False)
    finding, *more = conclude(found.detectors, found.table).findings
    assert not more
    (only,) = (each for each in found.detectors if each.id == finding.id)
    assert finding.rung.rank >= Rung.DEPENDENCE.rank
    assert finding.classes == ("malignant",)
    marked = {f"malignant/{i:03}.png" for i in range(MARKED)}
    assert len(marked & set(finding.images)) >= 0.8 * max(MARKED, len(finding.images))
    assert "where the model looks on a group" in finding.statement
    there = found.table[f"{only.id}.mask"][found.table[f"{only.id}.present"]][0] > 0
    assert there[4:8, 4:12].any()  # the mark
    assert not there[16:, 16:].any()


@pytest.mark.usefixtures("few_draws")
def test_a_model_without_a_shortcut_has_no_group_that_proves_one(
    folder: Path, tmp_path: Path
) -> None:
    found, _, _ = discovered(folder, tmp_path, Net(0.0), words=False)
    assert not conclude(found.detectors, found.table).findings


@pytest.mark.usefixtures("few_draws")
def test_a_name_that_a_reviewer_gave_stays_and_trials_are_kept(
    folder: Path, tmp_path: Path
) -> None:
    reviews = {f"malignant/{i:03}.png": "green bar" for i in range(0, MARKED, 5)}
    found, _, _ = discovered(folder, tmp_path, Net(4.0), reviews, most=1)
    (only,) = found.detectors
    assert only.id == "discovered_green_bar"
    again, _, _ = discovered(folder, tmp_path, Net(4.0), reviews, most=1)
    for one, other in zip(
        vars(found.table.trials[only.id]).values(),
        vars(again.table.trials[only.id]).values(),
        strict=True,
    ):
        if isinstance(one, np.ndarray):
            np.testing.assert_array_equal(one, other)
    assert found.table.trials[only.id].edits == again.table.trials[only.id].edits


@pytest.mark.usefixtures("few_draws")
@pytest.mark.parametrize("same_place", [True, False])
def test_a_part_is_known_where_an_artifact_that_is_used_is_shown_in_its_place(
    folder: Path, tmp_path: Path, same_place: bool
) -> None:
    found, table, laboratory = discovered(folder, tmp_path, Net(4.0))
    first, read = found.detectors[0].id, table.columns
    present = found.table[f"{first}.present"]
    masks = found.table[f"{first}.mask"][np.arange(len(present))]
    mine = {
        "hair.present": present,
        "hair.score": present.astype(np.float32),
        "hair.mask": masks if same_place else masks[:, ::-1, ::-1],
    }
    beside = dataclasses.replace(
        table,
        columns=lambda name: mine[name] if name in mine else read(name),
        trials={"hair": found.table.trials[first]},
    )
    learned = sight(laboratory.viewer, open_dataset(folder), tmp_path / "shards", 0, Silent())
    store = Store(tmp_path / "again", "words", table.ids)
    hairs = (ArtifactDetector(Hair()),)
    again = discover(beside, hairs, laboratory, learned, store, {}, (20, 3), Silent())
    known = [each for each in again.skipped if "hairs, which edits already" in each.reason]
    assert bool(known) == same_place
    # Of the same images, and in another place, it is another thing.
    shown = [again.table[f"{each.id}.present"] for each in again.detectors]
    assert any(np.array_equal(each, present) for each in shown) != same_place


@pytest.mark.usefixtures("few_draws")
def test_what_is_kept_of_another_part_of_the_same_id_is_not_taken(
    folder: Path, tmp_path: Path
) -> None:
    """As where a reviewer named the first part, and the next one has its number now."""
    discovered(folder, tmp_path, Net(4.0))
    found, table, _ = discovered(folder, tmp_path, Net(4.0), seed=1)
    only = found.detectors[0]
    trials = found.table.trials[only.id]
    assert len(trials.rows)
    assert not first_half(table)[trials.rows].any()


def test_nothing_is_tried_where_nothing_is_to_be_edited_or_learned(
    folder: Path, tmp_path: Path
) -> None:
    found, table, laboratory = discovered(folder, tmp_path, Net(4.0), most=0)
    assert found == Tried(table)
    random = dataclasses.replace(table, above_chance=False)
    store = Store(tmp_path / "other", "words", table.ids)
    assert discover(random, (), laboratory, NOTHING, store, {}, (20, 3), Silent()) == Tried(random)


def test_images_of_one_patient_are_in_one_half(folder: Path, tmp_path: Path) -> None:
    n = 200
    patients = np.array([f"p{row // 4}" for row in range(n)], object)
    _, table, _ = discovered(folder, tmp_path, Net(0.0), most=0)
    table = dataclasses.replace(table, groups=patients)
    half = first_half(table)
    for patient in np.unique(patients.astype(str)):
        assert len(set(half[patients == patient])) == 1
    assert 0.4 < half.mean() < 0.6
    for predicted in np.unique(table.predictions):
        assert 0.3 < half[table.predictions == predicted].mean() < 0.7
    assert (half == first_half(table)).all()
