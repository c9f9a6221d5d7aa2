"""How the memory of an audit grows with its images: the peak of a whole run, for some numbers.

Generated images of 32 pixels and a net of one convolution, all detectors, one process for each run.
Printed are the peak of the resident memory, and what each image adds between one size and the next.

    python -m benchmarks.memory --images 500 1000 2000
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import tempfile
from concurrent.futures import ProcessPoolExecutor
from itertools import pairwise
from pathlib import Path

import numpy as np
from PIL import Image
from torch import nn


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory", description=__doc__)
    parser.add_argument("--images", type=int, nargs="+", default=[500, 1000, 2000])
    parser.add_argument("--edits", type=int, default=4, help="images of each class")
    options = parser.parse_args()
    peaks: list[tuple[int, float]] = []
    for count in options.images:
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
            peaks.append((count, pool.submit(_peak, count, options.edits).result()))
        print(f"{count:8d} images: peak {peaks[-1][1] / 2**20:8.0f} MB", flush=True)
    for (few, before), (more, after) in pairwise(peaks):
        each = (after - before) / (more - few) / 1024
        print(f"{few} to {more}: {each:.1f} KB an image")


def _peak(count: int, edits: int) -> float:
    """Return the peak of the memory, in bytes, of an audit of so many images."""
    import melaudit

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _draw(folder / "data", count)
        melaudit.audit(
            _net(),
            folder / "data",
            out=folder / "out",
            image_size=32,
            batch_size=32,
            check_images=4,
            edits=edits,
            progress=False,
        )
    return float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)


def _draw(folder: Path, count: int) -> None:
    """Draw bright and dark images, half of each."""
    rng = np.random.default_rng(0)
    for name, low in (("bright", 150), ("dim", 60)):
        (folder / name).mkdir(parents=True)
        for i in range(count // 2):
            pixels = rng.integers(low, low + 60, (32, 36, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{i:06d}.png")


def _net() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(4, 2),
    )


if __name__ == "__main__":
    main()
