"""Registers: how much of the maps lies on tokens that stand for no place of the image?

Looks for: tokens of a transformer whose norm is far beyond that of the others. Large models keep
there what they know of the whole image, mostly at places where nothing is to be seen.

Why: such a token's relevance is about the whole image, but the map shows it at the token's place.
A model then seems to look at the border, or at the background, without doing so: on ViT-B about a
quarter of the relevance was seen on 2 % of the patches.

How: at the layer of the concepts, a token counts if its norm is beyond the mean of the image's
tokens by more than 4 standard deviations. The share of the map's absolute relevance on these tokens
is averaged over all images. Up to 5 % passes, more is degraded. Wherever there is any, each claim
on where the model looks is made a second time with maps from which these tokens are taken out: a
claim of attention alone that does not hold both ways is not made. A model without tokens: skipped.

Do instead: rest on what editing the artifacts shows, or train with registers that the model has by
design.

Reference: Darcet et al., Vision Transformers Need Registers, ICLR 2024.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from melaudit.detectors.checks.grading import grade
from melaudit.detectors.interface import Batch, Detector, Result
from melaudit.detectors.measures.regions import pooled, shares
from melaudit.findings import Check, CheckStatus, Skipped, Subject
from melaudit.measurements import GRID, Array, Measurements
from melaudit.wording.sentences import many, percent


@dataclass(frozen=True)
class RegisterTokens(Detector):
    """Check that maps do not lie on tokens which stand for no place."""

    id = "register_tokens"
    title = "Maps show places, not registers"
    subject = Subject.EXPLANATIONS
    asks = "How much of the map lies on tokens of unusual norm?"
    why = (
        "A transformer keeps there what it knows of the whole image. A map that is bright at such "
        "a token does not say that the model looks at its place."
    )

    most: tuple[float, float] = (0.05, 1.0)
    """Largest mean share of relevance on them that passes, and that is degraded: all beyond."""

    def measure(self, batch: Batch) -> Mapping[str, Array]:
        """Return the share of relevance on registers, the area, and where they are.

        `share` and `area` are (N,), NaN for a model without tokens; `cells` (N, GRID, GRID) in
        255ths.
        """
        relevance, registers = batch.maps.relevance, batch.maps.registers
        share, area = (np.full(len(batch), np.nan, np.float32) for _ in range(2))
        cells = np.zeros((len(batch), GRID, GRID), np.uint8)
        for i in range(len(batch) if registers is not None else 0):
            assert registers is not None
            coverage = spread(registers[i], *relevance.shape[1:])
            on_them = shares(relevance[i], coverage)
            share[i], area[i] = on_them.absolute, on_them.area
            cells[i] = pooled(coverage)
        return {"share": share, "area": area, "cells": cells}

    def conclude(self, measurements: Measurements) -> Sequence[Result]:
        """Judge by the mean image."""
        share, area = (measurements[f"{self.id}.{name}"] for name in ("share", "area"))
        known = np.isfinite(share)
        if not known.any():
            reason = "the model has no layer of tokens that lie on a grid"
            return [Skipped(self.id, reason)]
        value = float(share[known].mean(dtype=np.float64))
        with_any = int((area[known] > 0).sum())
        of = many(int(known.sum()), "image")
        if not with_any:
            statement = f"No token of {of} stands out by its norm (mean + 4 standard deviations)."
            return [Check(self.id, CheckStatus.PASS, value, self.most[0], statement)]
        status = grade(value <= self.most[0], value <= self.most[1])
        covered = percent(float(area[known].mean(dtype=np.float64)))
        statement = (
            f"{percent(value)} of the relevance lies on tokens that stand out by their norm "
            f"({covered} of the area; mean of {of}, {with_any:,} of which have such a token)."
        )
        if status is CheckStatus.PASS:
            statement += " That is too little to change where a map points."
        else:
            statement += (
                " They hold what the model knows of the whole image, so a bright spot there is no "
                "look at the place. Claims of attention alone are made only where they hold "
                "without these tokens too."
            )
        return [Check(self.id, status, value, self.most[0], statement)]


def spread(tokens: Array, height: int, width: int) -> Array:
    """Return which pixels (height, width) belong to tokens (h, w) that are true: 0 or 1."""
    grid = torch.from_numpy(np.asarray(tokens, np.float32))[None, None]
    pixels: Array = torch.nn.functional.interpolate(grid, (height, width))[0, 0].numpy()
    return pixels
