"""A report on a melanoma classifier, made again section by section with melaudit.

    python replay.py --out replayed                 on generated data, with models trained on it
    python replay.py --out replayed --data DIR --resnet A.pt --attention B.pt       on your own
    python replay.py --out replayed --small         small networks, in a minute on a CPU

DIR holds a folder of images for each class; A.pt and B.pt are state_dicts of `networks.py`. Every
section is a function that a notebook can call; the commands it gives are printed. `report.md` in
the output folder has the pictures with what they show in figures.
"""

import argparse
import contextlib
import os
import shlex
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from crp.attribution import CondAttribution
from PIL import Image
from torch import Tensor, nn
from zennit.composites import EpsilonPlusFlat

import melaudit
from melaudit.cli import main as melaudit_command
from melaudit.demo import DemoData, generate, train
from melaudit.relevance import Explainer
from melaudit.reports.page.panel import Tile, panel

HERE = Path(os.path.relpath(Path(__file__).parent))
sys.path.insert(0, str(HERE.resolve()))

import networks  # noqa: E402 - it lies beside this file

POSITIVE, NEGATIVE = "malignant", "benign"
NAMES = (NEGATIVE, POSITIVE)
CHANNELS = 6
SMALL = {"n_train": 240, "n_test": 80, "epochs": 3, "edits": 12}
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Case:
    """Images, the two models, and where to write."""

    data: Path
    """Holds a folder of images for each class."""
    resnet: Path
    attention: Path
    """Checkpoints."""
    out: Path
    limit: int
    """Images that are audited."""
    edits: int
    """Images that each artifact is put into and taken out of."""
    checks: int = 8
    """Images on which maps are checked."""


def generated(
    out: Path, *, n_train: int = 1000, n_test: int = 400, epochs: int = 5, edits: int = 40,
    checks: int = 8, seed: int = 0,
) -> Case:  # fmt: skip
    """Draw lesions, most malignant ones in a black ring, and train both models on them.

    `n_train` and `n_test` images; what is there already is used again.
    """
    data = DemoData(out / "train", out / "test")
    if not (out / "planted.csv").exists():
        data = generate(
            out, n_train=n_train, n_test=n_test, ring_malignant=0.6, ring_benign=0.04, seed=seed
        )
    case = Case(data.test, out / "resnet.pt", out / "attention.pt", out, n_test, edits, checks)
    for place, build in ((case.resnet, networks.resnet), (case.attention, networks.attention)):
        if not place.exists():
            told = train(
                data, place, seed=seed, epochs=epochs, image_size=networks.SIDE, build=build
            )
            print(f"{place.name}: accuracy {told.accuracy_test:.2f} on {n_test} test images")
    return case


def command(*arguments: object) -> None:
    """Give a command of melaudit, and show it; raises SystemExit where it could not run."""
    words = [str(argument) for argument in arguments]
    print("$ melaudit", shlex.join(words))
    code = melaudit_command(words)
    if code not in (0, 1, 3):  # clean, findings, inconclusive: an audit was made
        raise SystemExit(f"melaudit {words[0]} ended with {code}")


def model(case: Case, name: str) -> tuple[object, ...]:
    """Return the options that name a model and say how its images are made."""
    own = ("--model", getattr(case, name), "--classes", ",".join(NAMES))
    factory = {"resnet": "resnet", "attention": "attention"}[name]
    return (*own, "--factory", f"{HERE / 'networks.py'}:{factory}", "--image-size", networks.SIDE)


# --- the sections of the report --------------------------------------------------------------


def grad_cam(case: Case, image: Path) -> Path:
    """Show a melanoma with Grad-CAM, and with Grad-CAM weighed by the model's attention."""
    out = case.out / "grad-cam.png"
    command(
        "explain", image, *model(case, "attention"), "--target", POSITIVE, "--channels", 4,
        "--out", out,
    )  # fmt: skip
    return out


