"""The benchmark on photographs: seeds settle cases, and cuts bring the thing and not its ground."""

from __future__ import annotations

import csv
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

import melaudit
from benchmarks.photographs import plants, record
from benchmarks.photographs.__main__ import documented, of_reported
from benchmarks.photographs.audits import audited
from benchmarks.photographs.bnnr_analyze import alarms
from benchmarks.photographs.cases import BACKBONES, LAST, ON_TILES, REPORTED, SHARES, case_of
from benchmarks.photographs.edits import EDITS, NINTHS, edits_for, in_place, plain
from benchmarks.photographs.plants import ARTIFACTS, CUTS, PLANTS, Cut, put
from benchmarks.photographs.rows import (
    ClaimRow,
    Result,
    Row,
    by_images,
    credited,
    holds,
    is_about,
    names,
)
from benchmarks.photographs.tables import (
    everything,
    false_claims,
    missed,
    of_claims,
    of_plants,
    of_targets,
)
from melaudit.domains.dermoscopy import DERMOSCOPY
from melaudit.findings import Finding, Rung, Severity

ROOT = Path(__file__).resolve().parent.parent


def test_a_seed_settles_a_case_and_every_plant_is_among_those_reported() -> None:
    reported = [case_of(seed) for seed in range(REPORTED, LAST + 1)]
    assert len({case.name for case in reported}) == len(reported) == 375
    clean = [case for case in reported if not case.plants]
    assert len(clean) == len(reported) // 3
    with_plants = [case for case in reported if case.plants]
    two = sum(len(case.plants) == 2 for case in with_plants) / len(with_plants)
    assert 0.15 <= two <= 0.25
    on_tiles = {p for case in reported if case.pictures == "tiles" for p in case.plants}
    assert on_tiles == set(ON_TILES)
    on_skin = [case for case in reported if case.pictures == "skin"]
    for plant in PLANTS:
        some = [case for case in on_skin if plant in case.plants]
        assert {case.backbone for case in some} == set(BACKBONES)
        assert {case.share for case in some} == set(SHARES)


def test_fifteen_seeds_in_a_row_are_spread_evenly() -> None:
    for start in range(0, LAST + 1, 15):
        cases = [case_of(seed) for seed in range(start, start + 15)]
        firsts = [case.plants[0] for case in cases if case.plants and case.pictures == "skin"]
        assert len(set(firsts)) == len(firsts) == 8
        assert sum(not case.plants for case in cases) == 5
        assert {sum(case.backbone == each for case in cases) for each in BACKBONES} == {5}
        shares = [case.share for case in cases if case.plants]
        assert min(shares.count(share) for share in SHARES) >= 2


def test_every_plant_is_named_by_an_artifact_and_every_claim_on_one_can_be_tried() -> None:
    assert set(ARTIFACTS) == set(PLANTS) >= set(CUTS)
    for artifact in ARTIFACTS.values():
        assert edits_for(artifact, artifact)
    assert len(edits_for("colour_cast.bluish", "colour_cast")) == 2
    assert edits_for("clusters.malignant", "clusters.malignant") == ()


