"""The head is found by what it computes, and other logits can be put into it."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from melaudit.errors import CheckpointError
from melaudit.mitigation.head import Head, features_of, find_head
from melaudit.relevance.model.deciding import as_logits
from melaudit.relevance.model.outputs import find_logits


class Trunk(nn.Module):
    """Features (N, 6) of images (N, 3, 8, 8), then whatever the test calls a head."""

    def __init__(self, head: nn.Module, pooled: bool = True) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 6, 3)
        self.pool = nn.AdaptiveAvgPool2d(1) if pooled else nn.Identity()
        self.head = head

    def forward(self, x: Tensor) -> Tensor:
        out = self.pool(torch.relu(self.conv(x)))
        made: Tensor = self.head(
            out.flatten(1) if isinstance(self.pool, nn.AdaptiveAvgPool2d) else out
        )
        return made


def _images(n: int = 5) -> Tensor:
    return torch.rand(n, 3, 8, 8, generator=torch.Generator().manual_seed(1))


HEADS: dict[str, tuple[Callable[[], nn.Module], bool, int, str]] = {
    "one layer": (lambda: nn.Linear(6, 3), True, 3, "head"),
    "one logit": (lambda: nn.Linear(6, 1), True, 1, "head"),
    "layers": (
        lambda: nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 2)),
        True,
        2,
        "head.2",
    ),
    "no bias": (lambda: nn.Linear(6, 2, bias=False), True, 2, "head"),
    "log-softmax": (lambda: nn.Sequential(nn.Linear(6, 4), nn.LogSoftmax(1)), True, 4, "head.0"),
    "convolution": (
        lambda: nn.Sequential(nn.Conv2d(6, 2, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten()),
        False,
        2,
        "head.0",
    ),
}


@pytest.mark.parametrize("name", HEADS)
def test_the_logits_are_those_of_the_model(name: str) -> None:
    torch.manual_seed(0)
    build, pooled, outputs, place = HEADS[name]
    model, x = Trunk(build(), pooled).eval(), _images()

    head = find_head(model, x, outputs)
    with features_of(model, head) as look:
        found = head.logits(look(x))

    assert head.name == place
    with torch.no_grad():
        expected = model(x).numpy()
    if name == "log-softmax":
        found = found - np.log(np.exp(found).sum(1, keepdims=True))
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_sigmoid_and_a_threshold_come_after_the_head() -> None:
    torch.manual_seed(0)
    bare = Trunk(nn.Sequential(nn.Linear(6, 1), nn.Sigmoid())).eval()
    logits = as_logits(bare, 1, probabilities=True)
    shifted = as_logits(logits, 1, probabilities=False, shift=(0.7,))
    x = _images()

    head = find_head(shifted, x, 1, (0.7,))
    with features_of(shifted, head) as look:
        found = head.logits(look(x))

    with torch.no_grad():
        probability = bare(x).double().numpy()
    np.testing.assert_allclose(found, np.log(probability / (1 - probability)) - 0.7, atol=1e-4)


def test_one_label_of_several_is_a_row_of_the_head() -> None:
    torch.manual_seed(0)
    bare, x = Trunk(nn.Linear(6, 4)).eval(), _images()
    label = as_logits(bare, 4, probabilities=False, column=2)

    head = find_head(label, x, 1)
    other = head.with_margins(head.slopes + 1, head.offsets)

    assert np.allclose(head.mix, [[0, 0, 1, 0]])
    changed = np.flatnonzero(np.abs(other.weight - head.weight).sum(1) > 1e-9)
    assert changed.tolist() == [2]


def test_a_model_whose_logits_are_no_linear_layers_is_refused() -> None:
    model = Trunk(nn.Sequential(nn.Linear(6, 2), nn.ReLU())).eval()
    nn.init.normal_(model.head[0].weight)  # type: ignore[index]
    with pytest.raises(CheckpointError, match=r"last linear layer, head.0, is followed by more"):
        find_head(model, _images(), 2)


def test_other_logits_are_put_into_the_layer() -> None:
    rng = np.random.default_rng(0)
    head = Head("fc", rng.normal(size=(2, 5)), rng.normal(size=2), np.eye(2), np.array([0.3, 0.0]))
    slopes, offsets = rng.normal(size=(2, 5)), rng.normal(size=2)
    features = rng.normal(size=(7, 5))

    made = head.with_margins(slopes, offsets)

    np.testing.assert_allclose(made.logits(features), features @ slopes.T + offsets, rtol=1e-5)


def test_the_search_leaves_the_model_as_it_was() -> None:
    model = Trunk(nn.Linear(6, 2)).eval()
    head = find_head(model, _images(), 2)
    with features_of(model, head) as look:
        look(_images())
    assert not any(module._forward_pre_hooks for module in model.modules())
    assert find_logits(model(_images()), 2).requires_grad
