"""Drawn pictures that are not dermoscopy: chest radiographs, slices of a head, small photographs.

They are made to be told apart by what a domain goes by, and to train small models on. Nobody would
take them for real ones.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

RGB = NDArray[np.uint8]

TILE_CLASSES = (*("bird", "car", "cat", "deer", "dog", "frog", "horse", "plane", "ship", "truck"),)
"""What the ten shapes of `tile` are called, in the order of folders."""


def _smooth(side: int, grain: float, rng: np.random.Generator) -> NDArray[np.float32]:
    noise = cv2.GaussianBlur(rng.normal(size=(side, side)).astype(np.float32), (0, 0), grain)
    return np.asarray(noise / max(float(noise.std()), 1e-6), np.float32)


def _ellipse(
    side: int, x: float, y: float, wide: float, high: float, turn: float = 0.0, soft: float = 0.01
) -> NDArray[np.float32]:
    """Return a soft ellipse (side, side), 0 to 1; lengths are shares of the side."""
    drawn = np.zeros((4 * side, 4 * side), np.uint8)
    centre, axes = (
        (round(4 * side * x), round(4 * side * y)),
        (
            round(4 * side * wide),
            round(4 * side * high),
        ),
    )
    cv2.ellipse(drawn, centre, axes, turn, 0, 360, 255, -1, cv2.LINE_AA)
    small = cv2.resize(drawn, (side, side), interpolation=cv2.INTER_AREA).astype(np.float32)
    return np.asarray(cv2.GaussianBlur(small / 255, (0, 0), max(soft * side, 0.5)), np.float32)


def _grey(light: NDArray[np.float32]) -> RGB:
    level = np.clip(light, 0, 255).astype(np.uint8)
    return np.repeat(level[..., None], 3, 2)


def radiograph(rng: np.random.Generator, opacity: bool, side: int = 160) -> RGB:
    """Return a chest radiograph (side, side, 3) from the front, perhaps with an opacity in a lung.

    Air is black and bone is bright. The opacity is faint: small models learn it, not perfectly.
    """
    jitter = rng.normal(0, 0.012, 8)
    light = np.full((side, side), rng.uniform(8, 22), np.float32)
    body = np.maximum(
        _ellipse(side, 0.5, 0.66 + jitter[0], 0.47 + jitter[1], 0.56, soft=0.015),
        _ellipse(side, 0.5, 0.06, 0.13, 0.2, soft=0.015),
    )
    light += body * rng.uniform(135, 165)
    lungs = np.zeros((side, side), np.float32)
    for sign in (-1, 1):
        x = 0.5 + sign * (0.2 + jitter[2])
        lung = _ellipse(side, x, 0.48 + jitter[3], 0.135 + jitter[4], 0.29, -7 * sign, 0.012)
        lungs = np.maximum(lungs, lung)
    light -= lungs * rng.uniform(80, 100)
    for k in range(8):  # ribs
        y = 0.26 + 0.065 * k + jitter[5]
        for sign in (-1, 1):
            arc = np.zeros((side, side), np.uint8)
            centre = (round(side * (0.5 + sign * 0.06)), round(side * (y + 0.1)))
            axes = (round(side * 0.33), round(side * 0.12))
            start, end = (200, 275) if sign < 0 else (265, 340)
            cv2.ellipse(arc, centre, axes, 0, start, end, 255, max(1, side // 60), cv2.LINE_AA)
            light += cv2.GaussianBlur(arc.astype(np.float32) / 255, (0, 0), 0.006 * side) * 22
    spine = np.exp(-(((np.arange(side) + 0.5) / side - 0.5) ** 2) / (2 * 0.03**2))
    light += body * (28 * spine[None]).astype(np.float32)
    light += 55 * _ellipse(side, 0.55 + jitter[6], 0.66, 0.12 + jitter[7], 0.13, 20, 0.02)  # heart
    if opacity:
        x = 0.5 + rng.choice([-1, 1]) * rng.uniform(0.15, 0.24)
        y, (wide, high) = rng.uniform(0.38, 0.64), rng.uniform(0.05, 0.09, 2)
        cloud = _ellipse(side, x, y, wide, high, soft=0.03)
        light += rng.uniform(22, 60) * cloud * (1 + 0.15 * _smooth(side, 0.02 * side, rng))
    light += 4 * _smooth(side, 0.05 * side, rng) + rng.normal(0, 4, (side, side)).astype(np.float32)
    return _grey(light)


def head(rng: np.random.Generator, tumour: bool, side: int = 128) -> RGB:
    """Return a slice of a head (side, side, 3) before black, perhaps with a bright tumour."""
    jitter = rng.normal(0, 0.01, 6)
    wide, high = 0.36 + jitter[0], 0.42 + jitter[1]
    x, y = 0.5 + jitter[2], 0.5 + jitter[3]
    light = np.full((side, side), 3, np.float32)
    light += 150 * _ellipse(side, x, y, wide, high)
    light -= 110 * _ellipse(side, x, y, wide - 0.025, high - 0.025)
    brain = _ellipse(side, x, y, wide - 0.05, high - 0.05)
    light += brain * (60 + 14 * _smooth(side, 0.022 * side, rng))
    for sign in (-1, 1):
        ventricle = _ellipse(side, x + sign * 0.06, y, 0.03, 0.1 + jitter[4], -12 * sign)
        light -= 55 * ventricle
    if tumour:
        angle, far = rng.uniform(0, 2 * np.pi), rng.uniform(0.1, 0.2)
        x, y = x + far * np.cos(angle), y + far * np.sin(angle)
        across, down = rng.uniform(0.04, 0.08, 2)
        light += rng.uniform(50, 95) * _ellipse(side, x, y, across, down, soft=0.015)
    light += rng.normal(0, 3, (side, side)).astype(np.float32)
    return _grey(light)


def tile(rng: np.random.Generator, target: int, side: int = 32) -> RGB:
    """Return a small photograph (side, side, 3): one of ten shapes before a coloured ground."""
    ground = rng.uniform(40, 215, 3)
    fill = (ground + rng.uniform(70, 130, 3) * rng.choice([-1, 1], 3)).clip(0, 255)
    image = ground + 14 * _smooth(side, side / 10, rng)[..., None] * rng.uniform(0.4, 1, 3)
    size, x, y = rng.uniform(0.26, 0.36), *rng.uniform(0.42, 0.58, 2)
    fine = np.zeros((8 * side, 8 * side), np.uint8)
    corners, hollow = 3 + target % 5, target >= 5
    turns = 2 * np.pi * np.arange(corners) / corners + rng.uniform(-0.2, 0.2) - np.pi / 2
    points = np.stack([x + size * np.cos(turns), y + size * np.sin(turns)], 1) * 8 * side
    cv2.fillPoly(fine, [np.round(points).astype(np.int32)], 255, cv2.LINE_AA)
    if hollow:
        inner = (points - (8 * side * x, 8 * side * y)) * 0.5 + (8 * side * x, 8 * side * y)
        cv2.fillPoly(fine, [np.round(inner).astype(np.int32)], 0, cv2.LINE_AA)
    shape = cv2.resize(fine, (side, side), interpolation=cv2.INTER_AREA)[..., None] / 255
    image = image * (1 - shape) + fill * shape + rng.normal(0, 6, (side, side, 3))
    return np.asarray(np.clip(image, 0, 255), np.uint8)
