"""A record such as that audit leaves, with drawn pictures."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from melaudit.findings import (
    Cluster,
)
from melaudit.reports.interface import (
    ConceptStrip,
    ConceptView,
    Curve,
    Detail,
    Edit,
    Exhibit,
    Group,
    Landscape,
    PartView,
    Record,
    SecondOpinion,
    Series,
    Version,
)
from tests.reports.made_up_findings import BENIGN, RINGED, findings

SIDE = 64


def picture(seed: int, *, ring: bool = False, side: int = SIDE) -> bytes:
    """Draw a lesion on skin, with or without the dermatoscope's ring, as WebP."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[-1 : 1 : side * 1j, -1 : 1 : side * 1j]
    pixels = np.array([216.0, 176, 156]) + rng.normal(0, 5, (side, side, 3))
    lesion = (x - rng.uniform(-0.2, 0.2)) ** 2 + (y / rng.uniform(0.7, 1)) ** 2 < 0.18
    pixels[lesion] -= [96, 104, 96]
    if ring:
        pixels[x**2 + y**2 > 1.05] = 6
    out = io.BytesIO()
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(out, "WEBP", quality=75)
    return out.getvalue()


def relevance(seed: int, *, ring: bool = False, side: int = SIDE) -> NDArray[np.float16]:
    """Make up a signed map: on the rim for a ring, else on the lesion."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[-1 : 1 : side * 1j, -1 : 1 : side * 1j]
    radius = x**2 + y**2
    shape = np.exp(-(((radius - 1.05) / 0.1) ** 2)) if ring else np.exp(-radius / 0.12)
    values = shape * rng.uniform(0.2, 1, (side, side)) - 0.06 * rng.uniform(0, 1, (side, side))
    scaled: NDArray[np.float16] = (values / np.abs(values).max()).astype(np.float16)
    return scaled


def exhibit(image: str, seed: int, label: str | None, prediction: str, **kind: Any) -> Exhibit:
    """Return an exhibit with a drawn picture."""
    return Exhibit(
        id=image,
        label=label,
        prediction=prediction,
        probability=0.5 + (seed * 37 % 50) / 100,
        picture=picture(seed, **kind),
        relevance=relevance(seed, **kind),
    )


def record() -> Record:
    """Return a whole record, as `findings` says it."""
    ringed = {i: exhibit(i, k, "malignant", "malignant", ring=True) for k, i in enumerate(RINGED)}
    benign = {
        i: exhibit(i, 40 + k, "benign", "malignant" if k % 4 == 3 else "benign")
        for k, i in enumerate(BENIGN)
    }
    coarse = np.linspace(0, 1, 16, dtype=np.float16).reshape(4, 4)
    maps = np.stack([relevance(k, ring=k % 2 == 0) * s for k, s in enumerate((1, 0.4, 0.02))])
    dose = (0.0, 0.25, 0.5, 0.75, 1.0)
    return Record(
        findings=findings(),
        exhibits={**ringed, **benign},
        gallery=(
            Group("Malignant, predicted malignant", "True positives.", RINGED[:4]),
            Group("Benign, predicted malignant", "False positives.", BENIGN[3::4]),
        ),
        mean_maps={"M-1": relevance(1, ring=True, side=32), "B-1": relevance(2, side=32)},
        strips=(ConceptStrip(RINGED[0], "layer4.2", (1203, 88, 411), (0.082, 0.041, 0.001), maps),),
        opinions=(
            SecondOpinion(
                RINGED[0],
                "layer4.2",
                coarse,
                0.514,
                coarse**2,
                0.976,
                "returned beside the logits: weights that sum to 1, 2048 channels",
            ),
        ),
        edits=(
            Edit(
                "dark_ring.malignant",
                BENIGN[0],
                "malignant",
                (
                    Version("as it is", picture(40), 0.04),
                    Version("black ring painted on", picture(40, ring=True), 0.9996),
                    Version("placebo: ring of skin colour", picture(41), 0.04),
                ),
            ),
        ),
        curves=(
            Curve(
                "dark_ring.malignant",
                "The darker the ring, the more malignant the call",
                "darkness of the ring",
                "mean probability of malignant",
                (
                    Series(
                        "black ring",
                        dose,
                        (0.09, 0.3, 0.7, 0.95, 0.99),
                        (0.06, 0.25, 0.63, 0.91, 0.97),
                        (0.13, 0.36, 0.77, 0.98, 1.0),
                    ),
                    Series("placebo", dose, (0.09, 0.1, 0.12, 0.15, 0.2)),
                ),
            ),
        ),
        landscape=landscape(findings().clusters),
        concepts=(
            ConceptView(
                1203,
                "malignant",
                tuple(Detail(i, picture(k, ring=True), coarse) for k, i in enumerate(RINGED[:3])),
            ),
        ),
        parts=(
            PartView(
                findings().clusters[0].id,
                tuple(Detail(i, picture(k, ring=True), coarse) for k, i in enumerate(RINGED[3:5])),
            ),
        ),
    )


def landscape(clusters: tuple[Cluster, ...], images: int = 200) -> Landscape:
    """Return made-up places: an island per cluster, and a fifth of the images in none."""
    rng = np.random.default_rng(3)
    of = [k % (len(clusters) + 1) for k in range(images)]
    known = [clusters[k] if k < len(clusters) else None for k in of]
    called = [c.predicted if c else "benign" for c in known]
    return Landscape(
        how="The two directions in which decisions differ most; they hold 61 % of the differences.",
        images=tuple(f"point_{k:04d}.jpg" for k in range(images)),
        x=tuple(float(3 * k + rng.normal()) for k in of),
        y=tuple(float(2 * (k % 2) + rng.normal()) for k in of),
        clusters=tuple(c.id if c else None for c in known),
        predictions=tuple(called),
        labels=tuple("benign" if k % 9 == 0 else c for k, c in enumerate(called)),
        of=images * 5,
    )
