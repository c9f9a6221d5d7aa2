"""A stream of images: many files, decoded and preprocessed by worker processes, in order."""

from __future__ import annotations

import contextlib
import os
import signal
import warnings
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import ImageFile
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from melaudit.artifacts.interface import Artifact, Found
from melaudit.errors import DatasetError, PreprocessingError
from melaudit.images.finder_results import FinderResults, PackedFound, find_all, picklable
from melaudit.images.imagefile import Decoded, Status, read_image, shrink
from melaudit.images.limits import be_a_worker
from melaudit.images.preprocessing import Preprocessing

_SHARED_MEMORY = "/dev/shm"  # noqa: S108 - its free space is read; nothing is written by name
_SHARED_RESERVE = 64 * 2**20
"""Bytes of shared memory that are left free. Chosen: a round figure, not measured."""
_BATCHES_AT_ONCE = 4
"""Batches for which shared memory must have room, because several workers write at once. Chosen: a
round figure, not measured."""


@dataclass(frozen=True, eq=False)
class Loaded:
    """A batch of B paths, of which N could be read."""

    indices: tuple[int, ...]
    """(B,) indices of all the batch's paths."""
    positions: tuple[int, ...]
    """(N,) indices of the paths that could be read."""
    inputs: Tensor
    """(N, 3, H, W) float32, preprocessed."""
    views: tuple[NDArray[np.uint8], ...]
    """(N,) images (h, w, 3), shrunk if the longer side is above the stream's `view`, in pixels."""
    statuses: tuple[tuple[Status, tuple[str, ...]], ...]
    """(B,) status and reasons, in the order of `indices`."""
    sizes: tuple[tuple[int, int] | None, ...]
    """(B,) (width, height) in the file, in pixels; None if unknown."""
    seen: Mapping[str, Sequence[Found]] = field(default_factory=dict)
    """Artifact id -> (N,) result of its finder on the views; empty if no worker has run it."""

    @property
    def start(self) -> int:
        """Index of the batch's first path."""
        return self.indices[0]


class ImageStream:
    """Read images by batches of indices; the worker processes start once and serve every `read`.

    The content of a batch does not depend on the number of workers. With 0 workers, everything
    happens in this process. Workers are spawned, because a forked process cannot use CUDA. They
    also run the finders of `artifacts`, while this process does something else with the images;
    without workers that would gain nothing, and `Loaded.seen` stays empty.
    """

    def __init__(
        self,
        paths: Sequence[str],
        preprocessing: Preprocessing,
        *,
        workers: int = 0,
        view: int = 1024,
        max_pixels: int = 64_000_000,
        timeout: float = 300.0,
        artifacts: Sequence[Artifact] = (),
    ) -> None:
        self._paths = paths
        sought = picklable(artifacts) if workers else ()
        self._files = _Files(preprocessing, view, max_pixels, sought)
        self._workers = workers
        self._timeout = timeout
        self._queue = _Queue()
        self._loader: DataLoader[_Payload] | None = None
        self._reading = False

    def read(self, batches: Iterable[Sequence[int]]) -> Generator[Loaded, None, None]:
        """Yield one `Loaded` per batch of indices into the paths, in order.

        The workers read a few batches ahead, so `batches` is consumed earlier than this yields.
        Raises DatasetError if a worker dies or hangs; the stream can be read again afterwards.
        Raises RuntimeError if the stream is being read already.
        """
        if self._reading:
            raise RuntimeError("this stream is being read already")
        self._reading = True
        jobs = (tuple((int(i), self._paths[i]) for i in batch) for batch in batches)
        try:
            if self._workers:
                yield from self._read_ahead(jobs)
            else:
                for job in jobs:
                    yield _unpack(self._files[job])
        finally:
            self._reading = False

    def close(self) -> None:
        """Stop the workers; a later `read` starts new ones."""
        self._loader = None

    def __enter__(self) -> ImageStream:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _read_ahead(self, jobs: Iterator[_Job]) -> Iterator[Loaded]:
        if self._loader is None:
            self._loader = DataLoader(
                self._files,
                sampler=self._queue,
                batch_size=None,
                num_workers=self._workers,
                collate_fn=_unchanged,
                worker_init_fn=_be_a_worker,
                multiprocessing_context="spawn",
                persistent_workers=True,
                timeout=self._timeout,
                # Otherwise a seed would be drawn from the global generator, and runs with and
                # without workers would see different random numbers.
                generator=torch.Generator(),
            )
        self._queue.fill(jobs)
        try:
            for payload in self._loader:
                yield _unpack(payload)
        except (RuntimeError, OSError, EOFError) as error:
            self.close()
            raise DatasetError(_explain(error, self._workers, self._timeout)) from error
        finally:
            self._queue.fill(iter(()))


_Job = tuple[tuple[int, str], ...]
"""Index and path of each image of a batch, so that workers need no list of all paths."""


