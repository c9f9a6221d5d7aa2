"""Decode the few images that are looked at before the pass, in a process that can be ended.

The workers of the pass know the preprocessing and the finders, which are not settled yet, and take
seconds to start. This process only decodes: it imports no PyTorch and is there in half a second.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field

from melaudit.images.imagefile import Decoded, Read, content_of, read_image
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
    with WorkerPool[str, Decoded](Decoding(), 1) as pool:
        yield _Reader(pool)


class Decoding:
    """The work of the process: a path in, an image out."""

    def prepare(self) -> None:
        """Need nothing."""

    def __call__(self, job: str, lost: Lost, announce: Announce) -> Decoded:
        """Return the image of the file `job`, skipped if it is lost."""
        announce(0)
        if lost:
            return Decoded(None, "skipped", (lost[0],), None, content_of(job))
        return read_image(job)


@dataclass(frozen=True)
class _Reader:
    """Decodes one image at a time."""

    pool: WorkerPool[str, Decoded]
    lost: dict[str, Decoded] = field(default_factory=dict)
    """What is known of the files that cost two processes."""

    def __call__(self, path: str) -> Decoded:
        if path in self.lost:
            return self.lost[path]
        (decoded,) = self.pool.map((path,))
        if decoded.reasons and decoded.reasons[0].startswith("decoder_"):
            self.lost[path] = decoded
        return decoded
