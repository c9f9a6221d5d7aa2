"""Suspicion: a plain sum of parts, with the true reasons."""

import sys
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import pytest

from melaudit.audit.groups.exclusive import Pattern
from melaudit.audit.groups.portrait import (
    THUMBNAIL,
    Portrait,
    marking_channels,
    moments,
    outside_centre,
)
from melaudit.audit.groups.strategies import Strategy
from melaudit.audit.groups.suspicion import (
    WEIGHTS,
    ClassGroup,
    components,
    joined,
    reasons,
    suspicious_clusters,
)
from melaudit.audit.measure.visual_words import Sight, Vocabulary
from melaudit.findings import Exclusive, Trust
from melaudit.measurements import Array, Measurements

Planted = Callable[[int, int, int], tuple[Array, Array, Array]]


def measurements(concepts: Array, maps: Array, inside: Array) -> Measurements:
    n = len(concepts)
    rng = np.random.default_rng(5)
    thumbnails = rng.integers(0, 256, (n, 16, 16, 3)).astype(np.uint8)
    thumbnails[inside, :3] = 0
    columns: Mapping[str, Array] = {
        "relevance.positive": maps.astype(np.float16),
        "relevance.negative": np.zeros_like(maps, np.float16),
        "relevance.concepts": concepts.astype(np.float16),
        THUMBNAIL: thumbnails,
    }
    labels = np.ones(n, np.int64)
    labels[-20:] = 0
    return Measurements(
        tuple(f"{i}.jpg" for i in range(n)), labels, np.ones(n, np.int64), np.ones(n, np.int64),
        np.zeros((n, 2), np.float32), ("benign", "malignant"), 1, columns.__getitem__, "layer4",
        Trust.TRUSTED, 0,
    )  # fmt: skip


@pytest.mark.usefixtures("few_draws")
def test_the_ringed_group_is_the_most_suspicious_and_the_reasons_say_why(planted: Planted) -> None:
    concepts, maps, inside = planted(200, 60, 0)
    clinic = ["a" if ringed else "b" for ringed in inside]
    clusters, skipped = suspicious_clusters(
        measurements(concepts, maps, inside), {"dark_ring": inside}, {"clinic": clinic}
    )
    worst = clusters[0]
    assert worst.predicted == "malignant"
    assert worst.artifacts["dark_ring"] >= 0.95
    assert worst.suspicion == pytest.approx(sum(worst.parts.values()))
    text = " ".join(worst.why)
    for reason in ("dark ring", "outside the central half", "clinic = a", "look alike", "wrong"):
        assert reason in text
    assert set(worst.channels[:2]) == {3, 7}
    assert worst.odds_ratios["clinic = a"] > 100
    assert {s.reason for s in skipped} == {"the 0 images predicted benign do not fall into groups"}


def portrait() -> Portrait:
    return Portrait(50, 200, (0.4, 0.4), (0.2, 0.2), (0.1, 0.1), {"a": 50}, (), (), (0.3, 0.3), 0.0)


def test_a_group_like_its_class_is_suspicious_for_its_size_alone() -> None:
    added = components(portrait())
    assert {name for name, value in added.items() if value} == {"size"}
    strange = components(replace(portrait(), outside=(0.9, 0.3), alike=(0.9, 0.2), duplicated=1.0))
    assert strange["outside"] == WEIGHTS["outside"] and strange["alike"] == WEIGHTS["alike"]
    assert sum(WEIGHTS.values()) == pytest.approx(1)


def test_unknown_labels_and_thumbnails_add_nothing() -> None:
    nan = float("nan")
    added = components(replace(portrait(), errors=(nan, nan), alike=(nan, nan)))
    assert added["errors"] == added["alike"] == 0
    lines = reasons(
        "a",
        replace(portrait(), errors=(nan, nan)),
        ClassGroup(np.arange(50), ("maps",), 0.8, 0.3, None),
    )
    assert len(lines) == 1 and "nan" not in lines[0]


def test_marking_channels_stand_higher_inside_in_pooled_deviations() -> None:
    rng = np.random.default_rng(0)
    inside, rest = rng.normal(size=(40, 6)), rng.normal(size=(90, 6))
    inside[:, 4] += 3
    inside[:, 2] -= 3
    found = marking_channels(inside, rest)
    assert found[0].channel == 4 and 2 not in [m.channel for m in found]
    by_hand = (inside[:, 4].mean() - rest[:, 4].mean()) / np.sqrt(
        (inside[:, 4].var() + rest[:, 4].var()) / 2
    )
    assert found[0].effect == pytest.approx(by_hand)
    assert marking_channels(inside, rest[:0]) == ()


