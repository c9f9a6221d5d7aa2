"""One image explained: what the model says, where it looks, and which channels carry it.

Grad-CAM, which shares nothing with LRP but the model, stands beside it as a second opinion.
"""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from melaudit.audit.exhibits.channels import Place, View
from melaudit.audit.method import explain, suited
from melaudit.audit.prepare.configuration import Configuration
from melaudit.audit.prepare.labels import is_multi_label
from melaudit.audit.prepare.model_outputs import (
    answering,
    answers_of,
    operated,
    strongest_output,
    understood,
)
from melaudit.audit.prepare.preparation import choose_positive, load
from melaudit.audit.prepare.reader import reading
from melaudit.errors import ConfigurationError, DatasetError, RelevanceError
from melaudit.images.grey_depth import white_of
from melaudit.logits import predictions
from melaudit.relevance import Explainer
from melaudit.relevance.agreement import agreement
from melaudit.relevance.attention import SUMS_TO_ONE, Attention
from melaudit.relevance.model.layers import HEADS
from melaudit.relevance.model.outputs import probabilities
from melaudit.reports.page.panel import Tile, panel
from melaudit.wording.sentences import percent


def explain_image(
    configuration: Configuration,
    image: Path,
    *,
    target: str | None = None,
    channels: int = 6,
    place: Place | None = None,
) -> tuple[bytes, list[str]]:
    """Return a PNG with the photograph and its maps side by side, and notes.

    The maps: LRP, Grad-CAM, Grad-CAM with the model's own attention over channels where it has
    any, and the strongest channels' (CRP), chosen by relevance, or by relevance times attention, or
    by their relevance in one place of the image.
    `configuration.data` is not used. `target` is a class name or index; None takes the predicted
    class. Raises a MelauditError for everything a user can mend.
    """
    with reading(configuration.workers) as read:
        loaded, preprocessing, device = load(configuration)
        white, said = white_of([str(image)], given=configuration.white)
        preprocessing = replace(preprocessing, white=white)
        decoded = read(str(image), white=white)
    loaded = loaded.with_output(
        configuration.output, len(configuration.classes) if configuration.classes else None
    )
    if decoded.image is None:
        raise DatasetError(f"{image} cannot be read ({', '.join(decoded.reasons)})")
    names = configuration.classes or loaded.class_names
    classes = names or tuple(f"class {i}" for i in range(loaded.num_classes))
    x = preprocessing.apply(decoded.image)[None].to(device)
    loaded.model.to(device)
    # One image is tried among others all the same: its own mirror image stands for these.
    pair = torch.cat([x, x.flip(3)])
    if is_multi_label(configuration.task, answers_of(loaded, pair), loaded.outputs, marked=0):
        label = strongest_output(loaded, x) if target is None else _class(target, classes)
        loaded = answering(loaded, label)
        classes, target = (f"no {classes[label]}", classes[label]), classes[label]
    loaded = understood(loaded, pair, configuration.outputs)
    positive, _ = choose_positive(classes, configuration.positive)
    loaded = operated(loaded, configuration.threshold, positive, classes)
    notes = [
        f"{loaded.name} is {loaded.architecture}",
        preprocessing.describe(),
        *loaded.doubts,
        *loaded.notes,
        *preprocessing.warnings,
        *said,
    ]
    configuration = suited(configuration, loaded, device, x)
    with explain(configuration, loaded, device) as explainer:
        asked = None if target is None else torch.tensor([_class(target, classes)])
        tiles = [Tile("image", "as the model's input shows it" if preprocessing.reframes else "")]
        layer = _layer(configuration, explainer, x, notes)
        attribution = explainer.attribute(x, asked, [layer] if layer else [])
        explained = predictions(attribution.logits) if asked is None else asked
        index = int(explained[0])
        sure = float(probabilities(attribution.logits, loaded.shift)[0, index])
        total, start = float(attribution.maps.sum()), float(attribution.start[0])
        notes.append(f"{classes[index]}: probability {sure:.3f}, logit {start:+.3f}")
        notes.append(explainer.describe())
        held = f"map holds {total / start:.2f} of the logit" if start else "the logit is zero"
        method = "LRP" if explainer.conserves else configuration.engine.replace("_", " ")
        title = f"{method} for {classes[index]} ({percent(sure)})"
        tiles.append(Tile(title, held, _array(attribution.maps[0])))
        if layer:
            attention = explainer.attention(x, layer)
            tiles += _grad_cams(explainer, x, explained, layer, attention, attribution.maps, notes)
            weights = None if attention is None else attention.weights[0]
            view = View(explainer, x, explained.to(device), layer, start)
            try:
                tiles += (
                    view.strongest(attribution.concepts[layer][0], weights, channels)
                    if place is None
                    else view.looking(place, channels, notes)
                )
            except RelevanceError as error:
                notes.append(f"no channels are shown: {error}")
    seen = preprocessing.frame(decoded.image) if preprocessing.reframes else decoded.image
    return panel(seen, tiles), notes


