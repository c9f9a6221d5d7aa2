"""The store gives back what was written, never another run's, never half a shard."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from melaudit.audit.measure import store as store_module
from melaudit.audit.measure.store import Store
from melaudit.errors import StoreError
from melaudit.measurements import Array


@pytest.fixture(autouse=True)
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "SHARD", 4)


def fill(store: Store, shard: int, read: list[bool]) -> dict[str, Array]:
    rows = store.rows(shard)
    n = sum(read)
    rng = np.random.default_rng(shard)
    measured: dict[str, Array] = {
        "score": rng.random(n).astype(np.float32),
        "map": rng.random((n, 3, 2)).astype(np.float16),
        "present": rng.random(n) > 0.5,
    }
    every: dict[str, Array] = {"status": np.array(["ok" if r else "skipped" for r in read], object)}
    assert len(rows) == len(read)
    store.write(shard, every, measured, np.array(read))
    return measured


def test_columns_come_back_in_order_without_the_rows_that_were_not_read(tmp_path: Path) -> None:
    store = Store(tmp_path, "run", [f"{i}.jpg" for i in range(10)])
    assert len(store) == 3
    parts = [
        fill(store, 0, [True, False, True, True]),
        fill(store, 1, [False] * 4),
        fill(store, 2, [False, True]),
    ]
    for name in ("score", "map", "present"):
        expected = np.concatenate([p[name] for p in parts])
        got = store.column(name)
        assert got.dtype == expected.dtype
        np.testing.assert_array_equal(got, expected)
    assert list(store.column("status")) == ["ok", "skipped", "ok", "ok", *["skipped"] * 5, "ok"]
    assert store.names() == ("status", "score", "map", "present")


def test_no_list_of_a_fixed_size_is_null(tmp_path: Path) -> None:
    """Versions of pyarrow before 26 refuse to write and to read these."""
    store = Store(tmp_path, "run", list("abcdef"))
    fill(store, 0, [True, False, True, True])
    fill(store, 1, [True, True])
    for path in tmp_path.iterdir():
        table = pq.read_table(path)
        fixed = [c.null_count for c in table.columns if pa.types.is_fixed_size_list(c.type)]
        assert sum(fixed) == 0
        assert (table["map"].null_count > 0) == (table.num_rows == 4)


def test_a_shard_of_another_run_or_of_other_rows_does_not_count(tmp_path: Path) -> None:
    ids = ["a", "b", "c"]
    fill(Store(tmp_path, "run", ids), 0, [True] * 3)
    assert Store(tmp_path, "run", ids).done(0)
    assert not Store(tmp_path, "other", ids).done(0)
    assert not Store(tmp_path, "run", ["a", "b", "d"]).done(0)
    with pytest.raises(StoreError, match="of another run"):
        Store(tmp_path, "other", ids).column("score")


@pytest.mark.parametrize("at", [0.01, 0.1, 0.5, 0.7, 0.9, 0.99])
@pytest.mark.parametrize("how", ["torn", "flipped"])
def test_a_damaged_shard_is_never_read_and_done_again(tmp_path: Path, at: float, how: str) -> None:
    store = Store(tmp_path, "run", ["a", "b", "c"])
    fill(store, 0, [True] * 3)
    (path,) = tmp_path.iterdir()
    content = bytearray(path.read_bytes())
    place = int(len(content) * at)
    if how == "torn":
        del content[place:]
    else:
        content[place] ^= 0xFF
    path.write_bytes(content)
    again = Store(tmp_path, "run", ["a", "b", "c"])
    assert not again.done(0)
    with pytest.raises(StoreError, match="damaged"):
        again.column("score")
    measured = fill(again, 0, [True] * 3)
    np.testing.assert_array_equal(again.column("score"), measured["score"])


def test_an_unknown_column_is_a_key_error(tmp_path: Path) -> None:
    store = Store(tmp_path, "run", ["a"])
    fill(store, 0, [True])
    with pytest.raises(KeyError):
        store.column("nothing")


def test_a_column_that_one_shard_lacks_is_none(tmp_path: Path) -> None:
    store = Store(tmp_path, "run", [f"{i}.jpg" for i in range(6)])
    fill(store, 0, [True] * 4)
    every: dict[str, Array] = {"status": np.array(["ok", "ok"], object)}
    store.write(1, every, {"score": np.ones(2, np.float32)}, np.array([True, True]))
    assert store.names() == ("status", "score")
    for name in ("map", "present"):
        with pytest.raises(KeyError):
            store.column(name)


def test_shards_are_opened_once_for_all_single_values_and_once_for_each_larger_column(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path, "run", [f"{i}.jpg" for i in range(12)])
    for shard in range(3):
        fill(store, shard, [True] * 4)
    opened: list[object] = []
    usual = pq.ParquetFile

    def counted(path: object) -> pq.ParquetFile:
        opened.append(path)
        return usual(path)

    monkeypatch.setattr(pq, "ParquetFile", counted)
    for _ in range(2):
        for name in (*store.names(), "score", "present"):
            store.column(name)
    assert len(opened) == 3 + 3


def test_rows_that_say_the_same_share_one_text(tmp_path: Path) -> None:
    store = Store(tmp_path, "run", ["a", "b", "c"])
    fill(store, 0, [True, True, False])
    first, second, third = store.column("status")
    assert first is second
    assert (first, third) == ("ok", "skipped")


def test_what_a_killed_writer_left_is_removed(tmp_path: Path) -> None:
    (tmp_path / ".000000-ab.parquet.12abcd.tmp").write_bytes(b"half")
    store = Store(tmp_path, "run", ["a"])
    assert list(tmp_path.iterdir())  # another process may be writing it
    store.tidy()
    assert not list(tmp_path.iterdir())
