"""What a model takes and returns is learned by running it, and its own errors are told."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from melaudit.errors import CheckpointError, PreprocessingError
from melaudit.images.preprocessing import resolve
from melaudit.models.architectures import from_module, load_model
from melaudit.models.dry_run import attempt, dry_run
from melaudit.relevance.forward import Forward


class Body(nn.Module):
    """A small CNN without a forward."""

    def __init__(self, channels: int = 3) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, 6, 3)
        self.fc = nn.Linear(6, 2)
        self.other = nn.Linear(6, 2)

    def features(self, x: Tensor) -> Tensor:
        out: Tensor = self.conv(x).relu().mean((2, 3))
        return out


class FeaturesThenLogits(Body):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        features = self.features(x)
        return features, self.fc(features)


class TwoHeads(Body):
    def forward(self, x: Tensor) -> dict[str, Tensor]:
        features = self.features(x)
        return {"site": self.other(features), "diagnosis": self.fc(features), "f": features}


class TwoInputs(Body):
    def forward(self, x: Tensor, patient: Tensor) -> Tensor:
        out: Tensor = self.fc(self.features(x) + patient)
        return out


class Half(Body):
    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.fc(self.features(x.half()))
        return out


class Plain(Body):
    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.fc(self.features(x))
        return out


IMAGES = torch.rand(3, 3, 64, 64, generator=torch.Generator().manual_seed(1))


def test_the_output_as_wide_as_there_are_classes_is_taken_and_named() -> None:
    loaded = from_module(FeaturesThenLogits())
    assert loaded.outputs == 6
    chosen = loaded.with_output(None, 2)
    assert chosen.outputs == 2
    (note,) = chosen.notes
    assert "0 (6 wide), 1 (2 wide)" in note and "1 was taken" in note and "--output" in note
    assert torch.equal(chosen.model(IMAGES), FeaturesThenLogits.forward(loaded.model, IMAGES)[1])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("wanted", "taken"), [(None, "site"), ("diagnosis", "diagnosis"), ("1", "diagnosis")]
)
def test_of_two_heads_the_first_is_taken_and_said_or_the_one_that_is_named(
    wanted: str | None, taken: str
) -> None:
    loaded = from_module(TwoHeads()).with_output(wanted, 2)
    expected = TwoHeads.forward(loaded.model, IMAGES)[taken]  # type: ignore[arg-type]
    assert torch.equal(loaded.model(IMAGES), expected)
    assert torch.equal(Forward(loaded.model, num_classes=2).logits(IMAGES), expected)
    said = " ".join(loaded.notes)
    assert ("site was taken, the first for 2 classes" in said) is (wanted is None)


def test_an_output_that_is_not_there_is_refused_with_those_that_are() -> None:
    with pytest.raises(CheckpointError, match=r"site \(2 wide\), diagnosis \(2 wide\), f \(6"):
        from_module(TwoHeads()).with_output("grade", 2)
    with pytest.raises(CheckpointError, match="one output"):
        from_module(Plain()).with_output("grade", 2)


def test_a_second_input_is_named_as_the_model_names_it() -> None:
    with pytest.raises(CheckpointError, match=r"TypeError: .*'patient'.*needs a second input"):
        from_module(TwoInputs())


def test_the_remedy_for_a_second_input_works(tmp_path: Path) -> None:
    (tmp_path / "filled.py").write_text(
        "import torch\nfrom tests.models.test_dry_run import TwoInputs\n"
        "class Filled(TwoInputs):\n"
        "    def forward(self, x):\n"
        "        return super().forward(x, torch.zeros(6))\n"
    )
    torch.save(TwoInputs().state_dict(), tmp_path / "m.pt")
    assert load_model(tmp_path / "m.pt", factory=f"{tmp_path / 'filled.py'}:Filled").outputs == 2


def test_half_precision_in_a_forward_is_explained() -> None:
    with pytest.raises(CheckpointError, match=r"Half.*test_dry_run.py, line \d+.*remove the .half"):
        from_module(Half())


def test_a_factory_that_fails_tells_its_line(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text("def build():\n    table = {}\n    return table['width']\n")
    torch.save(Plain().state_dict(), tmp_path / "m.pt")
    with pytest.raises(CheckpointError, match=r"KeyError: 'width' \(own.py, line 3\)"):
        load_model(tmp_path / "m.pt", factory=f"{tmp_path / 'own.py'}:build")
    (tmp_path / "own.py").write_text("def build()\n    return 1\n")
    with pytest.raises(CheckpointError, match=r"SyntaxError.*\(own.py, line 1\)"):
        load_model(tmp_path / "m.pt", factory=f"{tmp_path / 'own.py'}:build")


def test_a_grey_model_is_recognised_and_fed_grey() -> None:
    loaded = from_module(Plain(1))
    assert (loaded.channels, loaded.outputs) == (1, 2)
    assert "one channel" in loaded.notes[0]
    preprocessing = resolve(None, image_size=16, mean=[0.5], std=[0.25], channels=1)
    picture = np.zeros((16, 16, 3), np.uint8)
    picture[..., 0] = 200  # red: .299 of the luminance
    x = preprocessing.apply(picture)
    assert x.shape == (1, 16, 16)
    assert x.unique().tolist() == pytest.approx([(round(200 * 0.299) / 255 - 0.5) / 0.25])
    frame = preprocessing.frame(picture)
    assert frame.shape == (16, 16, 3) and (frame == 60).all()
    assert "in grey" in preprocessing.describe()


def test_values_for_channels_are_said_when_they_are_repeated_or_averaged() -> None:
    colour = resolve(None, image_size=16, mean=[0.5], std=[0.25])
    assert colour.mean == (0.5, 0.5, 0.5)
    assert "for each of the three channels" in colour.describe()
    grey = resolve(None, image_size=16, channels=1)
    assert grey.mean == pytest.approx((0.449,)) and grey.std == pytest.approx((0.226,))
    with pytest.raises(PreprocessingError, match="expected one number"):
        resolve(None, image_size=16, mean=[0.5, 0.5], std=[0.5], channels=1)


@pytest.mark.parametrize("channels", [2, 4, 12])
def test_other_channels_are_refused_with_a_remedy_that_works(channels: int) -> None:
    with pytest.raises(CheckpointError, match=rf"{channels} channels.*--factory"):
        from_module(Plain(channels))

    class Wrapped(Plain):
        def forward(self, x: Tensor) -> Tensor:
            extra = x.mean(1, keepdim=True).repeat(1, max(channels - 3, 0), 1, 1)
            return super().forward(torch.cat([x, extra], 1)[:, :channels])

    assert from_module(Wrapped(channels)).outputs == 2


def test_a_size_that_the_model_refuses_is_no_attempt() -> None:
    assert attempt(nn.Sequential(nn.Flatten(), nn.Linear(12, 2)), 4).outputs is None


def test_memory_that_runs_out_is_no_fault_of_the_model() -> None:
    class Large(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            raise MemoryError

    with pytest.raises(MemoryError):
        dry_run(Large())
