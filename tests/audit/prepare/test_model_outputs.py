"""Outputs of every kind become logits with their boundary at 0; what is no function is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from melaudit.audit.prepare.model_outputs import (
    Answers,
    answering,
    answers_of,
    operated,
    understood,
)
from melaudit.choices import OutputKind
from melaudit.errors import CheckpointError, ConfigurationError
from melaudit.models.architectures import LoadedModel, from_module
from melaudit.relevance import Explainer
from melaudit.relevance.model.outputs import probabilities

LOGITS = OutputKind.LOGITS
PROBABILITIES = OutputKind.PROBABILITIES
Ending = Callable[[Tensor], Tensor]


class Net(nn.Module):
    """A convolution, a mean, a linear layer, and what a test ends it with."""

    def __init__(self, outputs: int, ending: Ending, seed: int = 0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.convolution = nn.Conv2d(3, 8, 3, 2, 1)
        self.head = nn.Linear(8, outputs)
        self.ending = ending

    def score(self, x: Tensor) -> Tensor:
        y: Tensor = self.head(self.convolution(x).relu().mean((2, 3)))
        return 3 * (y - y.detach().new_tensor(0.05))

    def forward(self, x: Tensor) -> Tensor:
        return self.ending(self.score(x))


@pytest.fixture
def x() -> Tensor:
    torch.manual_seed(1)
    return torch.randn(6, 3, 32, 32) * torch.linspace(0.2, 3, 6)[:, None, None, None]


def loaded(module: nn.Module) -> LoadedModel:
    return from_module(module)


def take(module: nn.Module, x: Tensor, kind: OutputKind = OutputKind.AUTO) -> LoadedModel:
    return understood(loaded(module), x, kind)


ONE: dict[str, Ending] = {
    "torch": torch.sigmoid,
    "method": lambda z: z.sigmoid(),
    "module": nn.Sigmoid(),
    "in place": lambda z: z.sigmoid_(),
    "squeezed": lambda z: z.sigmoid().squeeze(1),
    "flat": lambda z: torch.sigmoid(z[:, 0]),
    "copied": lambda z: z.sigmoid().clone(),
    "log": functional.logsigmoid,
}


@pytest.mark.parametrize("ending", ONE.values(), ids=ONE.keys())
def test_the_logit_before_a_sigmoid_is_taken(ending: Ending, x: Tensor) -> None:
    module = Net(1, ending)
    found = take(module, x)
    assert torch.allclose(found.model(x), module.score(x), atol=1e-5)
    assert "taken for probabilities" in found.notes[-1]
    assert "--outputs logits" in found.notes[-1]


SEVERAL: dict[str, Ending] = {
    "softmax": lambda z: z.softmax(1),
    "functional": lambda z: functional.softmax(z, dim=1),
    "module": nn.Softmax(1),
    "temperature": lambda z: (z / 4).softmax(1),
    "by hand": lambda z: z.exp() / z.exp().sum(1, keepdim=True),
}


@pytest.mark.parametrize("ending", SEVERAL.values(), ids=SEVERAL.keys())
def test_probabilities_of_several_classes_become_logits_that_say_the_same(
    ending: Ending, x: Tensor
) -> None:
    module = Net(3, ending)
    found = take(module, x)
    assert torch.allclose(probabilities(found.model(x)), module(x), atol=1e-5)
    assert not torch.allclose(found.model(x), module(x))
    assert "taken for probabilities" in found.notes[-1]


def test_a_probability_of_one_of_two_classes_is_their_log_odds(x: Tensor) -> None:
    module = Net(2, lambda z: z.softmax(1)[:, 1])
    z = module.score(x)
    assert torch.allclose(take(module, x).model(x)[:, 0], z[:, 1] - z[:, 0], atol=1e-5)


def test_logits_stay_what_they_are_and_nothing_is_said(x: Tensor) -> None:
    for outputs in (1, 2, 5):
        plain = loaded(Net(outputs, nn.Identity()))
        found = understood(plain, x, OutputKind.AUTO)
        assert found.model is plain.model
        assert found.notes == plain.notes


def test_the_logits_before_a_log_softmax_are_taken_unless_the_user_wants_it(x: Tensor) -> None:
    module = Net(3, nn.LogSoftmax(1))
    plain = loaded(module)
    found = understood(plain, x, OutputKind.AUTO)
    assert torch.equal(found.model(x), module.score(x))
    assert "--outputs logits" in found.notes[-1]
    assert understood(plain, x, LOGITS).model is plain.model


@pytest.mark.parametrize("outputs", [1, 3])
def test_logits_that_happen_to_lie_in_the_unit_range_are_not_mistaken(
    outputs: int, x: Tensor
) -> None:
    plain = loaded(Net(outputs, lambda z: 0.5 + z / 100))
    found = understood(plain, x, OutputKind.AUTO)
    assert found.model is plain.model
    assert any("--outputs probabilities" in doubt for doubt in found.doubts) is (outputs == 1)
    for kind in (LOGITS, PROBABILITIES):  # each remedy settles it
        assert not understood(plain, x, kind).doubts


def test_what_the_outputs_are_is_said_in_a_few_words(x: Tensor) -> None:
    assert take(Net(1, nn.Identity()), x).meaning == "a logit: class 1 from 0 on"
    single = take(Net(1, nn.Sigmoid()), x)
    assert single.meaning == "a probability of a sigmoid: class 1 from 0.5 on"
    found = take(Net(2, nn.Softmax(1)), x)
    assert found.meaning == "2 probabilities of a softmax: the largest decides"
    moved = operated(found, 0.3, 1, ("benign", "malignant"))
    assert moved.meaning == f"{found.meaning}; malignant from a probability of 0.3 on"


def test_a_sigmoid_that_cannot_be_seen_is_taken_as_the_user_says(x: Tensor) -> None:
    module = Net(1, lambda z: 1 / (1 + (-z).exp()))
    found = take(module, x, PROBABILITIES)
    assert torch.allclose(found.model(x), module.score(x), atol=1e-4)
    with pytest.raises(ConfigurationError, match="do not lie within 0 and 1"):
        take(Net(1, nn.Identity()), x, PROBABILITIES)


def test_the_user_may_call_probabilities_logits(x: Tensor) -> None:
    plain = loaded(Net(1, nn.Sigmoid()))
    assert understood(plain, x, LOGITS).model is plain.model


MULTI: dict[str, tuple[Ending, Answers]] = {
    "sigmoids": (nn.Sigmoid(), Answers.INDEPENDENT),
    "log-sigmoids": (nn.LogSigmoid(), Answers.INDEPENDENT),
    "softmax": (nn.Softmax(1), Answers.EXCLUSIVE),
    "log-softmax": (nn.LogSoftmax(1), Answers.EXCLUSIVE),
    "logits": (nn.Identity(), Answers.UNKNOWN),
}


@pytest.mark.parametrize(("ending", "answers"), MULTI.values(), ids=MULTI.keys())
def test_how_outputs_go_together_is_seen(ending: Ending, answers: Answers, x: Tensor) -> None:
    assert answers_of(loaded(Net(3, ending)), x) is answers


class Exhausted(Net):
    """A net whose operations cannot be followed within the memory."""

    def forward(self, x: Tensor) -> Tensor:
        raise MemoryError


def test_memory_that_runs_out_is_no_answer(x: Tensor) -> None:
    known = loaded(Net(3, nn.Identity()))
    with pytest.raises(MemoryError):
        answers_of(replace(known, model=Exhausted(3, nn.Identity())), x)


@pytest.mark.parametrize("ending", [nn.Sigmoid(), nn.LogSigmoid(), nn.Identity()])
def test_one_label_of_several_is_a_model_of_one_logit(ending: Ending, x: Tensor) -> None:
    module = Net(3, ending)
    found = understood(answering(loaded(module), 1), x, OutputKind.AUTO)
    assert found.outputs == 1
    assert torch.allclose(found.model(x), module.score(x)[:, 1:2], atol=1e-5)


def test_several_sigmoids_decide_by_the_largest_where_each_image_has_one_class(x: Tensor) -> None:
    module = Net(3, nn.Sigmoid())
    found = take(module, x)
    assert torch.allclose(found.model(x), module.score(x), atol=1e-5)
    assert "--task multi-label" in found.notes[-1]


def test_a_softmax_over_one_output_is_refused(x: Tensor) -> None:
    with pytest.raises(CheckpointError, match="the same for every image"):
        take(Net(1, nn.Softmax(1)), x)


@pytest.mark.parametrize("positive", [0, 1])
@pytest.mark.parametrize("outputs", [1, 2])
def test_a_threshold_moves_decisions_and_keeps_probabilities(
    outputs: int, positive: int, x: Tensor
) -> None:
    plain = take(Net(outputs, nn.Identity()), x)
    before = probabilities(plain.model(x)).detach()
    threshold = float(before[:, positive].sort().values[2:4].mean())
    found = operated(plain, threshold, positive, ("benign", "malignant"))
    logits = found.model(x)
    decided = probabilities(logits)[:, positive] > 0.5
    assert decided.tolist() == (before[:, positive] > threshold).tolist()
    assert 0 < int(decided.sum()) < len(x)
    assert torch.allclose(probabilities(logits, found.shift), before, atol=1e-5)


def test_a_threshold_that_means_nothing_is_refused_with_what_to_do(x: Tensor) -> None:
    with pytest.raises(ConfigurationError, match="--positive b"):
        operated(take(Net(2, nn.Identity()), x), 0.3, None, ("a", "b"))
    with pytest.raises(ConfigurationError, match="of 3 classes"):
        operated(take(Net(3, nn.Identity()), x), 0.3, 0, ("a", "b", "c"))


ENDS: dict[str, tuple[int, Ending]] = {
    "sigmoid": (1, nn.Sigmoid()),
    "log-sigmoid": (1, nn.LogSigmoid()),
    "sigmoids": (3, nn.Sigmoid()),
    "function": (1, torch.sigmoid),
    "softmax": (3, nn.Softmax(1)),
    "log-softmax": (3, nn.LogSoftmax(1)),
}


@pytest.mark.parametrize("engine", ["dataflow", "zennit", "gradient_x_input", "occlusion"])
@pytest.mark.parametrize(("outputs", "ending"), ENDS.values(), ids=ENDS.keys())
def test_every_engine_explains_what_goes_into_the_end_as_if_there_were_none(
    engine: str, outputs: int, ending: Ending, x: Tensor
) -> None:
    found = []
    for end in (nn.Identity(), ending):
        module = Net(outputs, end)
        with Explainer(take(module, x).model, engine=engine, num_classes=outputs) as explainer:
            ones = torch.ones(len(x), dtype=torch.long)
            found.append([explainer.lrp(x, ones), explainer.logits(x)])
            if engine != "occlusion":  # which has no maps of channels
                found[-1].append(explainer.crp(x[:1], ones[:1], "convolution", [0, 3]))
    for without, with_end in zip(*found, strict=True):
        assert torch.allclose(without, with_end, atol=1e-5)


def test_a_hook_of_the_models_own_on_its_end_counts(x: Tensor) -> None:
    end = nn.Sigmoid()
    end.register_forward_pre_hook(lambda module, inputs: (inputs[0] / 4,))
    module = Net(1, end)
    assert torch.allclose(take(module, x).model(x), module.score(x) / 4, atol=1e-6)


def test_what_else_a_model_returns_is_still_there(x: Tensor) -> None:
    class Two(Net):
        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
            z = self.score(x)
            return z.sigmoid(), z.new_ones(len(z), 8)

    found = understood(loaded(Two(1, nn.Identity())), x, OutputKind.AUTO).model(x)
    assert found["logits"].shape == (len(x), 1)
    assert found["returned"][1].shape == (len(x), 8)


def test_active_dropout_is_named_and_the_remedy_works(x: Tensor) -> None:
    with pytest.raises(CheckpointError, match=r"does not repeat itself.*dropout in Net"):
        take(Net(2, lambda z: functional.dropout(z, 0.5)), x)

    class Mended(Net):
        def forward(self, x: Tensor) -> Tensor:
            return functional.dropout(self.score(x), 0.5, training=self.training)

    assert take(Mended(2, nn.Identity()), x).outputs == 2
    assert take(Net(2, nn.Dropout(0.5)), x).outputs == 2


def test_random_numbers_are_named(x: Tensor) -> None:
    with pytest.raises(CheckpointError, match="randn_like in Net"):
        take(Net(2, lambda z: z + torch.randn_like(z)), x)


def test_batch_statistics_are_named_and_the_remedy_works(x: Tensor) -> None:
    def net(tracked: bool) -> nn.Module:
        torch.manual_seed(0)
        norm = nn.BatchNorm2d(8, track_running_stats=tracked)
        features = [nn.Conv2d(3, 8, 3, 2, 1), norm, nn.ReLU(), nn.AdaptiveAvgPool2d(1)]
        return nn.Sequential(*features, nn.Flatten(), nn.Linear(8, 2)).eval()

    with pytest.raises(CheckpointError, match=r"batch statistics of batch_norm in 1 \(BatchNorm2d"):
        take(net(tracked=False), x)
    mended = net(tracked=True)
    mended.load_state_dict(net(tracked=False).state_dict(), strict=False)
    mended.train()(x)
    assert take(mended.eval(), x).outputs == 2


def test_a_softmax_over_the_images_is_named(x: Tensor) -> None:
    with pytest.raises(CheckpointError, match=r"dim=0"):
        take(Net(2, nn.Softmax(0)), x)


def test_outputs_that_depend_on_the_order_of_images_are_refused(x: Tensor) -> None:
    with pytest.raises(CheckpointError, match="not a function of one image"):
        take(Net(2, lambda z: z - z[:1].detach()), x)


def test_the_output_that_was_chosen_is_the_one_converted(x: Tensor) -> None:
    class Heads(Net):
        def forward(self, x: Tensor) -> dict[str, Tensor]:  # type: ignore[override]
            z = self.score(x)
            return {"first": (-z).sigmoid(), "second": z.sigmoid()}

    module = Heads(1, nn.Identity())
    chosen = loaded(module).with_output("second", 2)
    found = understood(chosen, x, OutputKind.AUTO)
    assert torch.allclose(found.model(x), module.score(x), atol=1e-5)
