"""Maps by LXT, which changes classes of torch and zennit for good: made in a process of its own.

That process is `python benchmarks/lxt_maps.py TASK MAPS`, for which a folder with lxt and the
versions of transformers and zennit that it works with comes first on Python's path, so this file
imports nothing of melaudit. The maps are input x gradient, as LXT's own example for torchvision's
ViT has them.
"""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

Gammas = Sequence[tuple[float, float]]
"""Gamma of convolutions and gamma of linear layers."""

GAMMAS = [(of_c, of_l) for of_c in (0.1, 0.25, 100.0) for of_l in (0.0, 0.01, 0.05, 0.1, 1.0)]
"""Those that LXT's example for torchvision's ViT tries."""


def explained(
    packages: Path, model: nn.Module, x: Tensor, target: Tensor, gammas: Gammas
) -> Tensor:
    """Return the maps (gammas, n, h, w) of classes target (n,) for pictures x (n, 3, h, w).

    packages: the folder with lxt. Raises RuntimeError with what it says when it fails.
    """
    with tempfile.TemporaryDirectory() as folder:
        task, made = Path(folder) / "task.pt", Path(folder) / "maps.pt"
        torch.save({"model": model, "x": x, "target": target, "gammas": gammas}, task)
        command = [sys.executable, __file__, str(task), str(made)]
        path = {**os.environ, "PYTHONPATH": str(packages.resolve())}
        ran = subprocess.run(command, capture_output=True, text=True, check=False, env=path)
        if ran.returncode:
            raise RuntimeError(ran.stderr.strip().splitlines()[-1])
        found: Tensor = torch.load(made, weights_only=True)
        return found


def main(task: str, made: str) -> None:
    """Explain the model of a task for each pair of gammas."""
    given = torch.load(task, weights_only=False)  # written by `explained`
    model, x, target = given["model"], given["x"], given["target"]
    lxt: Any = importlib.import_module("lxt.efficient")
    lxt.monkey_patch(importlib.import_module(type(model).__module__))
    lxt.monkey_patch_zennit()
    rules: Any = importlib.import_module("zennit.rules")
    composites: Any = importlib.import_module("zennit.composites")
    model.eval().requires_grad_(False)
    maps = []
    for of_convolutions, of_linear in given["gammas"]:
        composite = composites.LayerMapComposite(
            [
                (nn.Conv2d, rules.Gamma(of_convolutions)),
                (nn.Linear, rules.Gamma(of_linear)),
            ]
        )
        image = x.clone().requires_grad_()
        composite.register(model)
        logits = model(image)
        torch.autograd.backward(logits.gather(1, target[:, None]).sum())
        composite.remove()
        assert image.grad is not None
        maps.append((image * image.grad).sum(1).detach())
    torch.save(torch.stack(maps), made)


if __name__ == "__main__":
    main(*sys.argv[1:])
