"""The benchmark on photographs: seeds settle cases, and cuts bring the thing and not its ground."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.photographs import plants
from benchmarks.photographs.__main__ import summary
from benchmarks.photographs.cases import BACKBONES, ON_TILES, REPORTED, case_of
from benchmarks.photographs.edits import edits_for
from benchmarks.photographs.plants import ARTIFACTS, CUTS, PLANTS, Cut, put
from benchmarks.photographs.rows import ClaimRow, Result, Row


def test_a_seed_settles_a_case_and_every_plant_is_among_those_reported() -> None:
    reported = [case_of(seed) for seed in range(REPORTED, REPORTED + 135)]
    assert len({case.name for case in reported}) == len(reported)
    clean = [case for case in reported if not case.plants]
    assert len(clean) == len(reported) // 3
    with_plants = [case for case in reported if case.plants]
    two = sum(len(case.plants) == 2 for case in with_plants) / len(with_plants)
    assert 0.15 <= two <= 0.25
    assert {p for case in reported for p in case.plants} == set(PLANTS)
    assert {case.backbone for case in reported} == set(BACKBONES)
    on_tiles = {p for case in reported if case.pictures == "tiles" for p in case.plants}
    assert on_tiles <= set(ON_TILES)


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


def _row(use: float, found: bool) -> Row:
    return Row("a", 1, "skin", "vit", "ink", 0.5, 0.8, use, found=found, rivals={"spray": None})


def test_the_tables_count_plants_in_use_alone() -> None:
    claims = (
        ClaimRow("a", "ink", "high", "plant", None),
        ClaimRow("a", "blur", "high", "false", 0.0),
    )
    results = [
        Result((_row(0.5, True),), claims, 60, 30, clean=False),
        Result((_row(0.1, False),), (), 60, 30, clean=True),
    ]
    said = "\n".join(summary(results))
    assert "plants in use: 1 of 2" in said
    assert "1/1 [" in said
    assert "not installed" in said
    assert "claims of dependence: 2, tried 2: false 1/2" in said
    assert "missed" not in said