@dataclass(frozen=True, eq=False)
class _Payload:
    """A batch as it is sent between processes: two arrays, however many images there are."""

    indices: tuple[int, ...]
    statuses: tuple[tuple[Status, tuple[str, ...]], ...]
    sizes: tuple[tuple[int, int] | None, ...]
    shapes: tuple[tuple[int, int], ...]
    inputs: Tensor | NDArray[np.float32]
    pixels: Tensor | NDArray[np.uint8]
    """The pixels of all views, one after the other."""
    seen: Mapping[str, Sequence[PackedFound]]
    """Artifact id -> one result per view."""


class _Files(Dataset[_Payload]):
    """The work of a worker: jobs in, payloads out."""

    def __init__(
        self,
        preprocessing: Preprocessing,
        view: int,
        max_pixels: int,
        artifacts: Sequence[Artifact] = (),
    ) -> None:
        self.preprocessing, self.view, self.max_pixels = preprocessing, view, max_pixels
        self.artifacts = artifacts

    def __getitem__(self, job: _Job) -> _Payload:
        with _strict_pillow():
            images = [self._load(path) for _, path in job]
        read = [(tensor, view) for _, tensor, view in images if tensor is not None]
        height, width = self.preprocessing.input_size
        inputs = torch.stack([t for t, _ in read]) if read else torch.zeros(0, 3, height, width)
        pixels = np.concatenate([v.ravel() for _, v in read]) if read else np.zeros(0, np.uint8)
        # Tensors are sent through shared memory, which is often too small in containers; writing
        # beyond its end kills the process. Arrays are sent through a pipe: slower, but safe.
        roomy = _has_room(inputs.nbytes + pixels.nbytes)
        return _Payload(
            indices=tuple(index for index, _ in job),
            statuses=tuple((d.status, d.reasons) for d, _, _ in images),
            sizes=tuple(d.original_size for d, _, _ in images),
            shapes=tuple((v.shape[0], v.shape[1]) for _, v in read),
            inputs=inputs if roomy else inputs.numpy(),
            pixels=torch.from_numpy(pixels) if roomy else pixels,
            seen=find_all(self.artifacts, [view for _, view in read]),
        )

    def _load(self, path: str) -> tuple[Decoded, Tensor | None, NDArray[np.uint8]]:
        decoded = read_image(path, max_pixels=self.max_pixels)
        nothing = np.zeros((0, 0, 3), np.uint8)
        if decoded.image is None:
            return decoded, None, nothing
        try:
            return (
                decoded,
                self.preprocessing.apply(decoded.image),
                shrink(decoded.image, self.view),
            )
        except PreprocessingError:
            reason = "too_elongated"
        except MemoryError:
            reason = "out_of_memory"
        return Decoded(None, "skipped", (reason,), decoded.original_size), None, nothing


class _Queue:
    """The batches that are still to be read: a sampler that can be filled again."""

    def __init__(self) -> None:
        self._jobs: Iterator[_Job] = iter(())

    def fill(self, jobs: Iterator[_Job]) -> None:
        self._jobs = jobs

    def __iter__(self) -> Iterator[_Job]:
        return self._jobs


@contextlib.contextmanager
def _strict_pillow() -> Iterator[None]:
    """Make Pillow quiet, and strict about broken files even if other code made it lenient."""
    lenient = ImageFile.LOAD_TRUNCATED_IMAGES
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = lenient


def _has_room(size: int) -> bool:
    """Tell whether shared memory has room for `size` bytes from each of several workers."""
    try:
        memory = os.statvfs(_SHARED_MEMORY)
    except (OSError, AttributeError):  # this system has no such limit
        return True
    return memory.f_bavail * memory.f_frsize > _BATCHES_AT_ONCE * size + _SHARED_RESERVE


def _unpack(payload: _Payload) -> Loaded:
    return Loaded(
        indices=payload.indices,
        positions=tuple(
            index
            for index, (status, _) in zip(payload.indices, payload.statuses, strict=True)
            if status != "skipped"
        ),
        inputs=torch.as_tensor(payload.inputs),
        views=tuple(_views(np.asarray(payload.pixels), payload.shapes)),
        statuses=payload.statuses,
        sizes=payload.sizes,
        seen=FinderResults(payload.seen),
    )


def _views(
    pixels: NDArray[np.uint8], shapes: Iterable[tuple[int, int]]
) -> Iterator[NDArray[np.uint8]]:
    start = 0
    for height, width in shapes:
        end = start + height * width * 3
        yield pixels[start:end].reshape(height, width, 3)
        start = end


def _unchanged(payload: Any) -> Any:
    return payload


def _be_a_worker(_: int) -> None:
    """Leave interrupts to the parent process, and the other cores to the other processes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    cv2.setNumThreads(1)
    be_a_worker()


def _explain(error: Exception, workers: int, timeout: float) -> str:
    first_line = str(error).split("\n", 1)[0]
    if "timed out" in first_line:
        return (
            f"no image arrived for {timeout:g} seconds from {workers} reading processes; the disk "
            "may be stalled. Run again: finished parts are kept"
        )
    return (
        f"one of {workers} image-reading processes ended unexpectedly ({first_line}). Usually "
        "memory ran out, or an image crashes its decoder: run with fewer workers, or with "
        "--workers 0 to see which image it is. A script that calls melaudit with workers must do "
        'so under `if __name__ == "__main__":`'
    )
