"""Logits are found by shape in whatever a model returns."""

from collections import OrderedDict, namedtuple
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from melaudit.errors import RelevanceError
from melaudit.relevance.model.outputs import (
    find_logits,
    probabilities,
    start_relevance,
)

LOGITS = torch.tensor([[1.0, -2.0, 0.5], [0.1, 0.2, 0.3]])
FEATURES = torch.zeros(2, 16)
Outputs = namedtuple("Outputs", ["aux_logits", "logits"])


@dataclass
class ModelOutput:
    loss: Tensor | None
    hidden: Tensor
    logits: Tensor


@pytest.mark.parametrize(
    "output",
    [
        LOGITS,
        (LOGITS, torch.zeros(2, 512, 1)),
        [LOGITS, FEATURES],
        {"features": FEATURES, "logits": LOGITS},
        OrderedDict(loss=torch.tensor(0.1), logits=LOGITS),
        Outputs(aux_logits=torch.ones(2, 3), logits=LOGITS),
        ModelOutput(loss=None, hidden=FEATURES, logits=LOGITS),
        (torch.zeros(2, 3, dtype=torch.long), LOGITS),
        ((torch.zeros(2, 3, 4, 4), (LOGITS,)),),
        (torch.zeros(2), LOGITS),
        LOGITS[:, :, None, None],
    ],
    ids=lambda o: type(o).__name__,
)
def test_logits_are_found(output: object) -> None:
    assert torch.equal(find_logits(output), LOGITS)


def test_number_of_classes_decides_between_two_matrices() -> None:
    assert find_logits((FEATURES, LOGITS), num_classes=3) is LOGITS
    assert find_logits((FEATURES, LOGITS)) is FEATURES


def test_a_vector_of_single_logits_becomes_a_column() -> None:
    assert find_logits(torch.tensor([1.0, -1.0, 2.0])).shape == (3, 1)
    assert find_logits(torch.tensor([1.0, -1.0, 2.0]), num_classes=2).shape == (3, 1)
    assert find_logits((torch.ones(3, 1), torch.ones(3, 2)), num_classes=2).shape == (3, 2)
    assert find_logits(torch.tensor(0.7)).shape == (1, 1)
    with pytest.raises(RelevanceError):  # here the scalar is a loss
        find_logits((torch.tensor(0.7), torch.zeros(2, 3, 4, 4)))


def test_the_error_lists_the_shapes_met() -> None:
    with pytest.raises(RelevanceError, match=r"\(2, 16\), \(2, 3, 8, 8\).*\(N, 5\)"):
        find_logits((FEATURES, torch.zeros(2, 3, 8, 8)), num_classes=5)
    with pytest.raises(RelevanceError, match="no tensor but str"):
        find_logits("nonsense")


def test_logits_keep_their_gradient() -> None:
    z = LOGITS.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(find_logits({"logits": z * 2}).sum(), z)
    assert bool((gradient == 2).all())


def test_probabilities_sum_to_one_and_one_logit_becomes_a_pair() -> None:
    assert torch.allclose(probabilities(LOGITS), LOGITS.softmax(1))
    z = torch.tensor([[0.0], [3.0], [-800.0]])
    p = probabilities(z)
    assert p.shape == (3, 2)
    assert torch.allclose(p[:, 1], z[:, 0].sigmoid())
    assert torch.allclose(p.sum(1), torch.ones(3))


def test_relevance_starts_at_the_targets_logit_with_its_own_value() -> None:
    start = start_relevance(LOGITS, torch.tensor([1, 2]))
    assert torch.equal(start, torch.tensor([[0.0, -2.0, 0.0], [0.0, 0.0, 0.3]]))
    poisoned = torch.tensor([[float("nan"), 1.0], [2.0, 3.0]])
    assert start_relevance(poisoned, torch.tensor([1, 0])).tolist() == [[0.0, 1.0], [2.0, 0.0]]


def test_one_logit_starts_as_itself_for_class_1_and_negated_for_class_0() -> None:
    z = torch.tensor([[0.5], [-2.0]])
    assert start_relevance(z, torch.tensor([1, 1])).tolist() == [[0.5], [-2.0]]
    assert start_relevance(z, torch.tensor([0, 0])).tolist() == [[-0.5], [2.0]]


def test_logits_named_deep_inside_come_before_other_matrices() -> None:
    features, logits = torch.zeros(4, 8), torch.ones(4, 1)
    output = {"features": features, "heads": [{"aux": features, "logits": logits}]}
    assert find_logits(output) is logits
