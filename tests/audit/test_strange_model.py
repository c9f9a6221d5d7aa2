"""Models written in strange ways are audited from the command line as they are."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

from melaudit.cli import main

STRANGE = '''
import torch
import torch.nn.functional as F
from torch import nn


class Strange(nn.Module):
    """One ReLU for everything, no layer but by function, attention by hand, a dict, one logit."""

    def __init__(self):
        super().__init__()
        p = lambda *s: nn.Parameter(torch.randn(*s) * (2 * s[0] / torch.Size(s).numel()) ** 0.5)
        self.stem, self.left, self.right = p(8, 3, 3, 3), p(8, 8, 3, 3), p(8, 8, 1, 1)
        self.scale, self.shift = nn.Parameter(torch.ones(8)), nn.Parameter(torch.zeros(8))
        self.register_buffer("mean", torch.zeros(8))
        self.register_buffer("var", torch.ones(8))
        self.wq, self.wk, self.wv = p(8, 8), p(8, 8), p(8, 8)
        self.head = p(1, 8)
        self.act = nn.ReLU(inplace=True)

    def block(self, x):
        y = F.conv2d(x, self.left, padding=1)
        y = F.batch_norm(y, self.mean, self.var, self.scale, self.shift, self.training)
        y = F.conv2d(self.act(y), self.right)
        y += x
        return self.act(y)

    def attend(self, tokens):
        q, k, v = (torch.einsum("ntd,ed->nte", tokens, w) for w in (self.wq, self.wk, self.wv))
        scores = q @ k.transpose(1, 2) / 8**0.5
        weights = torch.exp(scores - scores.amax(-1, keepdim=True))
        weights = weights / weights.sum(-1, keepdim=True)
        return torch.matmul(weights, v)

    def forward(self, x):
        x = self.act(F.conv2d(x, self.stem, stride=2, padding=1))
        x = self.block(self.block(x))
        maps = F.avg_pool2d(x, 2)
        tokens = maps.flatten(2).transpose(1, 2)
        tokens = F.layer_norm(tokens + self.attend(tokens), (8,))
        pooled = torch.cat([part.mean(1) for part in tokens.split(4, dim=2)], 1)
        return {"features": pooled, "nested": {"logits": F.linear(pooled, self.head)}}


def build():
    return Strange()
'''


def load(path: Path) -> nn.Module:
    spec = importlib.util.spec_from_file_location("strange_model_of_a_test", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    net: nn.Module = module.build()
    return net


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the model's file, its trained weights, and 24 images of two classes."""
    folder = tmp_path_factory.mktemp("strange")
    (folder / "strange.py").write_text(STRANGE)
    rng = np.random.default_rng(0)
    paths, labels = [], []
    for label, name in enumerate(("benign", "malignant")):
        (folder / "data" / name).mkdir(parents=True)
        for i in range(12):
            pixels = rng.integers(60, 120, (32, 32, 3), dtype=np.uint8)
            pixels[10:22, 10:22] //= 1 + 2 * label  # a dark lesion is malignant
            path = folder / "data" / name / f"{i:02d}.png"
            Image.fromarray(pixels).save(path)
            paths.append(path)
            labels.append(float(label))
    torch.manual_seed(3)
    net = load(folder / "strange.py").eval()
    optimiser = torch.optim.Adam(net.parameters(), 0.01)
    x, y = pixels_of(paths), torch.tensor(labels)[:, None]
    for _ in range(60):
        loss = functional.binary_cross_entropy_with_logits(net(x)["nested"]["logits"], y)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    torch.save(net.state_dict(), folder / "strange.pt")
    return folder


def pixels_of(paths: list[Path]) -> Tensor:
    """Return images (n, 3, 32, 32), preprocessed by hand."""
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    pixels = [torch.from_numpy(np.asarray(Image.open(p).convert("RGB")).copy()) for p in paths]
    x: Tensor = ((torch.stack(pixels) / 255 - mean) / std).permute(0, 3, 1, 2)
    return x


def test_a_strange_model_is_audited_without_a_change_to_it(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(
        [
            *("run", "--model", str(place / "strange.pt"), "--data", str(place / "data")),
            *("--factory", f"{place / 'strange.py'}:build", "--image-size", "32"),
            *("--positive", "malignant", "--workers", "0", "--check-images", "4"),
            *("--engine", "dataflow", "--edits", "0"),
            *("--out", str(place / "out"), "--json"),
        ]
    )
    assert code in (0, 1, 3)
    findings = json.loads(capsys.readouterr().out)
    assert findings["explanations"]["engine"].startswith("LRP epsilon_plus_flat by melaudit")
    checks = {c["id"]: c for c in findings["explanations"]["checks"]}
    assert checks["output_equivalence"]["status"] == "pass"
    assert checks["conservation"]["value"] < 1e-3  # the books close
    assert "had no rule" not in checks["conservation"]["statement"]
    assert findings["inputs"]["read"] == 24
    assert any("No channels are looked at" in w for w in findings["warnings"])
    assert {"clusters", "channel_uniformity"} <= {s["detector"] for s in findings["skipped"]}

    table = pd.read_parquet(place / "out" / "images.parquet")
    net = load(place / "strange.py").eval()
    net.load_state_dict(torch.load(place / "strange.pt", weights_only=True))
    with torch.no_grad():
        logits = net(pixels_of([place / "data" / name for name in table["id"]]))["nested"]["logits"]
    expected = torch.sigmoid(logits[:, 0]).numpy()
    assert table["probability_malignant"].to_numpy() == pytest.approx(expected, abs=1e-4)
    assert findings["performance"]["accuracy"] > 0.9
    assert "Maps made by" in (place / "out" / "report.html").read_text()


def test_a_strange_model_is_diagnosed_and_one_of_its_images_explained(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = [
        *("--model", str(place / "strange.pt"), "--factory", f"{place / 'strange.py'}:build"),
        *("--image-size", "32", "--engine", "dataflow"),
    ]
    assert main(["doctor", *model, "--data", str(place / "data"), "--check-images", "4"]) == 0
    said = capsys.readouterr().out
    assert "concept layer  none" in said and "batch_norm" in said
    assert "no rule" not in said
    image = place / "data" / "malignant" / "00.png"
    picture = place / "explained.png"
    assert main(["explain", str(image), *model, "--out", str(picture)]) == 0
    assert Image.open(picture).width > 2 * 256
