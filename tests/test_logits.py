"""What logits say: the same of one logit as of the pair that stands for it, tensors or arrays."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from melaudit.logits import explained, one_logit, per_class, predictions

SEVERAL = [[1.0, -2.0, 0.5], [0.1, 0.2, 0.2], [-3.0, -2.0, -1.0]]
SINGLE = [[0.5], [-2.0], [0.0]]

KINDS = [
    lambda values: torch.tensor(values),
    lambda values: torch.tensor(values, dtype=torch.float64),
    lambda values: np.array(values, np.float32),
    lambda values: np.array(values, np.float64),
]


@pytest.fixture(params=KINDS, ids=["tensor", "double tensor", "float32", "float64"])
def several(request: pytest.FixtureRequest) -> Tensor | NDArray[np.float64]:
    return request.param(SEVERAL)  # type: ignore[no-any-return]


@pytest.fixture(params=KINDS, ids=["tensor", "double tensor", "float32", "float64"])
def single(request: pytest.FixtureRequest) -> Tensor | NDArray[np.float64]:
    return request.param(SINGLE)  # type: ignore[no-any-return]


def test_several_logits_speak_for_themselves(several: NDArray[np.float64]) -> None:
    assert not one_logit(several)
    assert predictions(several).tolist() == [0, 1, 2]
    assert per_class(several) is several
    targets = predictions(several) * 0 + 1
    assert explained(several, targets).tolist() == [row[1] for row in several.tolist()]
    assert explained(several, 2).tolist() == [row[2] for row in several.tolist()]


def test_a_single_logit_speaks_for_class_one(single: NDArray[np.float64]) -> None:
    assert one_logit(single)
    assert predictions(single).tolist() == [1, 0, 0]
    assert per_class(single).tolist() == [[0, 0.5], [0, -2], [0, 0]]
    assert explained(single, predictions(single)).tolist() == [0.5, 2, 0]
    assert explained(single, 1).tolist() == [0.5, -2, 0]
    assert explained(single, 0).tolist() == [-0.5, 2, 0]
    assert single.tolist() == SINGLE, "what is given is left alone"


def test_types_stay_what_they_were(
    several: NDArray[np.float64], single: NDArray[np.float64]
) -> None:
    for logits in (several, single):
        for found in (per_class(logits), explained(logits, 1)):
            assert type(found) is type(logits) and found.dtype == logits.dtype
        assert str(predictions(logits).dtype).endswith("int64")


def test_what_is_no_number_reaches_no_other_class() -> None:
    assert explained(np.array([[math.nan, 1.0], [2.0, math.inf]]), 0).tolist()[1] == 2
    assert explained(np.array([[math.nan, 1.0], [2.0, math.inf]]), 1).tolist() == [1, math.inf]
    assert explained(np.array([[-math.inf]]), 0).tolist() == [math.inf]
    assert per_class(torch.tensor([[math.inf]])).tolist() == [[0, math.inf]]


def test_softmax_and_log_odds_of_the_pair_are_those_of_the_single_logit() -> None:
    z = torch.linspace(-30, 30, 61, dtype=torch.float64)[:, None]
    pair = per_class(z).softmax(1)
    assert torch.allclose(pair[:, 1], torch.sigmoid(z[:, 0]), rtol=1e-12)
    assert torch.allclose((pair[:, 1] / pair[:, 0]).log(), z[:, 0], rtol=1e-9, atol=1e-12)


def test_gradients_of_what_is_explained_are_plus_and_minus_one() -> None:
    z = torch.tensor([[0.5], [-2.0]], requires_grad=True)
    explained(z, torch.tensor([1, 0])).sum().backward()
    assert z.grad is not None and z.grad.tolist() == [[1.0], [-1.0]]
