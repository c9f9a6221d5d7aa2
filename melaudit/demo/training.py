"""Train the model of the demo: a plain torchvision ResNet-18, on the CPU, in half a minute."""

from __future__ import annotations

import io
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torchvision.models import resnet18

from melaudit.demo.dataset import CLASSES, DemoData
from melaudit.images.preprocessing import resolve
from melaudit.publish import publish
from melaudit.relevance.model.outputs import find_logits

BATCH_SIZE = 32
LEARNING_RATE = 2e-3
WEIGHT_DECAY = 0.05


@dataclass(frozen=True)
class TrainingReport:
    """The results of a training."""

    accuracy_train: float
    accuracy_test: float
    """Accuracies, 0 to 1, of the finished model without augmentation."""
    seconds: float
    epochs: int


def train(
    data: DemoData,
    out_ckpt: Path,
    *,
    seed: int,
    epochs: int,
    image_size: int,
    device: str = "cpu",
    build: Callable[[], nn.Module] = lambda: resnet18(num_classes=len(CLASSES)),
    progress: Callable[[int, float], None] = lambda epoch, loss: None,
) -> TrainingReport:
    """Train on the training half and save the weights as a plain state_dict.

    `build` makes the model, by default a ResNet-18; it may return more beside its logits.
    `progress(epoch, loss)` is called after every epoch, counted from 1. The random state and thread
    count of torch are restored. The same seed gives the same weights on the same machine with the
    same number of threads. Raises StoreError if `out_ckpt` cannot be written.
    """
    started = time.perf_counter()
    x, y = load_half(data.train, image_size)
    with torch.random.fork_rng(devices=[]), _at_most_threads(2):
        torch.manual_seed(seed)
        model = build().to(device)
        _fit(model, x, y, epochs=epochs, seed=seed, progress=progress)
        accuracy_train = _accuracy(model, x, y)
        accuracy_test = _accuracy(model, *load_half(data.test, image_size))
    weights = {k: v.detach().cpu().contiguous() for k, v in model.state_dict().items()}
    file = io.BytesIO()
    torch.save(weights, file)
    publish(out_ckpt, file.getvalue())
    return TrainingReport(accuracy_train, accuracy_test, time.perf_counter() - started, epochs)


def load_half(folder: Path, image_size: int) -> tuple[Tensor, Tensor]:
    """Return the pictures (n, 3, image_size, image_size) and labels (n,) of a half.

    The pictures are preprocessed as in an audit that knows only their size.
    """
    preprocessing = resolve(None, image_size=image_size)
    inputs, labels = [], []
    for label, name in enumerate(CLASSES):
        for path in sorted((folder / name).glob("*.jpg")):
            with Image.open(path) as image:
                inputs.append(preprocessing.apply(np.asarray(image)))
            labels.append(label)
    return torch.stack(inputs), torch.tensor(labels)


def _fit(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    *,
    epochs: int,
    seed: int,
    progress: Callable[[int, float], None],
) -> None:
    """Train in place: AdamW, one cycle of the learning rate, flips and quarter turns."""
    device = next(model.parameters()).device
    batches = max(1, len(x) // BATCH_SIZE)
    optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    steps = epochs * batches
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _cycle(step / steps))
    draws = torch.Generator().manual_seed(seed)
    model.train()
    for epoch in range(1, epochs + 1):
        total = 0.0
        for rows in torch.randperm(len(x), generator=draws).tensor_split(batches):
            batch = _turned(x[rows], draws).to(device)
            logits = find_logits(model(batch), len(CLASSES))
            loss = nn.functional.cross_entropy(logits, y[rows].to(device))
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            optimizer.step()
            schedule.step()
            total += loss.item()
        progress(epoch, total / batches)


def _cycle(done: float) -> float:
    """Return the share of the full learning rate after a share of the training.

    It rises over the first quarter and falls along half a cosine (Smith and Topin,
    "Super-Convergence", 2018).
    """
    if done < 0.25:
        return 0.04 + 0.96 * done / 0.25
    return 0.5 + 0.5 * math.cos(math.pi * (done - 0.25) / 0.75)


def _turned(x: Tensor, draws: torch.Generator) -> Tensor:
    """Return the batch with each picture flipped and turned in one of eight ways."""
    ways = torch.randint(8, (len(x),), generator=draws).tolist()
    out = [torch.rot90(row, way % 4, (1, 2)) for row, way in zip(x, ways, strict=True)]
    return torch.stack(
        [row.flip(2) if way > 3 else row for row, way in zip(out, ways, strict=True)]
    )


def _accuracy(model: nn.Module, x: Tensor, y: Tensor) -> float:
    """Return the accuracy, 0 to 1, in evaluation mode."""
    device = next(model.parameters()).device
    model.eval()
    with torch.inference_mode():
        answers = torch.cat(
            [
                find_logits(model(chunk.to(device)), len(CLASSES)).argmax(1).cpu()
                for chunk in torch.split(x, 64)
            ]
        )
    return float((answers == y).double().mean())


@contextmanager
def _at_most_threads(count: int) -> Iterator[None]:
    """Limit the threads of torch: more gain little here and take time from other programs."""
    before = torch.get_num_threads()
    torch.set_num_threads(min(count, before))
    try:
        yield
    finally:
        torch.set_num_threads(before)
