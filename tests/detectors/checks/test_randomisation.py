"""Randomisation: maps that never ask the weights are guilty, LRP is innocent."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from melaudit.detectors.checks.randomisation import (
    DEPTHS,
    Randomisation,
    noisy,
    pooled,
    when_shuffled,
)
from melaudit.detectors.interface import Batch, Result
from melaudit.findings import Check, CheckStatus, Skipped
from melaudit.measurements import GRID, Measurements
from melaudit.relevance import Attribution, Explainer
from melaudit.relevance.model.randomisation import cascade

Make = Callable[..., Measurements]
Examine = Callable[..., Sequence[Result]]
Show = Callable[[Explainer, Tensor, str], Batch]


def small_net(outputs: int = 2) -> nn.Sequential:
    torch.manual_seed(0)
    layers: list[nn.Module] = []
    for i, width in enumerate((3, 16, 16, 16)):
        layers += [nn.Conv2d(width, 16, 3, padding=1, bias=False), nn.ReLU()]
        layers += [nn.MaxPool2d(2)] if i == 1 else []
    return nn.Sequential(
        *layers, nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(16, outputs, bias=False)
    )


def images(n: int = 4) -> Tensor:
    return torch.randn(n, 3, 32, 32, generator=torch.Generator().manual_seed(2))


class Edges(Explainer):
    """An edge detector with the manners of an explainer: its maps hold the logit, and no more."""

    def attribute(
        self,
        x: Tensor,
        target: Tensor | None,
        layers: Sequence[str],
        attention: str | None = None,
        outputs: Sequence[str] = (),
    ) -> Attribution:
        true = super().attribute(x, target, layers, attention, outputs)
        grey = x.mean(1)
        edges = (grey - grey.roll(1, 2)).abs() + (grey - grey.roll(1, 1)).abs()
        maps = edges / edges.sum((1, 2), keepdim=True) * true.start[:, None, None]
        return replace(true, maps=maps)


def conclude(measurements: Make, whole: Any, half: Any = 0.6, head: Any = 0.7) -> Result:
    whole = np.asarray(whole, float)
    columns = {
        f"randomisation.{name}": np.broadcast_to(np.asarray(values, float), whole.shape)
        for name, values in (("all", whole), ("half", half), ("head", head))
    }
    (result,) = Randomisation().conclude(measurements(columns))
    return result


@pytest.mark.parametrize(("cosine", "status"), [(0.6, "pass"), (0.95, "degraded"), (1.0, "fail")])
def test_the_median_with_all_weights_shuffled_decides(
    measurements: Make, cosine: float, status: str
) -> None:
    check = conclude(measurements, [cosine, 0.0, 1.0, np.nan], half=1.0, head=np.nan)
    assert isinstance(check, Check)
    assert check.status == status
    assert check.value == pytest.approx(cosine)
    assert "1.00 with the upper half shuffled" in check.statement
    assert "last layer" not in check.statement and "3 images" in check.statement


def test_nothing_measured_is_skipped(measurements: Make) -> None:
    assert isinstance(conclude(measurements, [np.nan, np.nan]), Skipped)


def test_an_edge_detector_is_guilty_and_relevance_innocent(examine: Examine) -> None:
    found = []
    for kind in (Edges, Explainer):
        with kind(small_net(), "epsilon_plus") as explainer:
            (check,) = examine(Randomisation(), explainer, images(), "0")
            assert isinstance(check, Check)
            found.append(check)
    assert [c.status for c in found] == [CheckStatus.FAIL, CheckStatus.PASS]
    assert found[0].value == pytest.approx(1.0)


def test_with_noisy_copies_maps_are_means_and_an_edge_detector_is_guilty_still(
    examine: Examine,
) -> None:
    with Edges(small_net(), "epsilon_plus") as edges:
        (check,) = examine(Randomisation(copies=3), edges, images(), "0")
    assert isinstance(check, Check) and check.status == CheckStatus.FAIL
    assert "each a mean over 3 noisy copies" in check.statement
    image, target = images(1), torch.tensor([1])
    net = small_net()
    with Explainer(net, "epsilon_plus") as explainer:
        found = when_shuffled(explainer, image, target, seed=7, copies=3)
    # An oracle: one copy after the other, and the model shuffled by hand.
    shown = noisy(image, 3, 7)
    means = []
    for upto in range(1 + len(DEPTHS)):
        net = small_net()
        list(cascade(net, list(DEPTHS.values())[:upto], 7))
        with Explainer(net, "epsilon_plus") as explainer:
            means.append(sum(explainer.lrp(x[None], target) for x in shown) / 3)
    own, *others = (pooled(torch.as_tensor(m)).ravel() for m in means)
    for depth, other in zip(DEPTHS, others, strict=True):
        expected = abs(own @ other) / np.linalg.norm(own) / np.linalg.norm(other)
        assert found[depth] == pytest.approx(expected, rel=1e-4)


def test_noise_is_a_share_of_the_images_range_and_one_copy_is_the_image() -> None:
    image = torch.rand(1, 3, 40, 40, generator=torch.Generator().manual_seed(3)) * 8 - 2
    assert noisy(image, 1, 5) is image
    copies = noisy(image, 4, 5)
    assert torch.equal(copies, noisy(image, 4, 5)) and not torch.equal(copies, noisy(image, 4, 6))
    spread = float((copies - image).std() / (image.max() - image.min()))
    assert spread == pytest.approx(0.05, rel=0.05)


def test_a_single_logit_can_be_asked_too(examine: Examine) -> None:
    with Explainer(small_net(1), "epsilon_plus") as explainer:
        (check,) = examine(Randomisation(), explainer, images(), "0")
    assert isinstance(check, Check) and check.status == CheckStatus.PASS


def on(batch: Batch, few: NDArray[np.bool_]) -> Batch:
    return replace(batch, check_images=replace(batch.check_images, handful=few))


def test_only_the_few_are_looked_at_and_each_for_itself(show: Show) -> None:
    x = images(5)
    with Explainer(small_net(), "epsilon_plus") as explainer:
        batch = show(explainer, x, "0")
        few = np.array([False, True, False, True, False])
        some = Randomisation().measure(on(batch, few))
        none = Randomisation().measure(on(batch, np.zeros(5, bool)))
        alone = show(explainer, x[3:4], "0")
        again = Randomisation().measure(replace(alone, ids=batch.ids[3:4]))
    for depth in DEPTHS:
        assert np.isfinite(some[depth]).tolist() == few.tolist()
        assert np.isnan(none[depth]).all()
        assert again[depth][0] == pytest.approx(some[depth][3], abs=1e-4)


def test_a_model_that_cannot_be_copied_is_skipped(examine: Examine) -> None:
    class Bound(nn.Sequential):
        def __deepcopy__(self, memo: object) -> nn.Module:
            raise TypeError("holds a file")

    with Explainer(Bound(*small_net())) as explainer:
        (result,) = examine(Randomisation(), explainer, images(2), "0")
    assert isinstance(result, Skipped)


def test_pooling_keeps_sums_in_proportion() -> None:
    maps = torch.randn(2, 4 * GRID, 2 * GRID, dtype=torch.float64)
    cells = pooled(maps)
    slow = maps.numpy().reshape(2, GRID, 4, GRID, 2).mean((2, 4))
    assert np.allclose(cells, slow)


def test_on_a_trained_resnet50_relevance_passes(
    examine: Examine, rings: tuple[nn.Module, Tensor]
) -> None:
    model, x = rings
    with Explainer(model) as explainer:
        (check,) = examine(Randomisation(), explainer, x[1:2, :, ::2, ::2])
    assert isinstance(check, Check)
    assert check.status == CheckStatus.PASS
