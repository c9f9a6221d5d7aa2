"""Decisions before and after an edit: log-odds, predicted class, and the edit that does nothing."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from melaudit.logits import per_class, predictions
from melaudit.measurements import Edit, Trials

LEFT_ALONE = "left_alone"
"""Prefix of the ids of the placebo that every edit has: the picture left alone."""


Logits = NDArray[np.float32]


Rows = NDArray[np.int64]


Values = NDArray[np.float64]


def log_odds(logits: Logits, target: int) -> Values:
    """Return the log-odds (m,) of a class from logits (m, K)."""
    values = per_class(logits.astype(np.float64))
    others = np.delete(values, target, axis=1)
    # Of one value it is that value, and this is asked often.
    against = others[:, 0] if others.shape[1] == 1 else logsumexp(others, axis=1)
    out: Values = values[:, target] - against
    return out


def all_log_odds(logits: Logits) -> Values:
    """Return the log-odds (m, K) of every class from logits (m, K), at most 50 either way."""
    values = per_class(logits.astype(np.float64))
    total = logsumexp(values, axis=1, keepdims=True)
    share = np.minimum(values - total, -1e-15)  # of the class, as a logarithm
    out: Values = np.clip(share - np.log(-np.expm1(share)), -50, 50)
    return out


def called(logits: Logits | Values, target: int) -> NDArray[np.bool_]:
    """Tell (m,) whether logits (m, K) decide for a class."""
    chosen: NDArray[np.bool_] = predictions(logits) == target
    return chosen


def turned(logits: Logits, target: int, shift: float) -> float:
    """Return the change of the share predicted as a class when all its log-odds move by `shift`.

    Moving the log-odds of a class by d is adding d to its logit, of logits (m, K).
    """
    moved = per_class(logits.astype(np.float64))
    moved[:, target] += shift
    before, after = called(logits, target), called(moved, target)
    return float(after.mean() - before.mean())


def turned_together(logits: Logits | Values, shift: Values) -> Values:
    """Return the change of the share of each class (K,) when all logits move by `shift` (K,).

    logits (m, K) of several classes: where others rise too, fewer decisions go to a class than its
    own log-odds say.
    """
    classes = logits.shape[1]
    before, after = predictions(logits), predictions(logits + shift)
    counts = (np.bincount(each, minlength=classes) / len(logits) for each in (after, before))
    gained, lost = counts
    out: Values = gained - lost
    return out


def left_alone(trials: Trials) -> Trials:
    """Add one more placebo for each edit: the picture left alone.

    Where all placebos move decisions the other way, an artifact that does nothing would seem to
    act beyond them; beyond this one it does not.
    """
    edits, edit, at = list(trials.edits), [trials.edit], [np.arange(len(trials.rows))]
    for name in ("add", "remove"):
        chosen = [i for i, e in enumerate(trials.edits) if e.id == name]
        same = np.flatnonzero(np.isin(trials.edit, chosen))
        if len(same):
            edit.append(np.full(len(same), len(edits)))
            at.append(same)
            edits.append(Edit(f"{LEFT_ALONE}.{name}", "the picture left alone", name))
    rows = np.concatenate(at)
    added = np.arange(len(rows)) >= len(trials.rows)
    return Trials(
        edits=tuple(edits),
        edit=np.concatenate(edit),
        rows=trials.rows[rows],
        dose=trials.dose[rows],
        before=trials.before[rows],
        after=np.where(added[:, None], trials.before[rows], trials.after[rows]),
        distance=np.where(added, np.nan, trials.distance[rows]),
        courses=trials.courses,
    )
