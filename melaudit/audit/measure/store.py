"""The store of a run: one parquet shard per 512 images, written whole or not at all.

A shard carries the run's id and its rows' ids, so a shard of another model, data set or
configuration can never be taken for one of this run, and a killed run resumes at the first
shard that is missing.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from melaudit.audit.measure.laid_out import LaidOut
from melaudit.errors import StoreError
from melaudit.measurements import Array
from melaudit.publish import publish

SHARD = 512
"""Images in a shard: some tens of seconds of work, a commit of some milliseconds."""


@dataclass(frozen=True)
class _AtHand:
    """What is kept in memory of the shards, once they are all there."""

    names: tuple[str, ...]
    """Of all columns."""
    singles: Mapping[str, Array]
    """Those with one value for each image."""


class Store:
    """The shards of one run in `folder`; `ids` are all rows of the plan, in order."""

    def __init__(self, folder: Path, run_id: str, ids: Sequence[str]) -> None:
        self.folder = folder
        self.run_id = run_id
        self.ids = ids
        self._found: dict[int, Path] = {}
        self._read: _AtHand | None = None
        self._laid_out: dict[str, LaidOut] = {}
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"{folder} cannot be made: {error.strerror}") from error

    def __len__(self) -> int:
        """Return how many shards the plan has."""
        return -(-len(self.ids) // SHARD)

    def rows(self, shard: int) -> range:
        """Return the rows of the plan that make up a shard."""
        return range(shard * SHARD, min((shard + 1) * SHARD, len(self.ids)))

    def shard(self, row: int) -> int:
        """Return the shard that a row of the plan is in."""
        return row // SHARD

    def tidy(self) -> None:
        """Remove what processes left behind that were killed while writing.

        When all shards are there: before that, it may be what another process is writing now.
        """
        for leftover in self.folder.glob(".*.tmp"):
            leftover.unlink(missing_ok=True)

    def done(self, shard: int) -> bool:
        """Tell whether a shard is there, whole and of this very run."""
        return self._find(shard) is not None

    def _find(self, shard: int) -> Path | None:
        """Return the file of a shard whose content is what its name says; damaged ones go.

        Parquet's own checksums do not cover the footer, so the name carries a hash of the file.
        """
        if shard not in self._found:
            for path in sorted(self.folder.glob(f"{shard:06d}-*.parquet")):
                content = path.read_bytes()
                if path.name != _name(shard, content):
                    path.unlink(missing_ok=True)
                elif pq.read_schema(pa.BufferReader(content)).metadata[b"run"] == self._stamp(
                    shard
                ):
                    self._found[shard] = path
        return self._found.get(shard)

    def write(
        self, shard: int, every: Mapping[str, Array], measured: Mapping[str, Array], read: Array
    ) -> None:
        """Write a shard atomically.

        `every` has a value for every row of the shard; `measured` only for those rows where
        `read` (rows,) is True, and the others become nulls. Arrays of more than one dimension
        become lists that remember their shape.
        """
        take = pa.array(np.where(read, np.cumsum(read) - 1, -1), mask=~np.asarray(read, bool))
        arrays = {name: (values, _to_arrow(values)) for name, values in every.items()}
        if read.any():
            for name, values in measured.items():
                if len(values) != read.sum():
                    raise StoreError(f"{name} has {len(values)} rows, {read.sum()} were read")
                arrays[name] = (values, _spread(_to_arrow(values), take))
        schema = pa.schema(
            [
                pa.field(name, array.type, metadata={"shape": json.dumps(values.shape[1:])})
                for name, (values, array) in arrays.items()
            ],
            metadata={b"run": self._stamp(shard), b"read": b"%d" % read.sum()},
        )
        buffer = pa.BufferOutputStream()
        pq.write_table(
            pa.Table.from_arrays([array for _, array in arrays.values()], schema=schema),
            buffer,
            compression="zstd",
            # Of maps hardly two cells are alike: codes for them only cost time.
            use_dictionary=[field.name for field in schema if pa.types.is_string(field.type)],
        )
        content = buffer.getvalue().to_pybytes()
        path = self.folder / _name(shard, content)
        publish(path, content)
        self._found[shard] = path
        self._read = None
        self._laid_out.clear()

    def names(self) -> tuple[str, ...]:
        """Return the names of the columns, in the order of their first appearance.

        A column that a shard lacks, in which images could be read, is none: its detector failed.
        """
        return self._at_hand().names

    def column(self, name: str) -> Array:
        """Return one column over all shards: (n, ...), rows of unread images left out.

        Not to be written to. Columns of single values are kept in memory. All others are laid out
        in a file, from which only what is looked at comes into memory: take the rows you need.

        Raises KeyError for a name that is none of `names`, StoreError when a shard is missing or
        damaged.
        """
        there = self._at_hand()
        if name in there.singles:
            return there.singles[name]
        if name not in there.names:
            raise KeyError(name)
        if name not in self._laid_out:
            self._laid_out[name] = LaidOut(self.folder, self._chunks(name))
        return self._laid_out[name].array()

    def _at_hand(self) -> _AtHand:
        """Read the names of all columns, and those of single values whole."""
        if self._read is None:
            names: dict[str, None] = {}
            of_shards: list[set[str]] = []
            chunks: dict[str, list[Array]] = {}
            for shard in range(len(self)):
                # One opening for all of them: a conclusion reads hundreds of columns.
                with self._opened(shard) as file:
                    schema = file.schema_arrow
                    table = file.read([field.name for field in schema if _shape(field) == ()])
                names.update(dict.fromkeys(schema.names))
                if schema.metadata[b"read"] != b"0":
                    of_shards.append(set(schema.names))
                for name in table.column_names:
                    array = table.column(name).combine_chunks().drop_null()
                    chunks.setdefault(name, []).append(_from_arrow(array, schema.field(name)))
            there = tuple(n for n in names if all(n in others for others in of_shards))
            singles = {n: np.concatenate(chunks.pop(n)) for n in there if n in chunks}
            self._read = _AtHand(there, singles)
        return self._read

    def _chunks(self, name: str) -> Iterator[Array]:
        """Yield a column shard by shard, without those of which no image could be read."""
        for shard in range(len(self)):
            with self._opened(shard) as file:
                schema = file.schema_arrow
                if name not in schema.names:
                    continue
                array = file.read([name]).column(0).combine_chunks().drop_null()
            yield _from_arrow(array, schema.field(name))

    @contextlib.contextmanager
    def _opened(self, shard: int) -> Iterator[pq.ParquetFile]:
        """Open a shard; it was whole when this run found it, but that may have been hours ago."""
        try:
            with pq.ParquetFile(self._path(shard)) as file:
                yield file
        except (OSError, pa.ArrowInvalid) as error:
            raise StoreError(
                f"shard {shard} of {self.folder} can no longer be read ({error}); run the same "
                "command again: what is finished is kept"
            ) from error

    def _path(self, shard: int) -> Path:
        path = self._find(shard)
        if path is None:
            raise StoreError(
                f"shard {shard} of {self.folder} is missing, damaged or of another run; "
                "run the same command again to mend it"
            )
        return path

    def _stamp(self, shard: int) -> bytes:
        digest = hashlib.sha256(self.run_id.encode())
        for row in self.rows(shard):
            digest.update(self.ids[row].encode("utf-8", "surrogatepass") + b"\0")
        return digest.hexdigest().encode()


def _name(shard: int, content: bytes) -> str:
    return f"{shard:06d}-{hashlib.sha256(content).hexdigest()[:24]}.parquet"


def _to_arrow(values: Array) -> pa.Array:
    if values.dtype.kind in "OUS":
        return pa.array([str(v) for v in values], pa.string())
    if values.ndim == 1:
        return pa.array(values)
    flat = pa.array(np.ascontiguousarray(values).reshape(-1))
    return pa.FixedSizeListArray.from_arrays(flat, int(np.prod(values.shape[1:])))


def _spread(array: pa.Array, take: pa.Array) -> pa.Array:
    """Return the rows that `take` names, and null where it is null."""
    if take.null_count and pa.types.is_fixed_size_list(array.type):
        # Before version 26, pyarrow neither writes nor reads these with nulls among them.
        array = array.cast(pa.list_(array.type.value_type))
    return array.take(take)


def _shape(field: pa.Field) -> tuple[int, ...]:
    """Return the shape of one row of a column."""
    return tuple(json.loads((field.metadata or {}).get(b"shape", b"[]")))


def _from_arrow(array: pa.Array, field: pa.Field) -> Array:
    shape = _shape(field)
    if pa.types.is_string(field.type):
        # Rows that say the same share one text.
        coded = array.dictionary_encode()
        texts: Array = coded.dictionary.to_numpy(zero_copy_only=False)[coded.indices.to_numpy()]
        return texts
    if not shape:
        values: NDArray[np.generic] = array.to_numpy(zero_copy_only=False)
        return values
    flat: NDArray[np.generic] = array.flatten().to_numpy(zero_copy_only=False)
    return flat.reshape(len(array), *shape)
