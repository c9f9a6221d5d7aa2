"""Suppressed channels give what they are told, and the model is as it was."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from melaudit.errors import RelevanceError
from melaudit.relevance import Explainer


class Nested(nn.Module):
    """Gives its features inside a dict, as some backbones do."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 6, 3)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return {"features": self.conv(x).relu()}


class Net(nn.Module):
    """A layer, plain or nested, and a head over its means."""

    def __init__(self, nested: bool) -> None:
        super().__init__()
        self.layer: nn.Module = Nested() if nested else nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU())
        self.head = nn.Linear(6, 2)

    def forward(self, x: Tensor) -> Tensor:
        out = self.layer(x)
        given: Tensor = out["features"] if isinstance(out, dict) else out
        logits: Tensor = self.head(given.mean((2, 3)))
        return logits


@pytest.mark.parametrize("nested", [False, True])
def test_the_head_sees_the_mean_map_in_the_channels_that_are_suppressed(nested: bool) -> None:
    torch.manual_seed(0)
    model, x = Net(nested).eval(), torch.rand(5, 3, 8, 8)
    with torch.no_grad():
        out = model.layer(x)
        given = out["features"] if isinstance(out, dict) else out
        usual = given.mean(0)
        means = given.mean((2, 3))
        means[:, [1, 4]] = usual.mean((1, 2))[[1, 4]]
        by_hand, plain = model.head(means), model(x)
    with Explainer(model) as explainer:
        values = explainer.forward.mean_map(x, "layer")
        assert torch.allclose(values, usual, atol=1e-6)
        seen = explainer.forward.suppressed(x, "layer", [[1, 4]], values)[:, 0]
    assert torch.allclose(seen, by_hand, atol=1e-6)
    assert not torch.allclose(seen, plain, atol=1e-4)
    assert torch.equal(model(x).detach(), plain), "the model answers as it did before"


def test_no_channels_change_nothing() -> None:
    torch.manual_seed(0)
    model, x = Net(False).eval(), torch.rand(2, 3, 8, 8)
    with Explainer(model) as explainer:
        values = explainer.forward.mean_map(x, "layer")
        seen = explainer.forward.suppressed(x, "layer", [[]], values)[:, 0]
        plain = explainer.logits(x)
    assert torch.allclose(seen, plain, atol=1e-6)


class OfTwo(Net):
    """Takes just as many images after the layer as before."""

    def forward(self, x: Tensor) -> Tensor:
        given = self.layer(x)
        given = given["features"] if isinstance(given, dict) else given
        logits: Tensor = self.head(given.reshape(len(x), given.shape[1], -1).mean(2))
        return logits


@pytest.mark.parametrize("made", [lambda: Net(False), lambda: Net(True), lambda: OfTwo(False)])
def test_several_sets_at_once_are_what_each_is_by_itself(made: Callable[[], nn.Module]) -> None:
    torch.manual_seed(0)
    model, x, sets = made().eval(), torch.rand(2, 3, 8, 8), [[1, 4], [0], [2, 3]]
    with Explainer(model) as explainer:
        values = explainer.forward.mean_map(x, "layer")
        seen = explainer.forward.suppressed(x, "layer", sets, values)
        alone = [explainer.forward.suppressed(x, "layer", [of], values) for of in sets]
    assert seen.shape == (2, 3, alone[0].shape[2])
    assert torch.allclose(seen, torch.cat(alone, 1), atol=1e-6)
    assert not torch.allclose(seen[:, 0], seen[:, 1], atol=1e-4)


def test_an_identity_hands_its_input_on_to_others_untouched() -> None:
    class Shared(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.layer = nn.Conv2d(3, 2, 1), nn.Identity()

        def forward(self, x: Tensor) -> Tensor:
            given = self.conv(x)
            logits: Tensor = (self.layer(given) + 10 * given).mean((2, 3))
            return logits

    torch.manual_seed(0)
    model, x = Shared().eval(), torch.rand(2, 3, 4, 4)
    with Explainer(model) as explainer:
        seen = explainer.forward.suppressed(x, "layer", [[0]], torch.zeros(2, 4, 4))[:, 0]
    with torch.no_grad():
        given = model.conv(x).mean((2, 3))
    assert torch.allclose(seen, torch.stack([10 * given[:, 0], 11 * given[:, 1]], 1), atol=1e-5)


def test_a_layer_that_does_not_exist_is_named() -> None:
    model, x = Net(False).eval(), torch.rand(1, 3, 8, 8)
    with Explainer(model) as explainer, pytest.raises(RelevanceError, match="nowhere"):
        explainer.forward.mean_map(x, "nowhere")