def _grad_cams(
    explainer: Explainer,
    x: torch.Tensor,
    explained: torch.Tensor,
    layer: str,
    attention: Attention | None,
    lrp: torch.Tensor,
    notes: list[str],
) -> list[Tile]:
    """Return the tiles of Grad-CAM without and with attention, and note how far they agree."""
    try:
        cam = explainer.grad_cam(x, explained, layer)
    except RelevanceError as error:
        notes.append(f"no Grad-CAM: {error}")
        return []
    plain = cam.maps()
    with_lrp = _agreement(plain, lrp)
    height, width = plain.shape[1:]
    notes.append(
        f"Grad-CAM at {layer.removesuffix(HEADS)}: agreement with LRP {with_lrp} (rank correlation "
        f"of what speaks for the class, on {height} x {width} places)"
    )
    tiles = [Tile("Grad-CAM", f"agreement with LRP {with_lrp}", _array(plain[0]))]
    if attention is None:
        return tiles
    weighted = cam.maps(attention.weights)
    with_plain = _agreement(weighted, plain)
    evenness = 1 / float(attention.weights[0].square().sum()) if _is_softmax(attention) else None
    spread = "" if evenness is None else f"; it spreads as if over {evenness:.0f} equal channels"
    notes.append(
        f"attention over channels: {attention.where}{spread}; channels are chosen by relevance "
        "times attention"
    )
    notes.append(
        f"Grad-CAM with attention: agreement with plain Grad-CAM {with_plain}, "
        f"with LRP {_agreement(weighted, lrp)}"
    )
    note = f"agreement with Grad-CAM {with_plain}"
    return [*tiles, Tile("Grad-CAM with attention", note, _array(weighted[0]))]


def _agreement(a: torch.Tensor, b: torch.Tensor) -> str:
    value = float(agreement(a, b)[0])
    return "unknown (an empty map)" if math.isnan(value) else f"{value:.2f}"


def _is_softmax(attention: Attention) -> bool:
    return abs(float(attention.weights[0].sum()) - 1) < SUMS_TO_ONE


def _layer(
    configuration: Configuration, explainer: Explainer, x: torch.Tensor, notes: list[str]
) -> str | None:
    """Return the concept layer, or None with a note when the model has no such layer."""
    if configuration.layer:
        return configuration.layer
    try:
        return explainer.choose_layer(x)
    except RelevanceError as error:
        notes.append(f"no channels are shown: {error}")
        return None


def _class(target: str, classes: tuple[str, ...]) -> int:
    if target in classes:
        return classes.index(target)
    if target.isdecimal() and int(target) < len(classes):
        return int(target)
    raise ConfigurationError(
        f"there is no class {target!r}; choose one of {', '.join(classes[:12])} or an index"
    )


def _array(values: torch.Tensor) -> NDArray[np.float32]:
    array: NDArray[np.float32] = values.detach().float().cpu().numpy()
    return array
