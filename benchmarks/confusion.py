"""Which finder fires on what: plant each artifact on clean pictures, and ask every finder.

    python -m benchmarks.confusion [--drawn 40] [--photographs FOLDER] [--number 100] [--seed 0]

The pictures are drawn by the demo, and, with `--photographs`, a seeded sample of the images below a
folder; of the latter only those are planted on in which no finder fires, so that what fires is the
plant's doing. Each artifact is planted as the audit puts it in (`Artifact.add`), and, for the thing
that is not quite an artifact, as the demo plants it: a date stamp, a sticker.

Printed as a table in Markdown: a row for each plant, a column for each finder, in each cell the
share of pictures on which it fires, in percent; "." for none. Cells beside the diagonal are
confusions. The first row is the pictures as they are; for photographs that is the share of all
sampled ones on which a finder fires, most of which do show something.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from melaudit.artifacts import Artifact, artifacts
from melaudit.demo import plants
from melaudit.demo.dataset import CLASSES, draw
from melaudit.domains.dermoscopy import DERMOSCOPY
from melaudit.images.imagefile import SUFFIXES, read_image, shrink

RGB = NDArray[np.uint8]
Plant = Callable[[RGB, np.random.Generator], RGB]
SIZE = 240
"""Side of a drawn picture, and longer side to which photographs are shrunk, in pixels."""
LEFT_OUT = ("picture_size",)
"""Finders that are not asked: the pictures are of one size, which no plant changes."""
DEMO: dict[str, Plant] = {
    "ring (demo)": plants.ring,
    "date stamp (demo)": plants.lettering,
    "sticker (demo)": plants.sticker,
    "ink (demo)": plants.ink,
    "ruler (demo)": plants.ruler,
    "hairs (demo)": plants.hairs,
    "bubbles (demo)": plants.bubbles,
    "tint (demo)": plants.tint,
}


def drawn(number: int, seed: int) -> list[RGB]:
    """Draw clean pictures, benign and malignant by turns."""
    return [draw((seed, i), CLASSES[i % 2], size=SIZE) for i in range(number)]


def photographs(folder: Path, number: int, seed: int) -> list[RGB]:
    """Read a seeded sample of the images below a folder."""
    paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES)
    order = np.random.default_rng(seed).permutation(len(paths))[:number]
    read = (read_image(str(paths[i])).image for i in order)
    return [shrink(image, SIZE) for image in read if image is not None]


def fires(finders: Sequence[Artifact], images: Sequence[RGB]) -> NDArray[np.bool_]:
    """Return which finder fires on which image, (images, finders)."""
    said = [[finder.find(image).present for finder in finders] for image in images]
    return np.array(said, bool).reshape(len(images), len(finders))


def every_plant(finders: Sequence[Artifact]) -> dict[str, Plant]:
    """Return name -> plant, those of the audit first."""

    def of(artifact: Artifact) -> Plant:
        return lambda image, rng: artifact.add(image, rng).image

    return {artifact.id: of(artifact) for artifact in finders} | DEMO


def table(images: Sequence[RGB], seed: int, *, clean_only: bool) -> str:
    """Return the table in Markdown; `clean_only` plants on images without any alarm."""
    finders = [a for a in artifacts(DERMOSCOPY.artifacts) if a.id not in LEFT_OUT]
    before = fires(finders, images)
    alarmed = np.atleast_1d(before.any(axis=1)).tolist()
    clean = [im for im, any_ in zip(images, alarmed, strict=True) if not (any_ and clean_only)]
    lines = [
        f"| planted ({len(clean)} pictures) | {' | '.join(f.id for f in finders)} |",
        f"| --- |{' ---: |' * len(finders)}",
        _row(f"nothing ({len(images)})", before),
    ]
    for k, (name, plant) in enumerate(every_plant(finders).items()):
        edited = [plant(im, np.random.default_rng([seed, i, k])) for i, im in enumerate(clean)]
        lines.append(_row(name, fires(finders, edited)))
    return "\n".join(lines)


def _row(name: str, fired: NDArray[np.bool_]) -> str:
    shares = fired.mean(0) if len(fired) else np.zeros(fired.shape[1])
    cells = (f"{100 * share:.0f}" if share > 0 else "." for share in shares)
    return f"| {name} | {' | '.join(cells)} |"


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.confusion",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--drawn", type=int, default=40, help="drawn pictures (default 40)")
    parser.add_argument("--photographs", type=Path, help="folder of real photographs")
    parser.add_argument("--number", type=int, default=100, help="photographs at most (default 100)")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    print(table(drawn(options.drawn, options.seed), options.seed, clean_only=False))
    if options.photographs:
        images = photographs(options.photographs, options.number, options.seed)
        print(f"\n{table(images, options.seed, clean_only=True)}")


if __name__ == "__main__":
    main()
