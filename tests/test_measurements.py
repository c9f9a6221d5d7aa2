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
    np.testing.assert_array_equal(np.asarray(some), whole)


def test_of_some_images_a_large_column_is_read_when_rows_are_taken() -> None:
    rng = np.random.default_rng(0)
    columns = {"a.score": rng.random(6), "relevance.positive": rng.random((6, 4, 4))}
    columns["relevance.negative"] = rng.random((6, 4, 4))
    none = np.zeros(6, np.int64)
    table = Measurements(
        ids=tuple("abcdef"), labels=none, predictions=none, targets=none,
        logits=np.zeros((6, 2), np.float32), classes=("a", "b"), positive=None,
        columns=columns.__getitem__, layer="", explanations=Trust.TRUSTED, seed=0,
    )  # fmt: skip
    some = table.of(np.array([False, True, True, False, True, True]))
    assert some.ids == ("b", "c", "e", "f")
    np.testing.assert_array_equal(some["a.score"], columns["a.score"][[1, 2, 4, 5]])
    assert type(some["relevance.positive"]).__name__ == "SomeRows"
    rows = np.array([3, 0])
    np.testing.assert_array_equal(
        some["relevance.positive"][rows], columns["relevance.positive"][[5, 1]]
    )
    np.testing.assert_array_equal(
        some.absolute_shares(rows), table.absolute_shares(np.array([5, 1]))
    )
    fewer = some.of(np.array([True, False, False, True]))
    np.testing.assert_array_equal(
        fewer.absolute_shares(np.array([1])), table.absolute_shares(np.array([5]))
    )
