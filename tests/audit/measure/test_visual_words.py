"""Visual words: places that look alike are one word, the same ones for a seed and after a stop."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from melaudit.audit.measure.visual_words import (
    MAX_COMPONENTS,
    MAX_VISUAL_WORDS,
    NOTHING,
    UNIT,
    Sight,
    described,
    descriptors,
    learn,
    load,
    map_of,
    save,
)
from melaudit.relevance import Explainer
from melaudit.relevance.forward import Forward


def looks(seed: int, n: int = 900, kinds: int = 5, channels: int = 12) -> tuple[np.ndarray, ...]:
    """Return descriptors (n, channels) of a few kinds of places, and their kinds (n,)."""
    rng = np.random.default_rng(seed)
    middles = np.random.default_rng(99).normal(0, 5, (kinds, channels))
    kind = rng.integers(0, kinds, n)
    return (middles[kind] + rng.normal(0, 0.1, (n, channels))).astype(np.float32), kind


def test_places_that_look_alike_share_words_and_others_do_not() -> None:
    places, kind = looks(0)
    learned = learn(places, "early", 6, seed=0)
    assert learned is not None
    fresh, kind = looks(1, n=36)
    given = torch.from_numpy(fresh).reshape(1, 6, 6, 12).permute(0, 3, 1, 2)
    words = learned.read(given).ravel()
    for word in np.unique(words):
        assert len(set(kind[words == word])) == 1


def test_words_are_few_and_of_one_length() -> None:
    places = np.random.default_rng(0).normal(size=(3000, 40)).astype(np.float32)
    learned = learn(places, "early", 6, seed=0)
    assert learned is not None
    assert learned.visual_words.shape == (MAX_VISUAL_WORDS, MAX_COMPONENTS)
    assert learned.axes.shape == (40, MAX_COMPONENTS)
    assert learned.read(torch.zeros(2, 40, 9, 9)).shape == (2, 6, 6)
    assert learned.column == "words.6"


def test_the_same_seed_gives_the_same_words() -> None:
    places, _ = looks(0)
    first, second = learn(places, "early", 6, seed=3), learn(places, "early", 6, seed=3)
    assert first is not None and second is not None
    assert np.array_equal(first.visual_words, second.visual_words)


def test_places_that_do_not_vary_have_no_words() -> None:
    assert learn(np.ones((50, 4), np.float32), "early", 6, seed=0) is None
    assert learn(np.full((50, 4), np.nan, np.float32), "early", 6, seed=0) is None


def test_a_channel_that_says_nothing_and_a_place_that_is_no_number_do_no_harm() -> None:
    places, _ = looks(0)
    places[:, 3] = 7
    places[5] = np.inf
    learned = learn(places, "early", 6, seed=0)
    assert learned is not None
    assert np.isfinite(learned.visual_words).all() and np.isfinite(learned.axes).all()


def test_words_are_kept_and_found_again(tmp_path: Path) -> None:
    places, _ = looks(0)
    learned = learn(places, "layer1", 6, seed=0)
    assert learned is not None
    how = described(places, "layer2", 8, seed=0)
    assert how is not None
    save(Sight((learned,), how), tmp_path / "words.npz")
    kept = load(tmp_path / "words.npz")
    assert kept is not None and kept.likeness is not None and kept.layers == ("layer1", "layer2")
    (again,) = kept.vocabularies
    assert (again.layer, again.side) == ("layer1", 6)
    given = torch.randn(2, 12, 8, 8)
    assert np.array_equal(again.read(given), learned.read(given))
    assert np.array_equal(kept.likeness.noted(given), how.noted(given))


def test_descriptions_are_of_unit_length_and_tell_kinds_of_places_apart() -> None:
    places, _ = looks(0, kinds=40)
    how = described(places, "late", 6, seed=0)
    assert how is not None
    fresh, kind = looks(1, n=36, kinds=40)
    given = torch.from_numpy(fresh).reshape(1, 6, 6, 12).permute(0, 3, 1, 2)
    noted = how.noted(given)[0].reshape(36, -1).astype(float) / UNIT
    assert np.allclose(np.linalg.norm(noted, axis=1), 1, atol=0.03)
    cosines = noted @ noted.T
    same = kind[:, None] == kind
    assert cosines[same].min() > 0.95 and np.median(cosines[~same]) < 0.3


def test_a_place_that_is_no_number_is_like_nothing() -> None:
    how = described(looks(0)[0], "late", 6, seed=0)
    assert how is not None
    assert not how.noted(torch.full((1, 12, 6, 6), torch.nan)).any()


def test_places_that_do_not_vary_have_no_description() -> None:
    assert described(np.ones((50, 4), np.float32), "late", 6, seed=0) is None


def test_tokens_are_made_into_a_map_and_those_that_are_no_grid_are_refused() -> None:
    x = torch.zeros(2, 3, 32, 32)
    tokens = torch.randn(2, 17, 5)
    found = map_of({"late": tokens}, "late", x)
    assert found.shape == (2, 5, 4, 4)
    assert torch.equal(found[0, :, 0, 1], tokens[0, 2])
    with pytest.raises(ValueError, match="are no grid"):
        map_of({"late": torch.randn(2, 46, 5)}, "late", x)


def test_a_damaged_file_is_as_none(tmp_path: Path) -> None:
    assert load(tmp_path / "words.npz") is None
    (tmp_path / "words.npz").write_bytes(b"PK\x03\x04 no archive")
    assert load(tmp_path / "words.npz") is None


def test_no_words_are_kept_as_none_at_all(tmp_path: Path) -> None:
    save(NOTHING, tmp_path / "words.npz")
    assert load(tmp_path / "words.npz") == NOTHING


def test_descriptors_are_means_over_places() -> None:
    given = torch.arange(32.0).reshape(1, 2, 4, 4)
    found = descriptors(given, 2)
    assert found.shape == (1, 2, 2, 2)
    assert found[0, 0, 0, 0] == given[0, 0, :2, :2].mean()
    assert found[0, 1, 0, 1] == given[0, 1, 2:, :2].mean()


class Stages(nn.Module):
    """Halves the picture three times; a branch goes round the second stage's inner layer."""

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Conv2d(3, 4, 3, stride=2, padding=1)
        self.two = nn.Sequential(nn.Conv2d(4, 6, 3, stride=2, padding=1), nn.ReLU())
        self.inner = nn.Conv2d(6, 6, 3, padding=1)
        self.three = nn.Conv2d(6, 8, 3, stride=2, padding=1)
        self.head = nn.Linear(8, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.two(self.one(x))
        x = x + self.inner(x)
        logits: torch.Tensor = self.head(self.three(x).relu().mean((2, 3)))
        return logits


def test_layers_for_details_are_the_last_that_are_fine_enough_and_on_every_path() -> None:
    forward = Forward(Stages())
    x = torch.rand(2, 3, 64, 64)
    assert forward.detail_layers(x, (16, 8)) == {16: "two", 8: "three"}
    assert forward.detail_layers(x, (32, 9)) == {32: "one", 9: "two"}
    assert forward.detail_layers(x, (64,)) == {}
    assert forward.detail_layers(x, (64, 8)) == {8: "three"}
    assert forward.detail_layers(x, (16, 10)) == {16: "two"}


def test_outputs_in_the_pass_are_those_of_the_layers() -> None:
    model = Stages().eval()
    x = torch.rand(3, 3, 32, 32)
    with torch.no_grad():
        expected = model.two(model.one(x))
    for engine in ("dataflow", "zennit", "gradient_x_input", "occlusion"):
        with Explainer(model, engine=engine) as explainer:
            taken = explainer.attribute(x, None, (), outputs=["two", "one"]).outputs
            alone = explainer.forward.outputs(x, ["two"])
        assert set(taken) == {"one", "two"}, engine
        assert torch.allclose(taken["two"], expected, atol=1e-5), engine
        assert torch.allclose(alone["two"], expected, atol=1e-5), engine
        assert not taken["two"].requires_grad
