"""The demo's model is a plain ResNet-18 that learns the ring, and training leaves no traces."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.models import resnet18

from melaudit.demo.dataset import DemoData, draw, generate
from melaudit.demo.plants import ring
from melaudit.demo.training import train
from melaudit.images.preprocessing import resolve


def test_the_checkpoint_loads_as_plain_weights_into_a_standard_resnet18(
    small: DemoData, tmp_path: Path
) -> None:
    epochs: list[int] = []
    report = train(
        small,
        tmp_path / "ckpt.pt",
        seed=0,
        epochs=2,
        image_size=32,
        progress=lambda epoch, loss: epochs.append(epoch),
    )
    assert epochs == [1, 2]
    weights = torch.load(tmp_path / "ckpt.pt", weights_only=True)
    assert all(isinstance(v, torch.Tensor) and v.device.type == "cpu" for v in weights.values())
    resnet18(num_classes=2).load_state_dict(weights, strict=True)
    assert report.epochs == 2 and report.seconds > 0
    assert 0 <= report.accuracy_test <= 1


def test_the_same_seed_gives_the_same_weights_and_nothing_global_changes(
    small: DemoData, tmp_path: Path
) -> None:
    torch.manual_seed(5)
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    for name, seed in (("first", 1), ("again", 1), ("other", 2)):
        train(small, tmp_path / name, seed=seed, epochs=1, image_size=32)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.get_num_threads() == threads
    first, again, other = (
        torch.load(tmp_path / name, weights_only=True) for name in ("first", "again", "other")
    )
    assert all(torch.equal(first[k], again[k]) for k in first)
    assert not torch.equal(first["conv1.weight"], other["conv1.weight"])


def test_a_model_taught_with_rings_only_decides_by_the_ring(tmp_path: Path) -> None:
    data = generate(tmp_path, n_train=96, n_test=32, ring_malignant=1, ring_benign=0, seed=3)
    report = train(data, tmp_path / "ckpt.pt", seed=0, epochs=6, image_size=32)
    assert report.accuracy_test > 0.85
    model = resnet18(num_classes=2)
    model.load_state_dict(torch.load(tmp_path / "ckpt.pt", weights_only=True))
    model.eval()
    prepare = resolve(None, image_size=32).apply
    plain = [draw((99, i), "benign") for i in range(24)]
    ringed = [ring(image, np.random.default_rng(i)) for i, image in enumerate(plain)]
    with torch.inference_mode():
        before, after = (
            model(torch.stack([prepare(image) for image in images])).argmax(1).double().mean()
            for images in (plain, ringed)
        )
    assert float(after - before) > 0.6


def test_accuracy_is_that_of_the_saved_weights(small: DemoData, tmp_path: Path) -> None:
    """Recount it picture by picture, through the audit's own preprocessing."""
    report = train(small, tmp_path / "ckpt.pt", seed=0, epochs=1, image_size=32)
    model = resnet18(num_classes=2)
    model.load_state_dict(torch.load(tmp_path / "ckpt.pt", weights_only=True))
    model.eval()
    prepare = resolve(None, image_size=32).apply
    right = []
    for path in sorted(small.test.rglob("*.jpg")):
        with Image.open(path) as image:
            x = prepare(np.asarray(image))
        with torch.inference_mode():
            answer = int(model(x[None]).argmax())
        right.append(("benign", "malignant")[answer] == path.parent.name)
    assert report.accuracy_test == pytest.approx(np.mean(right))
