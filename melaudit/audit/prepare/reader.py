"""Decode the few images that are looked at before the pass, in a process that can be ended.

The workers of the pass know the preprocessing and the finders, which are not settled yet, and take
seconds to start. This process only decodes: it imports no PyTorch and is there in half a second.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field

from melaudit.images.imagefile import FULL_WHITE, Decoded, Read, read_image
from melaudit.images.storage.reading import content_of
from melaudit.images.worker_pool import Announce, Lost, WorkerPool


@contextlib.contextmanager
def reading(workers: int) -> Iterator[Read]:
    """Yield what decodes an image: in a process of its own, or with no workers in this one.

    An image that twice kills that process or holds it up is skipped, and not tried again. Raises
    DatasetError, when an image is read, if the process cannot be started.
    """
    if not workers:
        yield read_image
        return
    with WorkerPool[_Job, Decoded](Decoding(), 1) as pool:
        yield _Reader(pool)


_Job = tuple[str, int]
"""The path of an image, and what is white in it."""


class Decoding:
    """The work of the process: a path in, an image out."""

    def prepare(self) -> None:
        """Need nothing."""

    def __call__(self, job: _Job, lost: Lost, announce: Announce) -> Decoded:
        """Return the image of a file, skipped if it is lost."""
        announce(0)
        path, white = job
        if lost:
            return Decoded(None, "skipped", (lost[0],), None, content_of(path))
        return read_image(path, white=white)


@dataclass(frozen=True)
class _Reader:
    """Decodes one image at a time."""

    pool: WorkerPool[_Job, Decoded]
    lost: dict[str, Decoded] = field(default_factory=dict)
    """What is known of the files that cost two processes."""

    def __call__(self, path: str, *, white: int = FULL_WHITE) -> Decoded:
        if path in self.lost:
            return self.lost[path]
        (decoded,) = self.pool.map(((path, white),))
        if decoded.reasons and decoded.reasons[0].startswith("decoder_"):
            self.lost[path] = decoded
        return decoded