@pytest.mark.parametrize("how", ["dark", "whole"])
def test_a_thing_is_cut_out_of_its_ground(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    photograph = np.full((120, 160, 3), (230, 190, 170), np.uint8)
    photograph[70:90, 40:80] = (40, 30, 90)
    monkeypatch.setattr(plants, "_read", lambda file: photograph)
    plants.taken.cache_clear()
    cut = Cut(f"made up, {how}", (0.2, 0.5, 0.55, 0.85), how)
    image = np.full((100, 100, 3), (120, 100, 90), np.uint8)
    after = put(image, cut, np.random.default_rng(0)).astype(int)
    changed = abs(after - image).max(2) > 12
    assert 0.01 < changed.mean() < 0.25
    if how == "dark":  # only what is darker than its ground came along, and it darkens
        assert (after <= image).all()
    plants.taken.cache_clear()


@pytest.mark.parametrize("name", sorted(EDITS))
def test_a_plain_edit_changes_the_places_of_the_edit_and_no_other(name: str) -> None:
    drawn = ("hair", "blur", "colour_cast", "jpeg_quality")
    if name in ARTIFACTS.values() and name not in drawn and not plants.DATA.is_dir():
        pytest.skip("needs the photographs of ../shared/data")
    rng = np.random.default_rng(0)
    image = rng.integers(60, 200, (96, 96, 3)).astype(np.uint8)
    for edit in EDITS[name][1:] if name == "hair" else EDITS[name]:
        edited = edit(image, rng)
        assert edited.shape == image.shape
        assert edited.dtype == np.uint8
        same = abs(edited.astype(int) - image).max(2) <= 8
        level = plain(image, edited)
        assert (level[same] == image[same]).all()
        assert (level[~same] == image[:, ::-1][~same]).all()
        assert (~same).any()


def _row(use: float, found: bool, seed: int = 1) -> Row:
    return Row(f"{seed}", seed, "skin", "vit", "ink", 0.5, 0.8, use, found=found)


def _claim(case: str, verdict: str, severity: str = "high", audit: str = "default") -> ClaimRow:
    return ClaimRow(case, audit, "blur", severity, "malignant", verdict, 0.012)


RESULTS = [
    Result((_row(0.5, True),), (_claim("1", "plant"), _claim("1", "false")), 30, 60, 5, 9),
    Result((_row(0.1, False, 2),), (_claim("2", "untried", audit="bare"),), 30, 60, 5, 9),
    Result((_row(0.9, False, 3),), (_claim("3", "true", "medium"),), 30, 60, 5, 9),
]


def test_the_tables_count_plants_in_use_alone() -> None:
    assert of_plants(RESULTS)[2].startswith("| all | 1/2 [.09, .91] |")
    assert [line.split("|")[1:5] for line in of_claims(RESULTS)[2:]] == [
        [" by default ", " 3 ", " 2 ", " 1/3 [.06, .79] "],
        [" high or critical ", " 2 ", " 1 ", " 1/2 [.09, .91] "],
        [" on models without a plant in use ", " 0 ", " 0 ", " none tried "],
        [" with named detectors off ", " 1 ", " 0 ", " none tried "],
    ]
    assert [line.split("|")[3].strip() for line in of_targets(RESULTS)[2:]] == [
        "1/2 [.09, .91]",
        "0/2 [.00, .66]",
        "0/2 [.00, .66]",
        "1/3 [.06, .79]",
        "1/3 [.06, .79]",
    ]
    assert len(missed(RESULTS)) == 1
    assert "seed 3: ink on 50%" in missed(RESULTS)[0]
    assert false_claims(RESULTS) == ["* 1: blur (high) towards malignant, other edits +1 of 100"]


def test_what_is_recorded_is_read_as_it_was(tmp_path: Path) -> None:
    record.begin(tmp_path)
    for result in RESULTS:
        record.add(result, "0123456789ab", tmp_path)
    assert everything(record.read(tmp_path)) == everything(RESULTS)
    assert record.read(tmp_path)[0].claims == RESULTS[0].claims
    lines = (tmp_path / "reported.csv").read_text().splitlines()
    assert lines[0].endswith(",commit")
    assert lines[1].endswith(",0123456789ab")


def test_recorded_rows_are_of_reported_seeds_each_once_and_by_known_code() -> None:
    results = record.read()
    seeds = [result.rows[0].seed for result in results]
    assert len(seeds) == len(set(seeds))
    assert all(REPORTED <= seed <= LAST for seed in seeds)
    for result in results:
        case = case_of(result.rows[0].seed)
        assert tuple(row.plant for row in result.rows) == (case.plants or ("",))
        assert {row.case for row in result.rows} == {case.name}
    for name in ("reported.csv", "claims.csv"):
        with (record.HERE / name).open(newline="") as file:
            for row in csv.DictReader(file):
                assert re.fullmatch(r"[0-9a-f]{12}", row["commit"])


def test_the_document_says_what_is_recorded(tmp_path: Path) -> None:
    document = tmp_path / "detection.md"
    kept = (ROOT / "docs" / "detection.md").read_text()
    document.write_text(kept)
    documented(document)
    assert document.read_text() == kept  # else: --reported --document docs/detection.md
    assert "\n".join(of_reported()) in kept


def _finding(**fields: object) -> Finding:
    known: dict[str, object] = {
        "id": "blur",
        "detector": "blur",
        "title": "",
        "severity": Severity.HIGH,
        "confidence": 1.0,
        "rung": Rung.DEPENDENCE,
        "artifact": "blur",
        "classes": ("malignant",),
        "statement": "",
        "evidence": (),
        "images": ("a", "b"),
        "remedy": "",
        "does_not_show": "",
    }
    return Finding(**known | fields)  # type: ignore[arg-type]


def test_a_finding_is_about_a_plant_if_it_names_it_and_moves_to_its_class() -> None:
    assert is_about(_finding(), "blur", "malignant")
    assert not is_about(_finding(classes=("benign",)), "blur", "malignant")
    assert not is_about(_finding(), "ink", "malignant")
    cast = _finding(id="colour_cast.bluish", artifact="colour_cast")
    assert is_about(cast, "white_balance", "malignant")
    pink = _finding(id="colour_cast.pinkish", artifact="colour_cast")
    assert not is_about(pink, "white_balance", "malignant")


def test_a_discovered_artifact_holds_a_plant_that_most_of_its_images_show() -> None:
    truth = {"a": True, "b": True, "c": False, "d": False, "e": False, "f": False}
    found = _finding(detector="discovered_1", artifact="discovered_1")
    assert holds(found, truth)
    assert not holds(_finding(), truth)
    assert not holds(_finding(detector="discovered_1", images=("a", "c", "d")), truth)
    assert not holds(found, dict.fromkeys(truth, True))


def test_a_claim_about_looks_alone_is_tried_by_its_images() -> None:
    assert by_images(_finding(detector="discovered_1"))
    assert by_images(_finding(title="The model decides by what looks like ink marks"))
    assert not by_images(_finding(title="The model decides by ink marks"))


def test_what_bnnr_says_is_an_alarm_where_it_speaks_of_a_shortcut() -> None:
    assert alarms(["confused_pair", "background_focus_suspected"])
    assert alarms(["artifact_focus_suspected"])
    assert not alarms(["class_collapse_suspected", "low_xai_quality"])
    assert not alarms([])


def test_a_discovered_artifact_that_is_called_what_a_plant_is_finds_it() -> None:
    assert names("discovered_like_hair", "malignant", "hair", "malignant")
    assert names("discovered_like_dark_ring.2", "malignant", "ring", "malignant")
    assert not names("discovered_like_hair", "benign", "hair", "malignant")
    assert not names("discovered_like_hair", "malignant", "ink", "malignant")
    assert not names("discovered_1", "malignant", "hair", "malignant")
    assert not names("discovered_like_colour_cast", "malignant", "white_balance", "malignant")
    case = case_of(604)
    assert case.plants == ("hair",)
    row = Row(case.name, 604, "skin", case.backbone, "hair", 0.8, 0.9, 0.5)
    claim = ClaimRow(case.name, "default", "discovered_like_hair", "high", "malignant", "true", 0.1)
    result = Result((row,), (claim,), 1.0, 1.0, 1.0, 1.0)
    (seen,), (said,) = credited(result).rows, credited(result).claims
    assert (seen.discovered, seen.proven, said.verdict) == (True, False, "plant")
    unused = credited(replace(result, rows=(replace(row, use=0.1),)))
    assert unused.claims[0].verdict == "true"


class Corners(nn.Module):
    """Goes by how bright a picture is, and by how dark its corners are."""

    def __init__(self) -> None:
        super().__init__()
        self.see = nn.Conv2d(3, 4, 3, padding=1, stride=2)
        self.act = nn.ReLU()
        self.pool = nn.AvgPool2d(4)
        self.head = nn.Linear(4 * 36, 2)
        with torch.no_grad():
            self.see.weight[0] = 1 / 27
            head = torch.zeros(4, 6, 6)
            head[0, 2:4, 2:4] = -6.0
            head[0, ::5, ::5] = -6.0
            self.head.weight.zero_()
            self.head.weight[1] = head.flatten()
            self.head.bias[:] = torch.tensor([0.0, 25.0])

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (N, 2)."""
        out: Tensor = self.head(self.pool(self.act(self.see(x))).flatten(1))
        return out


def test_one_ninth_of_a_picture_is_put_into_its_place_in_another() -> None:
    image, donor = np.zeros((90, 90, 3), np.uint8), np.full((90, 90, 3), 200, np.uint8)
    for row, column in NINTHS:
        out = in_place(image, donor, (row, column)) / 200
        middles = out[15::30, 15::30, 0]
        expected = np.zeros((3, 3))
        expected[row, column] = 1
        assert np.array_equal(middles, expected)
        assert out.mean() == pytest.approx(1 / 9, abs=0.06)
    assert (1, 1) not in NINTHS and len(NINTHS) == 8


def test_two_audits_of_one_pass_say_what_two_audits_say(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    y, x = np.mgrid[-1:1:48j, -1:1:48j]
    for kind in ("benign", "malignant"):
        (tmp_path / "data" / kind).mkdir(parents=True)
        for i in range(30):
            image = np.full((48, 48, 3), (210, 170, 150)) + rng.normal(0, 6, (48, 48, 3))
            image[np.hypot(x, y) < 0.4] -= rng.normal(90 if kind == "malignant" else 50, 15)
            if kind == "malignant" and i < 20:
                image[np.hypot(x, y) > 1.0] = 2
            page = Image.fromarray(np.clip(image, 0, 255).astype(np.uint8))
            page.save(tmp_path / "data" / kind / f"{i:02}.png")
    some = [a.id for a in DERMOSCOPY.artifacts if a.id != "dark_ring"]
    options: dict[str, Any] = {
        "image_size": 48,
        "mean": (0.0,),
        "std": (1.0,),
        "positive": "malignant",
        "domain": "dermoscopy",
        "check_images": 2,
        "corruption_images": 0,
        "edits": 8,
    }
    model = Corners()
    both = audited(model, tmp_path / "data", tmp_path / "both", without=tuple(some), **options)
    for found, without in ((both.findings, some), (both.bare, [*some, "artifacts"])):
        alone = melaudit.audit(
            model,
            tmp_path / "data",
            out=tmp_path / f"alone{len(without)}",
            progress=False,
            without=tuple(without),
            **options,
        )
        assert found == alone.findings
        assert [c.images for c in both.clusters] == [c.images for c in alone.clusters]
    assert any(f.artifact == "dark_ring" for f in both.findings)
    assert not any(f.artifact == "dark_ring" for f in both.bare)
