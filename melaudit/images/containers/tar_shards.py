"""Tar files of images, as WebDataset writes them: `KEY.jpg`, and `KEY.cls` or `KEY.json` beside it.

Headers are read once; an image is then read from its place in the file. `KEY.cls` holds a class,
`KEY.json` an object whose texts and numbers become columns; other members, pickles among them, are
never opened. Without annotations, folders are classes, as outside of a tar file.
"""

from __future__ import annotations

import contextlib
import io
import json
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import pyarrow as pa

from melaudit.errors import DatasetError
from melaudit.images.containers.members import Members, extension, why_not
from melaudit.images.files import Omissions
from melaudit.images.storage.address import is_address
from melaudit.images.storage.stored import RefusedError, Stored, open_regular
from melaudit.images.tables.table import Table
from melaudit.wording.names import visible

SUFFIX = ".tar"
_PACKED = (".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar.zst")
_MAX_HEADER = 2**20
_MAX_ANNOTATION = 2**20
"""Bytes of what stands before a member (long names, records of pax) and of an annotation. Chosen:
round figures, not measured."""
_MAX_COLUMNS = 1000
_IMAGE, _LABEL = "image", "label"
_BROKEN = (tarfile.TarError, OSError, ValueError, EOFError)


def refuse_packed(path: Path) -> None:
    """Raise DatasetError for a tar file that is compressed: it has no places to read from."""
    if path.name.lower().endswith(_PACKED):
        raise DatasetError(
            f"{path} is a compressed tar file, in which no image can be read without all "
            "before it; uncompress it: images in it are compressed already"
        )


def tar_members(root: str, shards: Sequence[str], omitted: Omissions) -> Members:
    """Read the headers of tar files, each a path or an address.

    A name that occurs twice leads to none of its images. Raises DatasetError for a file that is no
    tar file, or cannot be read.
    """
    scan = _Scan(omitted)
    for shard in shards:
        scan.read(shard)
    for name in scan.twice:
        omitted.add("ambiguous_name", name)
        del scan.places[name], scan.sizes[name]
    table = _table(root, scan) if scan.said else None
    return Members(root, "tar shards", scan.sizes, scan.places, table)


@dataclass
class _Scan:
    """What the headers say."""

    omitted: Omissions
    sizes: dict[str, int] = field(default_factory=dict)
    places: dict[str, str] = field(default_factory=dict)
    twice: dict[str, None] = field(default_factory=dict)
    said: dict[str, dict[str, str]] = field(default_factory=dict)
    """Key -> column -> cell."""

    def read(self, shard: str) -> None:
        """Take one tar file in. A file that breaks off counts, and what stands before is kept."""
        name = shard.rpartition("/")[2]
        with _opened(shard) as (file, size, version):
            begun = False
            try:
                for info in _headers(file):
                    begun = True
                    self._take(info, file, Stored(shard, "", 0, size, version))
            except _BROKEN as error:
                if not begun:
                    raise DatasetError(
                        f"{visible(shard)} is no tar file that can be read ({error}); expected tar "
                        "shards as WebDataset writes them, not compressed"
                    ) from error
                self.omitted.add("damaged_archive", name)

    def _take(self, info: tarfile.TarInfo, file: IO[bytes], shard: Stored) -> None:
        name = info.name.removeprefix("./")
        if info.isdir():
            return
        reason = why_not(name)
        if reason is None and not (info.isreg() and not info.issparse()):
            reason = "link_in_archive" if info.issym() or info.islnk() else "not_a_file"
        elif reason is None and info.offset_data + info.size > shard.size:
            reason = "truncated"
        if reason is not None:
            if reason:
                self.omitted.add(reason, name)
            return
        folder, slash, last = name.rpartition("/")
        key, _, kind = last.partition(".")
        if kind.lower() in ("cls", "json"):
            self._annotate(f"{folder}{slash}{key}", name, info, file)
        elif not extension(name):
            self.omitted.add("not_an_image_extension", name)
        elif name in self.places:
            self.omitted.add("ambiguous_name", name)
            self.twice[name] = None
        else:
            place = Stored(shard.container, name, info.offset_data, info.size, shard.version)
            self.sizes[name], self.places[name] = info.size, str(place)

    def _annotate(self, key: str, name: str, info: tarfile.TarInfo, file: IO[bytes]) -> None:
        if info.size > _MAX_ANNOTATION:
            self.omitted.add("malformed_row", name)
            return
        here = file.tell()
        file.seek(info.offset_data)
        content = file.read(info.size)
        file.seek(here)
        try:
            text = content.decode()
            cells = _cells(json.loads(text)) if name.endswith("json") else {_LABEL: text.strip()}
        except (ValueError, RecursionError):
            self.omitted.add("malformed_row", name)
            return
        known = self.said.setdefault(key, {})
        # A class of its own comes before one among other facts.
        self.said[key] = {**cells, **known} if name.endswith("json") else {**known, **cells}


