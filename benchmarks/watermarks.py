"""Semi-transparent watermarks over photographs, and what of an audit sees them.

Three kinds are laid over crops of the photographs that come with scikit-image and scikit-learn: a
word across the middle, a phrase repeated all over, and a round logo. All are drawn here and share
no code with what an audit puts in.

    python -m benchmarks.watermarks

prints in how many pictures the finder of lettering sees each kind, and whether the search for marks
at a fixed position sees it where 60 % of 90 pictures bear the same one at the same place.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

from benchmarks.pictures import RGB
from melaudit.artifacts.kinds.text import Text
from melaudit.detectors.measures.recurrence import detail, floor_of, places, structure
from melaudit.images.preprocessing import resolve

PHOTOGRAPHS = (
    *("astronaut", "brick", "camera", "chelsea", "china", "coffee", "coins", "flower", "grass"),
    *("gravel", "hubble_deep_field", "motorcycle_left", "motorcycle_right", "rocket"),
)
SIDE, PICTURES, MARKED = 384, 90, 54
OPACITIES = (0.25, 0.4)

Layer = Callable[[np.random.Generator], Image.Image]
"""What draws a watermark: white where it is, black elsewhere, SIDE pixels wide and high."""


def word(rng: np.random.Generator) -> Image.Image:
    """Draw one word across the middle, rising."""
    page = Image.new("L", (2 * SIDE, 2 * SIDE))
    font = ImageFont.load_default(SIDE * float(rng.uniform(0.14, 0.2)))
    text = str(rng.choice(["SAMPLE", "PREVIEW", "STOCK"]))
    ImageDraw.Draw(page).text((SIDE, SIDE), text, fill=255, font=font, anchor="mm")
    box = (SIDE // 2, SIDE // 2, SIDE // 2 + SIDE, SIDE // 2 + SIDE)
    return page.rotate(float(rng.uniform(20, 40))).crop(box)


def phrases(rng: np.random.Generator) -> Image.Image:
    """Draw a phrase again and again, rising."""
    page = Image.new("L", (3 * SIDE, 3 * SIDE))
    draw = ImageDraw.Draw(page)
    font = ImageFont.load_default(SIDE * float(rng.uniform(0.05, 0.07)))
    text = str(rng.choice(["archive", "photo bank", "sample"]))
    long = draw.textlength(text, font=font)
    for line, y in enumerate(np.arange(0, 3 * SIDE, 0.2 * SIDE)):
        for x in np.arange(0, 3 * SIDE, 1.5 * long):
            draw.text((float(x) + line % 2 * 0.7 * long, float(y)), text, fill=255, font=font)
    return page.rotate(float(rng.uniform(20, 40))).crop((SIDE, SIDE, 2 * SIDE, 2 * SIDE))


def logo(rng: np.random.Generator) -> Image.Image:
    """Draw a letter in a ring, near the middle."""
    page = Image.new("L", (SIDE, SIDE))
    draw = ImageDraw.Draw(page)
    radius = SIDE * float(rng.uniform(0.12, 0.2))
    x, y = (SIDE * float(rng.uniform(0.4, 0.6)) for _ in range(2))
    box = (x - radius, y - radius, x + radius, y + radius)
    draw.ellipse(box, outline=255, width=int(0.18 * radius))
    font = ImageFont.load_default(1.1 * radius)
    draw.text((x, y), str(rng.choice(list("CRM"))), fill=255, font=font, anchor="mm")
    return page


KINDS: dict[str, Layer] = {"a word": word, "phrases all over": phrases, "a logo": logo}


def marked(image: RGB, layer: Image.Image, opacity: float) -> RGB:
    """Lay a white watermark over a picture."""
    cover = (np.asarray(layer, np.float64) / 255 * opacity)[..., None]
    return np.rint(image * (1 - cover) + 255 * cover).astype(np.uint8)


def crops() -> list[RGB]:
    """Return square crops of the photographs, drawn at random."""
    photographs = [
        Image.open(path).convert("RGB")
        for package in ("skimage", "sklearn")
        for path in sorted(Path(str(files(package))).rglob("*"))
        if path.stem in PHOTOGRAPHS and path.suffix in (".png", ".jpg")
    ]
    rng, found = np.random.default_rng(0), []
    for _ in range(PICTURES):
        picture = photographs[rng.integers(len(photographs))]
        side = int(min(picture.size) * rng.uniform(0.5, 1))
        left, top = (int(rng.integers(length - side + 1)) for length in picture.size)
        part = picture.crop((left, top, left + side, top + side)).resize((SIDE, SIDE))
        found.append(np.asarray(part))
    return found


def lettering(pictures: list[RGB]) -> str:
    """Say in how many pictures the finder of lettering sees something."""
    return f"{sum(Text().find(picture).present for picture in pictures)} of {len(pictures)}"


def fixed(pictures: list[RGB]) -> str:
    """Say how many places are seen at which something recurs."""
    preprocessing = resolve(None, image_size=224)
    details = detail(torch.stack([preprocessing.apply(picture) for picture in pictures]))
    return f"{len(places(structure(details, floor_of(details))))} places"


def main() -> None:
    """Print the table of docs/domains.md."""
    argparse.ArgumentParser(
        prog="python -m benchmarks.watermarks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    ).parse_args()
    plain = crops()
    print(f"| none | | {lettering(plain)} | {fixed(plain)} |")
    for name, draw in KINDS.items():
        for opacity in OPACITIES:
            rng = np.random.default_rng(0)
            each = [marked(picture, draw(rng), opacity) for picture in plain]
            same = draw(np.random.default_rng(3))
            some = [marked(picture, same, opacity) for picture in plain[:MARKED]] + plain[MARKED:]
            print(f"| {name} | {opacity:.0%} | {lettering(each)} | {fixed(some)} |", flush=True)


if __name__ == "__main__":
    main()
