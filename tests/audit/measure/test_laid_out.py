"""An array in a file without a name is the array that was written, and leaves nothing behind."""

from pathlib import Path

import numpy as np
import pytest

from melaudit.audit.measure.laid_out import LaidOut
from melaudit.errors import StoreError


@pytest.mark.parametrize("kind", ["float16", "bool", "uint8", "float64"])
def test_chunks_come_back_as_one_array(tmp_path: Path, kind: str) -> None:
    whole = np.random.default_rng(0).integers(0, 2, (700, 4, 3)).astype(kind)
    laid = LaidOut(tmp_path, iter([whole[:1], whole[1:1], whole[1:600], whole[600:]]))
    for _ in range(2):
        assert laid.array().dtype == whole.dtype
        np.testing.assert_array_equal(laid.array(), whole)
    assert list(tmp_path.iterdir()) == []


def test_a_slice_of_fortran_order_is_written_in_the_order_of_its_rows(tmp_path: Path) -> None:
    whole = np.asfortranarray(np.arange(12.0).reshape(4, 3))
    np.testing.assert_array_equal(LaidOut(tmp_path, [whole]).array(), whole)


def test_it_is_read_only_and_outlives_its_maker(tmp_path: Path) -> None:
    kept = LaidOut(tmp_path, [np.ones((2, 2))]).array()
    assert kept.sum() == 4
    with pytest.raises(ValueError, match="read-only"):
        kept[0, 0] = 2


def test_nothing_is_laid_out_as_nothing(tmp_path: Path) -> None:
    assert LaidOut(tmp_path, [np.ones((0, 5), np.float32)]).array().shape == (0, 5)


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="free space there, and run the same command again"):
        LaidOut(tmp_path / "gone", [np.ones((2, 2))])