def outcomes(case: Case) -> Path:
    """Show LRP maps of true and false positives and negatives."""
    out = case.out / "outcomes.png"
    command(
        "outcomes", *model(case, "resnet"), "--data", case.data, "--positive", POSITIVE,
        "--limit", case.limit, "--out", out,
    )  # fmt: skip
    return out


def audited(case: Case, name: str) -> melaudit.Audit:
    """Audit a model: is there something like the ring that it decides by?"""
    out = case.out / f"audit-{name}"
    command(
        "run", *model(case, name), "--data", case.data, "--positive", POSITIVE, "--domain",
        "dermoscopy", "--limit", case.limit, "--edits", case.edits, "--check-images", case.checks,
        "--corruption-images", 0, "--workers", 0, "--engine", "dataflow", "--out", out,
    )  # fmt: skip
    return melaudit.load(out)


@dataclass(frozen=True)
class Channels:
    """Conditional maps of some channels of one image, and what they add up to."""

    maps: Tensor
    """(channels, h, w)."""
    likeness: float
    """Mean absolute cosine between the maps of two channels; 1 where all are the same map."""
    off: float
    """How far a map's sum is from the channel's own relevance, as a share of the logit: median."""


def broken_crp(
    net: nn.Module, x: Tensor, target: int, layer: str, channels: Sequence[int]
) -> Tensor:
    """Return conditional maps (channels, h, w) that leak through the skip connection.

    The channel is masked at a layer inside of a residual block, while all that passes beside it,
    through the block's skip connection, goes on to the input in every one of the maps.
    """
    found = []
    for channel in channels:
        conditions = [{layer: [channel], "y": [target]}]
        attribution = CondAttribution(net, no_param_grad=False)
        told = attribution(
            x.clone().requires_grad_(), conditions, EpsilonPlusFlat(), exclude_parallel=False
        )
        found.append(told.heatmap[0].detach())
    return torch.stack(found)


def crp(case: Case, image: Path) -> tuple[Path, Channels, Channels]:
    """Show the maps of the strongest channels, broken at the skip connection and whole."""
    net = loaded(case)
    x = pixels(image)
    with Explainer(net) as explainer:
        layer = explainer.choose_layer(x)
        target = torch.tensor([NAMES.index(POSITIVE)])
        own = explainer.concepts(x, target, [layer])[layer][0]
        logit = float(explainer.attribute(x, target, ()).start[0])
        chosen = own.abs().argsort(descending=True)[:CHANNELS].tolist()
        whole = explainer.crp(x, target, layer, chosen)[0]
    inside = f"{layer}.{len(getattr(net, layer)) - 1}.conv3"
    broken = broken_crp(net, x, int(target), inside, chosen)
    told = [_told(maps, own[chosen], logit) for maps in (broken, whole)]
    photograph = np.asarray(Image.open(image).convert("RGB"))
    tiles = [
        Tile(f"{way}: channel {c}", note, maps.numpy())
        for way, note, found in (
            ("broken", f"masked at {inside}", broken),
            ("whole", f"started at {layer}", whole),
        )
        for c, maps in zip(chosen, found.detach().float(), strict=True)
    ]
    out = case.out / "crp.png"
    out.write_bytes(panel(photograph, tiles, columns=CHANNELS))
    return out, told[0], told[1]


def _told(maps: Tensor, own: Tensor, logit: float) -> Channels:
    flat = nn.functional.normalize(maps.double().flatten(1), dim=1)
    pairs = torch.triu_indices(len(flat), len(flat), 1)
    likeness = (flat @ flat.T).abs()[pairs[0], pairs[1]].mean()
    off = (maps.double().sum((1, 2)) - own.double()).abs().median() / abs(logit)
    return Channels(maps, float(likeness), float(off))


def compared(case: Case) -> Path:
    """Compare the two models' audits: does attention change what the model goes by?"""
    out = case.out / "attention-against-resnet.html"
    command(
        "diff", case.out / "audit-resnet", case.out / "audit-attention", "--html", out
    )  # fmt: skip
    return out


