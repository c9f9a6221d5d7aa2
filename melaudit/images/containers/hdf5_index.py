"""HDF5 files with a dataset for each image, which holds the bytes of a JPEG, ... (ISIC 2024).

The file is looked through once, in a process of its own, and an image that lies in it as it is (not
in chunks) is read like a part of any file. Links to other files, and data that lie in others, are
not followed; chunks that only a plugin could read, or that are huge, are not read.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from melaudit.errors import DatasetError
from melaudit.images.containers.members import Members, why_not
from melaudit.images.files import Omissions
from melaudit.images.limits import limited
from melaudit.images.storage.stored import DATASET, MAX_BYTES, Stored
from melaudit.images.worker_pool import Announce, Lost, WorkerPool
from melaudit.wording.names import visible

SUFFIXES = (".h5", ".hdf5", ".he5", ".hdf")
_MAX_CHUNK = 2**26
"""Bytes of a chunk. Chosen: a round figure, not measured; the library makes chunks below 2**20."""
_MAX_DEPTH = 64
_MAX_SECONDS = 1800.0
"""Processor time for looking through one file. Chosen: a round figure; 400,000 images take 35."""
_MAX_KINDS = 5
"""Kinds of other datasets that an error names."""
_SIGN_OF_LIFE = 200
"""Objects that are looked at between two signs of life."""
_OWN_FILTERS = range(1, 7)
"""Filters that the library itself has: deflate, shuffle, fletcher32, szip, nbit, scaleoffset."""
_LOCKED = "unable to lock file"
"""What the library says of a file that another process writes, or that lies where nothing can be
locked."""
_UNLOCK = (
    "close it in the program that writes it, and run the same command again. If none does, as "
    "where a file system has no locks, set HDF5_USE_FILE_LOCKING=FALSE for this command"
)
_ABSENT = "HDF5 files are read with h5py, which cannot be imported: pip install 'melaudit[hdf5]'"


def hdf5_members(path: str, omitted: Omissions) -> Members:
    """Look through an HDF5 file.

    Raises DatasetError for one that cannot be read or holds no images, and without h5py.
    """
    try:
        with WorkerPool[str, "_Index | str"](_Indexing(), 1) as pool:
            (index,) = pool.map((path,))
    except DatasetError as error:
        raise DatasetError(f"{visible(path)} cannot be looked through: {error}") from error
    if isinstance(index, str):
        raise DatasetError(f"{visible(path)} {index}")
    for reason, name in index.omitted:
        omitted.add(reason, name)
    if not index.found:
        seen = "; ".join(index.others) or "nothing"
        raise DatasetError(
            f"{visible(path)} holds no images: expected a dataset of bytes for each, as in ISIC "
            f"2024; it holds {seen}{f'; {omitted}' if index.omitted else ''}. Arrays of pixels are "
            "not read: write them to files"
        )
    sizes = {name: size for name, (_, size) in index.found.items()}
    places = {
        name: str(Stored(path, name, start, size)) for name, (start, size) in index.found.items()
    }
    return Members(path, "HDF5 file", sizes, places)


@dataclass(frozen=True)
class _Index:
    """What is in a file."""

    found: dict[str, tuple[int, int]]
    """Name -> where it begins in the file, or `DATASET`, and its size in bytes."""
    omitted: Sequence[tuple[str, str]]
    """Reason and name of what is not read."""
    others: Sequence[str]
    """Other datasets, some of each kind: names, shapes, types."""


class _Indexing:
    """The work of the process: a path in, an index out, or what is wrong with the file."""

    def prepare(self) -> None:
        """Need nothing."""

    def __call__(self, job: str, lost: Lost, announce: Announce) -> _Index | str:
        """Look through a file."""
        announce(0)
        if lost:
            return f"ends or holds up the process that looks through it ({lost[0]}): it is damaged"
        try:
            import h5py
        except ImportError:
            return f"cannot be opened: {_ABSENT}"
        try:
            with limited(_MAX_SECONDS), h5py.File(job, "r") as file:
                return _looked_through(h5py, file, announce)
        except Exception as error:  # the library raises many kinds for a damaged file
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            if _LOCKED in reason:
                return f"is locked ({reason}); {_UNLOCK}"
            return f"is no HDF5 file that can be read ({reason})"


def _looked_through(h5py: Any, file: Any, announce: Announce) -> _Index:
    found: dict[str, tuple[int, int]] = {}
    omitted: list[tuple[str, str]] = []
    others: dict[str, str] = {}
    for number, (name, thing) in enumerate(_things(h5py, file, omitted)):
        if number % _SIGN_OF_LIFE == 0:
            announce(0)
        if not isinstance(thing, h5py.h5d.DatasetID):
            continue
        kind = _kind(h5py, thing)
        if kind is not None:
            others.setdefault(kind, f"{visible(name)} {kind}")
            omitted.append(("not_bytes_of_an_image", name))
            continue
        place = _place(h5py, thing)
        if isinstance(place, str):
            omitted.append((place, name))
        else:
            found[name] = place
    return _Index(found, omitted, tuple(others.values())[:_MAX_KINDS])


def _things(h5py: Any, file: Any, omitted: list[tuple[str, str]]) -> Iterator[tuple[str, Any]]:
    """Yield the objects of a file by name; each group is entered once."""
    todo = [(file.id, "", 0)]
    entered = {_identity(h5py, file.id)}
    while todo:
        group, prefix, depth = todo.pop()
        for raw in group:
            name = prefix + raw.decode("utf-8", "surrogateescape")
            reason = why_not(name)
            if reason is not None:
                if reason:
                    omitted.append((reason, name))
                continue
            kind = group.links.get_info(raw).type
            if kind != h5py.h5l.TYPE_HARD:
                inside = kind == h5py.h5l.TYPE_SOFT
                omitted.append(("link_in_archive" if inside else "outside_root", name))
                continue
            try:
                thing = h5py.h5o.open(group, raw)
            except (KeyError, RuntimeError, OSError, ValueError):
                omitted.append(("damaged", name))
                continue
            if isinstance(thing, h5py.h5g.GroupID):
                identity = _identity(h5py, thing)
                if identity in entered or depth == _MAX_DEPTH:
                    omitted.append(("link_in_archive", name))
                    continue
                entered.add(identity)
                todo.append((thing, f"{name}/", depth + 1))
            else:
                yield name, thing


def _identity(h5py: Any, thing: Any) -> tuple[int, int]:
    about = h5py.h5o.get_info(thing)
    return about.fileno, about.addr


def _kind(h5py: Any, dataset: Any) -> str | None:
    """Return None for a dataset of bytes, else what it is: "(1000, 96, 96, 3) uint8"."""
    kind = dataset.get_type()
    of = kind.get_class()
    one = dataset.rank == 0 and (
        of == h5py.h5t.OPAQUE or (of == h5py.h5t.STRING and not kind.is_variable_str())
    )
    row = dataset.rank == 1 and of == h5py.h5t.INTEGER and kind.get_size() == 1
    if one or row:
        return None
    with contextlib.suppress(TypeError):
        return f"{dataset.shape} {dataset.dtype}"
    return f"{dataset.shape} of another type"


def _place(h5py: Any, dataset: Any) -> tuple[int, int] | str:
    """Return where the bytes of a dataset begin and how many there are, or a reason."""
    if dataset.get_space().get_simple_extent_type() == h5py.h5s.NULL:
        return "empty"
    size = int(dataset.get_type().get_size())
    for side in dataset.shape:
        size *= int(side)
    if size == 0:
        return "empty"
    if size > MAX_BYTES:
        return "too_large"
    made = dataset.get_create_plist()
    layout = made.get_layout()
    if layout not in (h5py.h5d.CONTIGUOUS, h5py.h5d.CHUNKED, h5py.h5d.COMPACT):
        return "outside_root"  # a virtual dataset
    if layout == h5py.h5d.CONTIGUOUS:
        if made.get_external_count():
            return "outside_root"
        start = dataset.get_offset()
        return "empty" if start is None else (int(start), size)
    if layout == h5py.h5d.CHUNKED:
        sides = made.get_chunk()
        if sides[0] * dataset.get_type().get_size() > _MAX_CHUNK:
            return "chunk_too_large"
        if any(made.get_filter(k)[0] not in _OWN_FILTERS for k in range(made.get_nfilters())):
            return "filter_by_plugin"
    return DATASET, size
