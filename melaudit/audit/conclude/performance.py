"""How well the model does on the labelled images, and whether that can be right at all."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import confusion_matrix, roc_auc_score

from melaudit.findings import ClassPerformance, Performance
from melaudit.statistics.estimates import proportion


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
    cannot flatter: near 1 / classes means the predictions do not follow the labels.
    """
    recalls = [c.recall for c in result.per_class if c.recall is not None]
    if result.n < 20 or len(recalls) < 2:
        return None
    balanced = float(np.mean(recalls))
    chance = 1 / len(recalls)
    # Two standard errors of a mean of recalls; a good model is far beyond on 20 images.
    margin = 2 * float(
        np.sqrt(sum(r * (1 - r) / c.n for r, c in zip(recalls, _present(result), strict=True)))
        / len(recalls)
    )
    if balanced > chance + max(0.05, margin):
        return None
    figure = f"the mean recall over classes is {balanced:.3f}, chance is {chance:.3f}"
    if balanced < chance - max(0.05, margin):
        return f"Predictions contradict the labels ({figure}): the class order is probably wrong."
    return (
        f"Accuracy is near chance ({figure}): model, classes or preprocessing are probably wrong."
    )


def _present(result: Performance) -> list[ClassPerformance]:
    return [c for c in result.per_class if c.recall is not None]


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
