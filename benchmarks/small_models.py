"""Small trained models of six families, and drawn pictures made of parts that are known.

A picture is drawn skin with a lesion, and on it any of five parts of `melaudit.demo`: a sticker, a
ring, ink, bubbles and hairs. Its class is which of the first two it shows. Every part has random
numbers of its own, so that the same picture without a part can be drawn again: what the part is
worth to the model is then known, as in the FunnyBirds protocol (Hesse et al., ICCV 2023).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import timm.models
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torchvision.models import ResNet, VisionTransformer
from torchvision.models.resnet import BasicBlock

from melaudit.demo.dataset import draw
from melaudit.demo.plants import RGB, Plant, bubbles, hairs, ink, ring, sticker

SIZE = 64
"""Side of a picture in pixels."""
PARTS: tuple[Plant, ...] = (sticker, ring, ink, bubbles, hairs)
DECIDING = 2
"""The first parts decide the class, the others nothing."""
CLASSES = 2**DECIDING
CHANCE = (0.5, 0.5, 0.3, 0.3, 0.3)
"""How often a picture shows each part."""

FAMILIES: dict[str, Callable[[], nn.Module]] = {
    "vit": lambda: VisionTransformer(SIZE, 8, 4, 4, 64, 256, num_classes=CLASSES),
    "deit": lambda: timm.models.VisionTransformerDistilled(  # type: ignore[no-untyped-call]
        SIZE, 8, embed_dim=64, depth=4, num_heads=4, num_classes=CLASSES
    ),
    "swin": lambda: timm.models.SwinTransformer(
        SIZE,
        4,
        embed_dim=32,
        depths=(2, 2, 2),
        num_heads=(2, 4, 8),
        window_size=4,
        num_classes=CLASSES,
    ),
    "convnext": lambda: timm.models.ConvNeXt(
        depths=(2, 2, 2, 2), dims=(16, 32, 64, 128), num_classes=CLASSES
    ),
    "resnet": lambda: ResNet(BasicBlock, [1, 1, 1, 1], num_classes=CLASSES),
    "efficientnet_lite0": lambda: _pretrained(),
}
"""Name -> a model with random weights; the last one's are of ImageNet, but for its head."""


def _pretrained() -> nn.Module:
    from benchmarks.photographs.models import build  # its weights are in the extra `bench`

    model = build("efficientnet_lite0", SIZE)
    model.classifier = nn.Linear(cast("nn.Linear", model.classifier).in_features, CLASSES)
    return model


@dataclass(frozen=True)
class Pictures:
    """Drawn pictures, and the same without each part."""

    x: Tensor
    """(n, 3, SIZE, SIZE), standardised."""
    labels: NDArray[np.int64]
    parts: NDArray[np.bool_]
    """(n, parts) which of them a picture shows."""
    without: Tensor
    """(n, parts, 3, SIZE, SIZE) without that part; empty where none was asked for."""
    masks: NDArray[np.bool_]
    """(n, parts, SIZE, SIZE) the pixels that the part changes."""


def pictures(half: int, count: int, *, taken_apart: bool = False) -> Pictures:
    """Draw the first `count` pictures of a half: 0 to train on, 1 to explain."""
    shown, drawn, apart = [], [], []
    for number in range(count):
        rng = np.random.default_rng((half, number))
        parts = rng.random(len(PARTS)) < CHANCE
        picture = _drawn(half, number, parts)
        shown.append(parts)
        drawn.append(picture)
        if taken_apart:
            each = [parts & (np.arange(len(PARTS)) != i) for i in range(len(PARTS))]
            apart.append([picture if (p == parts).all() else _drawn(half, number, p) for p in each])
    whole, of = np.stack(drawn), np.stack(shown)
    missing = np.array(apart, np.uint8).reshape(len(apart), len(PARTS), SIZE, SIZE, 3)
    changed = np.abs(missing.astype(np.int16) - whole[: len(apart), None]).max(-1) > 8
    return Pictures(
        _standardised(whole),
        of[:, :DECIDING].astype(np.int64) @ (1 << np.arange(DECIDING)),
        of,
        _standardised(missing),
        changed,
    )


def trained(family: str, folder: Path, images: int, epochs: int) -> nn.Module:
    """Return the family's model, trained on drawn pictures; kept in the folder."""
    torch.manual_seed(0)
    model = FAMILIES[family]()
    kept = folder / f"{family}-{images}-{epochs}.pt"
    if kept.exists():
        model.load_state_dict(torch.load(kept, weights_only=True))
        return model.eval()
    data = _drawn_once(folder, images)
    fit(model, data, torch.from_numpy(_labels(images)), epochs)
    torch.save(model.state_dict(), kept)
    return model.eval()


def fit(model: nn.Module, x: Tensor, labels: Tensor, epochs: int, batch: int = 50) -> None:
    """Train in place: AdamW, one cycle of the learning rate, flips."""
    rate = 2e-3
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=0.05)
    steps = epochs * (len(x) // batch)
    cycle = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=steps)
    model.train()
    for _ in range(epochs):
        order = torch.randperm(len(x))
        for rows in order[: len(x) // batch * batch].split(batch):
            flips = [d for d in (2, 3) if torch.rand(()) < 0.5]
            loss = nn.functional.cross_entropy(answers(model, x[rows].flip(flips)), labels[rows])
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            cycle.step()
    model.eval()


def answers(model: nn.Module, x: Tensor) -> Tensor:
    """Return the logits (n, classes); a distilled model gives two while it is trained."""
    logits = model(x)
    of_both: Tensor = torch.stack(logits).mean(0) if isinstance(logits, tuple) else logits
    return of_both


def accuracy(model: nn.Module, x: Tensor, labels: Sequence[int] | NDArray[np.int64]) -> float:
    """Return the share of the pictures that is answered right."""
    with torch.no_grad():
        found = torch.cat([model(part).argmax(1) for part in x.split(64)])
    return float((found.numpy() == np.asarray(labels)).mean())


def _labels(count: int) -> NDArray[np.int64]:
    shown = [np.random.default_rng((0, i)).random(len(PARTS)) < CHANCE for i in range(count)]
    labels: NDArray[np.int64] = np.stack(shown)[:, :DECIDING] @ (1 << np.arange(DECIDING))
    return labels


def _drawn_once(folder: Path, count: int) -> Tensor:
    """Return the training pictures, which are drawn once and kept in the folder."""
    kept = folder / f"train-{count}.npy"
    if not kept.exists():
        shown = [np.random.default_rng((0, i)).random(len(PARTS)) < CHANCE for i in range(count)]
        np.save(kept, np.stack([_drawn(0, i, parts) for i, parts in enumerate(shown)]))
    return _standardised(np.load(kept))


def _drawn(half: int, number: int, parts: NDArray[np.bool_]) -> RGB:
    label = ("benign", "malignant")[number % 2]
    image = draw((half, number, 7), label, size=SIZE)
    for i, plant in enumerate(PARTS):
        if parts[i]:
            image = plant(image, np.random.default_rng((half, number, i)))
    return image


def _standardised(images: NDArray[np.uint8]) -> Tensor:
    """Return pictures (..., h, w, 3) as (..., 3, h, w), about -1 to 1."""
    return torch.from_numpy(np.moveaxis(images, -1, -3).astype(np.float32) / 127.5 - 1)