# --- what the sections share -----------------------------------------------------------------


def melanoma(case: Case) -> Path:
    """Return the melanoma in a ring if there is one, by the darkness of its corners."""
    files = sorted((case.data / POSITIVE).iterdir())
    return min(files[:60], key=_corners)


def _corners(path: Path) -> float:
    grey = np.asarray(Image.open(path).convert("L"))
    side = max(1, min(grey.shape) // 25)
    ends = slice(side), slice(-side, None)
    return float(max(grey[y, x].mean() for y in ends for x in ends))


def shown(picture: Path, width: int = 720) -> Image.Image:
    """Return a picture small enough to stay in a notebook."""
    whole = Image.open(picture).convert("RGB")
    height = round(whole.height * width / whole.width)
    return whole.resize((width, height), Image.Resampling.LANCZOS).quantize(96)


def loaded(case: Case) -> nn.Module:
    """Return the ResNet with its weights."""
    net = networks.resnet()
    net.load_state_dict(torch.load(case.resnet, weights_only=True))
    return net.eval()


def pixels(image: Path) -> Tensor:
    """Return an image as the models see it (1, 3, h, w)."""
    small = Image.open(image).convert("RGB").resize((networks.SIDE,) * 2, Image.Resampling.BILINEAR)
    x = torch.from_numpy(np.array(small)).permute(2, 0, 1) / 255
    return ((x - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None])[None]


def report(case: Case) -> Path:
    """Make all sections, and a page of them."""
    image = melanoma(case)
    cam, by_outcome = grad_cam(case, image), outcomes(case)
    audits = {name: audited(case, name) for name in ("resnet", "attention")}
    maps, broken, whole = crp(case, image)
    page = compared(case)
    lines = [
        "# A melanoma classifier, explained and audited",
        f"## Grad-CAM, and Grad-CAM with attention\n\n![]({cam.name})",
        f"## LRP by outcome\n\n![]({by_outcome.name})",
        "## What does it decide by?\n",
        *(f"* {name}: {audit.verdict.value}. {audit.reason}" for name, audit in audits.items()),
        f"\n## CRP broken at the skip connection, and whole\n\n![]({maps.name})\n",
        "| | likeness of two channels' maps | sum of a map, off by (share of the logit) |",
        "| --- | --- | --- |",
        f"| broken | {broken.likeness:.4f} | {broken.off:.3g} |",
        f"| whole | {whole.likeness:.4f} | {whole.off:.3g} |",
        f"\n## Attention against none\n\n[{page.name}]({page.name})",
    ]
    place = case.out / "report.md"
    place.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return place


@contextlib.contextmanager
def small_networks(wanted: bool) -> Iterator[None]:
    """Build small networks as long as this is entered."""
    if wanted:
        os.environ["MELANOMA_SMALL"] = "1"
    try:
        yield
    finally:
        if wanted:
            os.environ.pop("MELANOMA_SMALL", None)


def main(arguments: Sequence[str] | None = None) -> None:
    """Replay the report from the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--out", type=Path, default=Path("replayed"))
    parser.add_argument("--data", type=Path, help="a folder of images for each class")
    parser.add_argument("--resnet", type=Path, help="weights of networks.resnet")
    parser.add_argument("--attention", type=Path, help="weights of networks.attention")
    parser.add_argument("--small", action="store_true", help="small networks and few images")
    given = parser.parse_args(arguments)
    own = (given.data, given.resnet, given.attention)
    if any(own) and not all(own):
        parser.error("--data, --resnet and --attention go together")
    given.out.mkdir(parents=True, exist_ok=True)
    with small_networks(given.small):
        case = (
            Case(*own, given.out, limit=400, edits=40)
            if all(own)
            else generated(given.out, **(SMALL if given.small else {}))
        )
        print(f"Report: {report(case)}")


if __name__ == "__main__":
    main()
