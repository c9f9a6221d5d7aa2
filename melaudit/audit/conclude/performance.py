"""How well the model does on the labelled images, and whether that can be right at all."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import confusion_matrix, roc_auc_score

from melaudit.audit.conclude.class_order import better_order
from melaudit.findings import ClassPerformance, Performance
from melaudit.statistics.estimates import proportion
from melaudit.wording.names import as_option

MIN_IMAGES = 20
"""Labelled images from which performance can raise a doubt. Chosen: a round figure, not measured.
"""
_MAX_SHOWN = 100
"""Classes that a sentence lists."""
_MIN_DISTANCE = 0.05
"""Mean recall from chance that counts, however many images there are. Chosen: a round figure, not
measured."""


def performance(
    labels: NDArray[np.int64],
    predictions: NDArray[np.int64],
    probabilities: NDArray[np.float32],
    classes: tuple[str, ...],
    positive: int | None,
) -> Performance:
    """Summarise labels (n,), predictions (n,) and probabilities (n, classes).

    Rows with label -1 do not count. Intervals are Wilson's, 95 %.
    """
    known = labels >= 0
    labels, predictions, probabilities = labels[known], predictions[known], probabilities[known]
    n = len(labels)
    if n == 0:
        return Performance(0, None, None, None, None, None, (), ())
    confusion = confusion_matrix(labels, predictions, labels=range(len(classes)))
    accuracy, low, high = _proportion(int(np.trace(confusion)), n)
    return Performance(
        n=n,
        accuracy=accuracy,
        accuracy_low=low,
        accuracy_high=high,
        auc=_auc(labels, probabilities, positive),
        chance=float(confusion.sum(1).max() / n),
        per_class=tuple(_per_class(confusion, i, name) for i, name in enumerate(classes)),
        confusion=tuple(tuple(int(v) for v in row) for row in confusion),
    )


def doubts(result: Performance) -> str | None:
    """Say why model, classes or preprocessing are probably wrong, or None when they look right.

    The measure is the mean recall over classes (balanced accuracy), which unequal class sizes
    cannot flatter: near 1 / classes means the predictions do not follow the labels. High accuracy
    is no proof of the order either: another order may still fit clearly better.
    """
    present = [c for c in result.per_class if c.recall is not None]
    if result.n < MIN_IMAGES or len(present) < 2:
        return None
    recalls = [c.recall for c in present if c.recall is not None]
    balanced = float(np.mean(recalls))
    chance = 1 / len(recalls)
    figure = f"the mean recall over classes is {balanced:.3f}, chance is {chance:.3f}"
    names = tuple(c.name for c in result.per_class)
    better = better_order(result.confusion, names)
    if better is not None:
        return (
            "Another order of the classes fits the predictions clearly better: the mean recall "
            f"over classes is {balanced:.3f} (chance: {chance:.3f}), but {better.recall:.3f} with "
            f"--classes {_shown(better.classes)}. If the model was trained with that order, run "
            "again with this option."
        )
    margin = 2 * _standard_error(present)
    if balanced > chance + max(_MIN_DISTANCE, margin):
        return None
    if balanced < chance - max(_MIN_DISTANCE, margin):
        return (
            f"Predictions contradict the labels ({figure}): the class order is probably wrong. "
            f"It is taken to be {_shown(names)}; name the classes in the order of the model's "
            "outputs with --classes."
        )
    if balanced > chance + 2 * _MIN_DISTANCE:
        fewest = min(present, key=lambda c: c.n)
        return (
            f"There are too few images to tell the predictions from chance ({figure}, with a "
            f"margin of {margin:.3f}; {fewest.name} has {fewest.n}): run on more images."
        )
    return (
        f"Accuracy is near chance ({figure}): model, classes or preprocessing are probably wrong. "
        "Name the classes as the model's outputs have them (--classes), and give the --image-size, "
        "--mean, --std and --crop of its training."
    )


def _shown(order: tuple[str, ...]) -> str:
    if len(order) <= _MAX_SHOWN:
        return as_option(order)
    return f"{as_option(order[:_MAX_SHOWN])},... ({len(order)} in all)"


def _standard_error(present: Sequence[ClassPerformance]) -> float:
    """Return the standard error of the mean recall over classes that have images.

    Each recall counts as if one more image had been right and one more wrong (Laplace), because a
    recall of 0 or 1 on few images is not certain.
    """
    variances = []
    for c in present:
        assert c.recall is not None
        smoothed = (c.recall * c.n + 1) / (c.n + 2)
        variances.append(smoothed * (1 - smoothed) / c.n)
    return float(np.sqrt(sum(variances)) / len(present))


def _proportion(hits: int, n: int) -> tuple[float | None, float | None, float | None]:
    if n == 0:
        return None, None, None
    share = proportion(hits, n)
    return share.value, share.low, share.high


def _per_class(confusion: NDArray[np.int64], index: int, name: str) -> ClassPerformance:
    hits, n = int(confusion[index, index]), int(confusion[index].sum())
    recall, low, high = _proportion(hits, n)
    predicted = int(confusion[:, index].sum())
    return ClassPerformance(name, n, recall, low, high, hits / predicted if predicted else None)


def _auc(
    labels: NDArray[np.int64], probabilities: NDArray[np.float32], positive: int | None
) -> float | None:
    present = np.unique(labels)
    if len(present) < 2 or not np.isfinite(probabilities).all():
        return None
    if probabilities.shape[1] == 2 or positive is not None:
        column = 1 if positive is None else positive
        if column not in present:
            return None
        return float(roc_auc_score(labels == column, probabilities[:, column]))
    scores = [roc_auc_score(labels == c, probabilities[:, c]) for c in present]
    return float(np.mean(scores))
