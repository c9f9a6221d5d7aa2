"""What is kept of edits comes back as it was, for its run and its artifact, or not at all."""

from pathlib import Path

import numpy as np
import pytest

from melaudit.audit.edits.trial_store import TrialStore
from melaudit.measurements import Array

ARRAYS: dict[str, Array] = {
    "edits": np.array('[{"id": "add"}]'),
    "rows": np.arange(3),
    "after": np.array([[0.5, -1.0], [2.0, 0.0], [0.0, 0.0]], np.float32),
    "features": np.empty((3, 0), np.float32),
}


def test_arrays_come_back_as_they_were(tmp_path: Path) -> None:
    TrialStore(tmp_path, "run").write("dark_ring", ARRAYS)
    found = TrialStore(tmp_path, "run").read("dark_ring")
    assert found is not None
    assert found.keys() == ARRAYS.keys()
    for name, values in ARRAYS.items():
        assert found[name].dtype == values.dtype
        np.testing.assert_array_equal(found[name], values)


def test_other_runs_and_other_artifacts_do_not_count(tmp_path: Path) -> None:
    TrialStore(tmp_path, "run").write("dark_ring", ARRAYS)
    assert TrialStore(tmp_path, "another").read("dark_ring") is None
    assert TrialStore(tmp_path, "run").read("ruler") is None


@pytest.mark.parametrize("artifact", ["../../escaped", "a/b", "\0", "a" * 300, "‮gnir"])
def test_an_id_of_any_kind_stays_in_the_folder(tmp_path: Path, artifact: str) -> None:
    folder = tmp_path / "shards"
    folder.mkdir()
    store = TrialStore(folder, "run")
    store.write(artifact, ARRAYS)
    assert store.read(artifact) is not None
    assert [path.name for path in tmp_path.iterdir()] == ["shards"]
    assert len(list(folder.iterdir())) == 1


@pytest.mark.parametrize("keep", [0, 10, 200, -1])
def test_a_file_that_was_cut_short_is_taken_for_none(tmp_path: Path, keep: int) -> None:
    store = TrialStore(tmp_path, "run")
    store.write("dark_ring", ARRAYS)
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:keep])
    assert store.read("dark_ring") is None
    assert not path.exists()
    store.write("dark_ring", ARRAYS)
    assert store.read("dark_ring") is not None


def test_a_changed_byte_is_noticed(tmp_path: Path) -> None:
    store = TrialStore(tmp_path, "run")
    store.write("dark_ring", ARRAYS)
    (path,) = tmp_path.iterdir()
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))
    assert store.read("dark_ring") is None