def test_moments_in_parts_are_those_of_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules["melaudit.audit.groups.portrait"], "CHUNK", 7)
    values = np.random.default_rng(1).normal(5, 2, (40, 3))
    middle, variance = moments(values)
    np.testing.assert_allclose(middle, values.mean(0))
    np.testing.assert_allclose(variance, values.var(0))


def test_the_centre_is_half_of_the_picture() -> None:
    assert outside_centre(200, 300).mean() == pytest.approx(0.5, abs=0.01)
    assert outside_centre(32, 32)[16, 16] == 0 and outside_centre(32, 32)[0, 0] == 1


def pattern(members: range, n: int = 100) -> Pattern:
    shown = np.zeros(n, np.float32)
    shown[list(members)] = 5
    return Pattern(0, (3, 4), 2.0, shown, np.arange(70) == 5, 0.2, 0.3, 0.9, 0.1)


def test_a_group_found_both_ways_is_one_and_says_both() -> None:
    by_channels = Strategy(np.arange(40), ("concepts",), 0.8, 0.2)
    one, two = joined([by_channels], [pattern(range(2, 44)), pattern(range(60, 90))], others=70)
    assert one.views == ("concepts", "parts")
    assert one.members.tolist() == list(range(40))
    assert one.exclusive == Exclusive(1 / 70, 70, 0.2, 0.3, 0, (3, 4), bound=2.0)
    assert two.views == ("parts",)
    assert two.members.tolist() == list(range(60, 90))
    (alone,) = joined([by_channels], [], others=70)
    assert alone.exclusive is None


def test_what_a_group_alone_shows_is_said_and_adds_to_the_suspicion() -> None:
    shown = Exclusive(0.02, 150, 0.12, 0.05, 0, (1,))
    assert components(portrait(), shown)["exclusive"] == pytest.approx(WEIGHTS["exclusive"] / 2)
    (alone,) = reasons("a", portrait(), ClassGroup(np.arange(50), ("parts",), 0.8, 0.3, shown))
    assert "50 of the 200 images predicted a show something away from the centre" in alone
    assert (
        "2.0 % of the 150 images neither predicted nor labelled a" in alone
        and "12 % of the relevance" in alone
    )
    assert "80 % alike" in alone
    both = reasons("a", portrait(), ClassGroup(np.arange(50), ("maps", "parts"), 0.8, 0.3, shown))
    assert "decided alike" in both[0]
    assert both[1].startswith("most of them show something")


@pytest.mark.usefixtures("few_draws")
@pytest.mark.parametrize("guilty", [True, False])
def test_an_object_that_no_group_by_relevance_tells_is_found_by_what_pictures_show(
    guilty: bool,
) -> None:
    n, side = 300, 8
    rng = np.random.default_rng(0)
    words = rng.integers(0, 10, (n, side, side)).astype(np.uint8)
    malignant = np.arange(n) < 150
    # On the first 50 called malignant; or on 25 of either class.
    shown = np.arange(n) < 50 if guilty else (np.arange(n) < 25) | (np.arange(n) >= 275)
    for row in np.flatnonzero(shown):
        words[row, 0, rng.choice(side, 5, replace=False)] = 11
    maps = rng.uniform(size=(n, 32, 32))
    columns: Mapping[str, Array] = {
        "relevance.positive": (maps / maps.sum((1, 2), keepdims=True)).astype(np.float32),
        "relevance.negative": np.zeros((n, 32, 32), np.float32),
        "relevance.concepts": rng.normal(size=(n, 24)).astype(np.float32),
        "words.8": words,
    }
    called = malignant.astype(np.int64)
    table = Measurements(
        tuple(f"{i}.jpg" for i in range(n)), called, called, called,
        np.zeros((n, 2), np.float32), ("benign", "malignant"), 1, columns.__getitem__, "layer4",
        Trust.TRUSTED, 0,
    )  # fmt: skip
    where = np.random.default_rng(1).normal(size=(12, 4)).astype(np.float32)
    vocabulary = Vocabulary(
        "layer1", side, np.zeros(2, np.float32), np.ones((2, 4), np.float32), where
    )
    clusters, _ = suspicious_clusters(table, {}, sight=Sight((vocabulary,)))
    if not guilty:
        assert clusters == ()
        return
    assert all(c.exclusive is not None and 11 in c.exclusive.words for c in clusters)
    cluster = clusters[0]
    assert cluster.views == ("parts",) and cluster.predicted == "malignant"
    assert cluster.exclusive is not None and cluster.exclusive.words == (11,)
    assert {f"{i}.jpg" for i in range(50)} == set(cluster.images)
