"""New weights on made-up features: one tells the class, one the artifact, the rest nothing."""

import numpy as np
import pytest

from melaudit.mitigation import fit
from melaudit.mitigation.groups import Pool

CLASS, ARTIFACT = 0, 1


def _pool(n: int = 600, classes: int = 2, seed: int = 0, rare: float = 0.5) -> Pool:
    """Return pictures in which the artifact goes with the last class, unless `rare` is .5."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, n)
    present = rng.random(n) < np.where(labels == classes - 1, 1 - rare, rare)
    features = rng.normal(0, 1, (n, 12)).astype(np.float32)
    features[:, CLASS] += 2.0 * labels
    features[:, ARTIFACT] += 3.0 * present
    return Pool(features, labels, present, np.zeros(n, bool), np.arange(n))


def _shortcut(classes: int = 2) -> fit.Linear:
    """Return a head that goes by the artifact, and a little by the class."""
    slopes = np.zeros((classes, 12))
    slopes[-1, ARTIFACT], slopes[:, CLASS] = 3.0, 0.5 * np.arange(classes)
    offsets = np.zeros(classes)
    offsets[-1] = -4.5
    return fit.Linear(slopes, offsets)


def _follows(made: fit.Linear, feature: int) -> float:
    """Return how far the log-odds of the last class go along a feature, relative to the class."""
    along = made.slopes[-1] - made.slopes[0]
    return float(abs(along[feature]) / max(abs(along[CLASS]), 1e-9))


@pytest.mark.parametrize("keep_old", [True, False])
@pytest.mark.parametrize("classes", [2, 3])
def test_a_balanced_fit_no_longer_goes_by_the_artifact(keep_old: bool, classes: int) -> None:
    pool, old = _pool(classes=classes), _shortcut(classes)
    made = fit.refitted(pool, old, 0, keep_old=keep_old)
    assert _follows(old, ARTIFACT) > 2
    assert _follows(made, ARTIFACT) < 0.2
    assert fit.worst_group(made, pool) > fit.worst_group(old, pool) + 0.2


def test_an_unbalanced_fit_goes_by_the_artifact() -> None:
    """The guilty example: what the balance is for."""
    pool, old = _pool(rare=0.03), _shortcut()
    assert _follows(fit.plain(pool, old, 0), ARTIFACT) > 2 * _follows(
        fit.refitted(pool, old, 0), ARTIFACT
    )


def test_a_fit_is_the_same_for_the_same_seed_and_leaves_a_sound_head_sound() -> None:
    pool = _pool()
    sound = fit.Linear(np.zeros((2, 12)), np.array([0.0, -2.0]))
    sound.slopes[1, CLASS] = 2.0
    one, other = (fit.refitted(pool, sound, 3) for _ in range(2))
    np.testing.assert_array_equal(one.slopes, other.slopes)
    assert fit.worst_group(one, pool) > fit.worst_group(sound, pool) - 0.05


def test_the_old_logits_as_features_are_folded_back_exactly() -> None:
    """The oracle fits scikit-learn on the same columns and asks it for its own probabilities."""
    from sklearn.linear_model import LogisticRegression

    pool, old = _pool(200), _shortcut()
    made = fit._fitted(pool, old, 0.3, keep_old=True)

    x = pool.features.astype(float)
    scaled = (x - x.mean(0)) / x.std(0)
    before = x @ old.slopes.T + old.offsets
    before -= before.mean(1, keepdims=True)
    columns = np.hstack([scaled, fit.KEPT * before / before.std()])
    oracle = LogisticRegression(
        C=0.3, l1_ratio=1.0, solver="liblinear", intercept_scaling=fit.KEPT, max_iter=fit.STEPS
    ).fit(columns, pool.labels)

    logits = made(pool.features)
    np.testing.assert_allclose(
        1 / (1 + np.exp(logits[:, 0] - logits[:, 1])),
        oracle.predict_proba(columns)[:, 1],
        atol=2e-3,
    )


def test_projection_makes_the_head_blind_along_the_direction_of_the_artifact() -> None:
    pool, old = _pool(4000), _shortcut()
    made = fit.projected(pool, old, 2)
    shown = pool.features[pool.present].mean(0) - pool.features[~pool.present].mean(0)
    # Both classes have the artifact as often here, so the plain difference is its direction too.
    before, after = (float((m.slopes[1] - m.slopes[0]) @ shown) for m in (old, made))
    assert abs(after) < 0.05 * abs(before)


def test_suppression_leaves_out_the_feature_of_the_artifact() -> None:
    pool, old = _pool(), _shortcut()
    made = fit.suppressed(pool, old, 2)
    assert made.slopes[1, ARTIFACT] == 0
    assert made.slopes[1, CLASS] == old.slopes[1, CLASS]
    usual = pool.features[~pool.present].mean(0, dtype=float)
    np.testing.assert_allclose(made(usual[None]), old(usual[None]), atol=1e-9)
