"""The model run forward: its own outputs, whatever an engine did before, and left as it was."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from melaudit.errors import RelevanceError
from melaudit.relevance import Explainer
from melaudit.relevance.forward import Forward


class Net(nn.Module):
    """Two layers, one with a BatchNorm that zennit merges, and a head."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        norm = nn.BatchNorm2d(4)
        self.stem = nn.Sequential(nn.Conv2d(3, 4, 3), norm, nn.ReLU())
        self.body = nn.Conv2d(4, 6, 3)
        self.head = nn.Linear(6, 3)
        assert norm.running_mean is not None
        nn.init.uniform_(norm.running_mean, -1, 1)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.body(self.stem(x)).relu().mean((2, 3)))
        return logits


def images(n: int = 5) -> Tensor:
    return torch.rand(n, 3, 12, 12, generator=torch.Generator().manual_seed(1))


def by_hand(model: Net, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return what stem and body give, and the logits."""
    model.eval()
    with torch.no_grad():
        return model.stem(x), model.body(model.stem(x)), model(x)


def test_each_answer_is_that_of_the_model_run_by_hand() -> None:
    model, x = Net(), images()
    stem, body, logits = by_hand(model, x)
    forward = Forward(model)
    assert torch.equal(forward.logits(x), logits)
    found, means = forward.features(x, "body")
    assert torch.allclose(found, logits, atol=1e-6)
    assert torch.allclose(means, body.mean((2, 3)), atol=1e-6)
    outputs = forward.outputs(x, ["stem", "body"])
    assert torch.allclose(outputs["stem"], stem) and torch.allclose(outputs["body"], body)
    assert torch.allclose(forward.mean_map(x, "body"), body.mean(0), atol=1e-6)
    same = forward.suppressed(x, "body", [[]], body.mean(0))[:, 0]
    assert torch.allclose(same, logits, atol=1e-6)


RUNS: list[Callable[[Forward, Tensor], object]] = [
    lambda forward, x: forward.logits(x),
    lambda forward, x: forward.features(x, "body"),
    lambda forward, x: forward.outputs(x, ["body"]),
    lambda forward, x: forward.mean_map(x, "body"),
    lambda forward, x: forward.suppressed(x, "body", [[0]], torch.zeros(6, 8, 8)),
    lambda forward, x: forward.detail_layers(x, [8]),
]


@pytest.mark.parametrize("run", RUNS)
def test_the_model_is_left_as_it_was_and_a_failure_is_named(
    run: Callable[[Forward, Tensor], object],
) -> None:
    model = Net().train()
    forward = Forward(model)
    run(forward, images())
    with pytest.raises(RelevanceError, match=r"fails on an input of shape \(1, 2, 9, 9\)"):
        run(forward, torch.rand(1, 2, 9, 9))
    with pytest.raises(RelevanceError, match="expected a tensor"):
        run(forward, torch.rand(3, 9, 9))
    assert all(module.training for module in model.modules())
    assert all(p.requires_grad for p in model.parameters())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
    with torch.no_grad():
        assert run(forward, images()) is not None


@pytest.mark.parametrize("engine", ["dataflow", "zennit"])
def test_an_engine_comes_off_first_and_goes_on_again(engine: str) -> None:
    model, x = Net(), images()
    _, _, logits = by_hand(model, x)
    with Explainer(model, engine=engine) as explainer:
        maps = explainer.lrp(x)
        assert torch.equal(explainer.forward.logits(x), logits)
        assert torch.equal(explainer.logits(x), logits)
        assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
        assert torch.equal(explainer.lrp(x), maps)


def on_a_gpu() -> None:
    raise torch.OutOfMemoryError("CUDA out of memory")


def on_the_cpu() -> None:
    torch.empty(2**45)  # more than any processor can address


@pytest.mark.parametrize("run_out", [on_a_gpu, on_the_cpu])
def test_a_batch_that_does_not_fit_is_taken_in_chunks(run_out: Callable[[], None]) -> None:
    sizes = []

    class Scarce(Net):
        def forward(self, x: Tensor) -> Tensor:
            sizes.append(len(x))
            if len(x) > 2:
                run_out()
            return super().forward(x)

    model, x = Scarce(), images(5)
    forward = Forward(model)
    logits = forward.logits(x)
    assert sizes == [5, 2, 2, 1]
    assert torch.allclose(logits, by_hand(Net(), x)[2], atol=1e-6)
    assert forward.features(x, "body")[1].shape == (5, 6)
    assert forward.outputs(x, ["body"])["body"].shape == (5, 6, 8, 8)
    assert torch.allclose(forward.mean_map(x, "body"), by_hand(Net(), x)[1].mean(0), atol=1e-6)
    assert max(sizes[1:]) == 2
