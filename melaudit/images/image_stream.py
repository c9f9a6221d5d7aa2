"""A stream of images: many files, decoded and preprocessed by worker processes, in order."""

from __future__ import annotations

import contextlib
import functools
import os
import warnings
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import ImageFile
from torch import Tensor

from melaudit.artifacts.interface import Artifact, Found
from melaudit.errors import PreprocessingError
from melaudit.images.contents import Contents, refuse_changed
from melaudit.images.finder_results import FinderResults, PackedFound, find_all, picklable
from melaudit.images.imagefile import Decoded, Read, Status, read_image, shrink
from melaudit.images.preprocessing import Preprocessing
from melaudit.images.storage.reading import content_of
from melaudit.images.worker_pool import Announce, Lost, results

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
    """Read images by batches of indices.

    The content of a batch does not depend on the number of workers. With 0 workers, everything
    happens in this process, and an image that kills it or holds it up ends the run or stops it,
    unless `read` decodes it elsewhere. Workers are spawned, because a forked process cannot use
    CUDA. They also run the finders of `artifacts`, while this process does something else with the
    images; without workers that would gain nothing, and `Loaded.seen` stays empty.
    """

    def __init__(
        self,
        paths: Sequence[str],
        preprocessing: Preprocessing,
        *,
        workers: int = 0,
        view: int = 1024,
        max_pixels: int = 64_000_000,
        artifacts: Sequence[Artifact] = (),
        contents: Contents | None = None,
        read: Read | None = None,
    ) -> None:
        self._paths, self._contents = paths, contents
        sought = picklable(artifacts) if workers else ()
        elsewhere = None if workers else read
        self._files = _Files(preprocessing, view, max_pixels, sought, elsewhere)
        self._workers = workers

    def read(self, batches: Iterable[Sequence[int]]) -> Generator[Loaded, None, None]:
        """Yield one `Loaded` per batch of indices into the paths, in order.

        The workers start with the first batch, read a few batches ahead, so that `batches` is
        consumed earlier than this yields, and are gone when the generator is closed. An image that
        twice kills its worker or holds it up for `worker_pool.MAX_WAIT` is skipped, and no other.
        Raises DatasetError if no worker can be started, if many are lost one after another, or if
        a file is not what `contents` says.
        """
        jobs = (tuple((int(i), self._paths[i]) for i in batch) for batch in batches)
        with contextlib.closing(results(self._files, jobs, self._workers)) as payloads:
            for payload in payloads:
                yield self._unpacked(payload)

    def _unpacked(self, payload: _Payload) -> Loaded:
        if self._contents is not None:
            for index, content in zip(payload.indices, payload.contents, strict=True):
                refuse_changed(self._paths[index], content, self._contents[index])
        return _unpack(payload)


_Job = tuple[tuple[int, str], ...]
"""Index and path of each image of a batch, so that workers need no list of all paths."""
_NOTHING_LOST: Lost = {}


@dataclass(frozen=True, eq=False)
class _Payload:
    """A batch as it is sent between processes: two arrays, however many images there are."""

    indices: tuple[int, ...]
    statuses: tuple[tuple[Status, tuple[str, ...]], ...]
    sizes: tuple[tuple[int, int] | None, ...]
    contents: tuple[bytes, ...]
    shapes: tuple[tuple[int, int], ...]
    inputs: Tensor | NDArray[np.float32]
    pixels: Tensor | NDArray[np.uint8]
    """The pixels of all views, one after the other."""
    seen: Mapping[str, Sequence[PackedFound]]
    """Artifact id -> one result per view."""


class _Files:
    """The work of a worker: jobs in, payloads out."""

    def __init__(
        self,
        preprocessing: Preprocessing,
        view: int,
        max_pixels: int,
        artifacts: Sequence[Artifact] = (),
        read: Read | None = None,
    ) -> None:
        self.preprocessing, self.view, self.max_pixels = preprocessing, view, max_pixels
        self.artifacts, self.read = artifacts, read

    def prepare(self) -> None:
        """Leave the other cores to the other processes."""
        cv2.setNumThreads(1)
        torch.set_num_threads(1)

    def __call__(
        self, job: _Job, lost: Lost = _NOTHING_LOST, announce: Announce = lambda _: None
    ) -> _Payload:
        images = []
        with _strict_pillow():
            for number, (_, path) in enumerate(job):
                announce(number)
                images.append(self._load(path, lost.get(number)))
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
            contents=tuple(d.content for d, _, _ in images),
            shapes=tuple((v.shape[0], v.shape[1]) for _, v in read),
            inputs=inputs if roomy else inputs.numpy(),
            pixels=torch.from_numpy(pixels) if roomy else pixels,
            seen=find_all(self.artifacts, _announced(images, announce)) if self.artifacts else {},
        )

    def _load(self, path: str, lost: str | None) -> _Image:
        nothing = np.zeros((0, 0, 3), np.uint8)
        if lost is not None:
            return Decoded(None, "skipped", (lost,), None, content_of(path)), None, nothing
        read = self.read or functools.partial(read_image, max_pixels=self.max_pixels)
        decoded = read(path, white=self.preprocessing.white)
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
        skipped = replace(decoded, image=None, status="skipped", reasons=(reason,))
        return skipped, None, nothing


_Image = tuple[Decoded, Tensor | None, NDArray[np.uint8]]
"""An image, and if it could be read its input to the model (3, H, W) and its view (h, w, 3)."""


def _announced(images: Sequence[_Image], announce: Announce) -> Iterator[NDArray[np.uint8]]:
    """Yield the views of the images that were read, announcing each."""
    for number, (_, tensor, view) in enumerate(images):
        if tensor is not None:
            announce(number)
            yield view


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
