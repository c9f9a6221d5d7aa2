"""Maps without signs: what each cell's share of the absolute relevance is."""

from __future__ import annotations

import numpy as np

from melaudit.findings import Trust
from melaudit.measurements import Measurements, SomeRows


def test_absolute_shares_are_those_of_the_signed_maps() -> None:
    rng = np.random.default_rng(0)
    signed = rng.normal(size=(5, 4, 4))
    signed[3] = 0
    signed /= np.maximum(np.abs(signed).sum((1, 2), keepdims=True), 1)
    columns = {
        "relevance.positive": signed.clip(min=0).astype(np.float16),
        "relevance.negative": -signed.clip(max=0).astype(np.float16),
    }
    none = np.zeros(5, np.int64)
    table = Measurements(
        ids=tuple("abcde"), labels=none, predictions=none, targets=none,
        logits=np.zeros((5, 2), np.float32), classes=("a", "b"), positive=None,
        columns=columns.__getitem__, layer="", explanations=Trust.TRUSTED, seed=0,
    )  # fmt: skip
    shares = table.absolute_shares(np.array([4, 0, 3]))
    assert shares.shape == (3, 16) and shares.dtype == np.float64
    assert np.allclose(shares.sum(1), [1, 1, 0])
    for found, row in zip(shares, (4, 0), strict=False):
        for cell, value in enumerate(signed[row].ravel()):
            assert abs(found[cell] - abs(value) / np.abs(signed[row]).sum()) < 1e-3


def test_some_rows_stand_for_the_array_that_indexing_gives() -> None:
    column = np.random.default_rng(0).normal(size=(9, 4)).astype(np.float16)
    rows = np.array([7, 0, 3, 3])
    some, whole = SomeRows(column, rows), column[rows]
    assert (len(some), some.shape) == (4, whole.shape)
    np.testing.assert_array_equal(some[1:3], whole[1:3])
    np.testing.assert_array_equal(some[np.array([3, 0])], whole[[3, 0]])
