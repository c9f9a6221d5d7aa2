"""An array in a file without a name is the array that was written, and leaves nothing behind."""

from pathlib import Path

import numpy as np
import pytest

from melaudit.audit.measure import laid_out
from melaudit.audit.measure.laid_out import LaidOut
from melaudit.errors import StoreError

STATUS = Path("/proc/self/status")


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


@pytest.mark.skipif(not STATUS.exists(), reason="only Linux tells what of a file is in memory")
@pytest.mark.parametrize("scattered", [False, True])
def test_what_was_taken_goes_out_of_memory_again(
    tmp_path: Path, scattered: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(laid_out, "HELD", 2**20)
    written = np.random.default_rng(0).integers(0, 255, (64 * 256, 4096), np.uint8)  # 64 MB
    array = LaidOut(tmp_path, [written]).array()
    view = array[:9]
    before, most = of_files(), 0
    order = np.random.default_rng(1).permutation(len(array)) if scattered else np.arange(len(array))
    for start in range(0, len(array), 256):
        rows = order[start : start + 256]
        taken = array[rows] if scattered else array[start : start + 256]
        assert type(taken) is np.ndarray
        np.testing.assert_array_equal(taken, written[rows])
        most = max(most, of_files() - before)
    assert most <= 32 * 2**20
    np.testing.assert_array_equal(view, written[:9])


def of_files() -> int:
    """Return how much of files is in this process's memory, in bytes."""
    (line,) = [line for line in STATUS.read_text("ascii").splitlines() if "RssFile" in line]
    return int(line.split()[1]) * 1024