def _cells(told: Any) -> dict[str, str]:
    """Return the texts and numbers of a JSON object. Raises ValueError for any other JSON."""
    if not isinstance(told, Mapping):
        raise ValueError("no object")
    plain = {k: v for k, v in told.items() if isinstance(v, str | int | float)}
    return {
        k: v if isinstance(v, str) else str(int(v) if isinstance(v, bool) else v)
        for k, v in plain.items()
    }


def _table(root: str, scan: _Scan) -> Table:
    """Return one row for each image, with what the annotations of its key say."""
    columns = list(dict.fromkeys(column for cells in scan.said.values() for column in cells))
    if len(columns) > _MAX_COLUMNS:
        raise DatasetError(
            f"{visible(root)} has annotations of {len(columns)} different names, such as "
            f"{visible(columns[-1])}; expected the same few in each"
        )
    names = sorted(scan.sizes)
    rows = [scan.said.get(_key(name), {}) for name in names]
    # An annotation may be called as our column of names is.
    titles = [f"{column}_" if column == _IMAGE else column for column in columns]
    arrays = [[row.get(column) for row in rows] for column in columns]
    data = pa.table(
        [pa.array(cells, pa.string()) for cells in (names, *arrays)], names=[_IMAGE, *titles]
    )
    return Table(Path(root), (_IMAGE, *titles), data)


def _key(name: str) -> str:
    folder, slash, last = name.rpartition("/")
    return f"{folder}{slash}{last.partition('.')[0]}"


class _Bounded(io.RawIOBase):
    """A file of which a header can have only so much read into memory."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= _MAX_HEADER:
            raise tarfile.ReadError("a header is too long")
        return self._file.read(size)

    def seek(self, place: int, whence: int = 0) -> int:
        return self._file.seek(place, whence)

    def tell(self) -> int:
        return self._file.tell()


def _headers(file: IO[bytes]) -> Iterator[tarfile.TarInfo]:
    """Yield the members of a tar file. Raises one of `_BROKEN` where it breaks off."""
    bounded: Any = _Bounded(file)
    last = -1
    with tarfile.open(fileobj=bounded, mode="r:") as archive:
        while (info := archive.next()) is not None:
            vars(archive)["members"] = []  # it would keep all of them
            if info.offset_data <= last or info.size < 0:
                raise tarfile.ReadError("members do not follow each other")
            last = info.offset_data
            yield info
        # It ends silently within a header, or where none is; a whole file ends in empty blocks.
        bounded.seek(archive.offset)
        if bounded.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
            raise tarfile.ReadError("it breaks off")


@contextlib.contextmanager
def _opened(shard: str) -> Iterator[tuple[IO[bytes], int, str]]:
    """Open a tar file: to read at any place, its size in bytes, its version if it is an object."""
    if is_address(shard):
        from melaudit.images.storage import remote  # fsspec takes a while to import

        file, size, version = remote.opened(shard)
    else:
        try:
            file = open_regular(shard, largest=None)
        except (OSError, RefusedError) as error:
            raise DatasetError(f"{visible(shard)} cannot be read: {error}") from error
        size, version = file.seek(0, io.SEEK_END), ""
        file.seek(0)
    with file:
        yield file, size, version
