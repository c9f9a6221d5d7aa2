"""The stream of images: many files, decoded and preprocessed in worker processes, in order."""

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
from melaudit.images.finder_results import Packed, Sightings, able_to_travel, sightings
from melaudit.images.imagefile import Decoded, Status, read_image, shrink
from melaudit.images.preprocessing import Preprocessing

_SHARED_MEMORY = "/dev/shm"  # noqa: S108 - looked at, never written by name
_SHARED_RESERVE = 64 * 2**20


@dataclass(frozen=True, eq=False)
class Loaded:
    """One batch of B paths, of which N could be read."""

    indices: tuple[int, ...]
    """(B,) indices of all the batch's paths."""
    positions: tuple[int, ...]
    """(N,) indices of the paths that could be read."""
    inputs: Tensor
    """(N, 3, H, W) float32, preprocessed."""
    views: tuple[NDArray[np.uint8], ...]
    """(N,) images (h, w, 3), shrunk where the longer side is above the stream's `view`."""
    statuses: tuple[tuple[Status, tuple[str, ...]], ...]
    """(B,) status and reasons, in the order of `indices`."""
    sizes: tuple[tuple[int, int] | None, ...]
    """(B,) (width, height) as in the file, None where it is unknown."""
    seen: Mapping[str, Sequence[Found]] = field(default_factory=dict)
    """Artifact -> (N,) what its finder saw in the views, where a worker has looked."""

    @property
    def start(self) -> int:
        """Index of the batch's first path."""
        return self.indices[0]


class ImageStream:
    """Reads images by batches of indices; its worker processes start once and serve every `read`.

    What a batch holds does not depend on the number of workers. With 0 workers everything happens
    in this process. Workers are started afresh ("spawn"), since a forked child cannot use CUDA.
    They also look for `artifacts`, beside whatever this process does with the images; without
    workers nothing would be gained by that, and `Loaded.seen` stays empty.
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
        sought = able_to_travel(artifacts) if workers else ()
        self._files = _Files(preprocessing, view, max_pixels, sought)
        self._workers = workers
        self._timeout = timeout
        self._queue = _Queue()
        self._loader: DataLoader[_Payload] | None = None
        self._reading = False

    def read(self, batches: Iterable[Sequence[int]]) -> Generator[Loaded, None, None]:
        """Yield one `Loaded` per batch of indices into the paths, in the order given.

        The workers read a few batches ahead, so `batches` is consumed faster than this yields.
        Raises DatasetError when a worker dies or hangs; the stream can be read again after that.
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
        """Stop the workers; a later `read` would start new ones."""
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
                # Or a seed would be drawn from the global generator, and a run with workers would
                # see other random numbers than one without.
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
"""Index and path of each image of a batch: workers hold no list of all paths."""


@dataclass(frozen=True, eq=False)
class _Payload:
    """A batch as it travels between processes: two arrays, however many images there are."""

    indices: tuple[int, ...]
    statuses: tuple[tuple[Status, tuple[str, ...]], ...]
    sizes: tuple[tuple[int, int] | None, ...]
    shapes: tuple[tuple[int, int], ...]
    inputs: Tensor | NDArray[np.float32]
    pixels: Tensor | NDArray[np.uint8]
    """All views, one after the other."""
    seen: Mapping[str, Sequence[Packed]]
    """Artifact -> one per view."""


class _Files(Dataset[_Payload]):
    """What a worker does with a batch."""

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
        # Tensors travel through shared memory, which containers often keep too small; writing
        # beyond its end kills the process. Arrays travel through a pipe: slower, never deadly.
        roomy = _has_room(inputs.nbytes + pixels.nbytes)
        return _Payload(
            indices=tuple(index for index, _ in job),
            statuses=tuple((d.status, d.reasons) for d, _, _ in images),
            sizes=tuple(d.original_size for d, _, _ in images),
            shapes=tuple((v.shape[0], v.shape[1]) for _, v in read),
            inputs=inputs if roomy else inputs.numpy(),
            pixels=torch.from_numpy(pixels) if roomy else pixels,
            seen=sightings(self.artifacts, [view for _, view in read]),
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
    """The batches still to be read; a sampler that can be filled again."""

    def __init__(self) -> None:
        self._jobs: Iterator[_Job] = iter(())

    def fill(self, jobs: Iterator[_Job]) -> None:
        self._jobs = jobs

    def __iter__(self) -> Iterator[_Job]:
        return self._jobs


@contextlib.contextmanager
def _strict_pillow() -> Iterator[None]:
    """Keep Pillow quiet, and strict about broken files even if other code of the process is not."""
    lenient = ImageFile.LOAD_TRUNCATED_IMAGES
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = lenient


def _has_room(size: int) -> bool:
    """Tell whether the shared memory takes `size` bytes from each of several workers."""
    try:
        memory = os.statvfs(_SHARED_MEMORY)
    except (OSError, AttributeError):  # no such thing on this system, so no such limit
        return True
    return memory.f_bavail * memory.f_frsize > 4 * size + _SHARED_RESERVE


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
        seen=Sightings(payload.seen),
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
    """Leave interrupts to the parent, and the other cores to the other processes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    cv2.setNumThreads(1)


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
