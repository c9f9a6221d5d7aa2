"""How a command shares the machine: threads that wait, and memory that is free."""

from __future__ import annotations

import ctypes
import os
import sys

KEPT = 256 * 2**20
"""Bytes of freed memory that the process keeps for its next use. Measured: a ResNet50's maps of 16
images of 128 pixels need no more."""
LARGE = 32 * 2**20
"""Bytes from which an allocation is a piece of memory of its own, given back when it is freed: what
glibc comes to by itself, at most."""

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # malloc.h


def share_the_machine() -> None:
    """Let threads that wait sleep, and memory that is free be used again or go back.

    To be called before libraries are loaded. By default threads that wait spin. On a machine with
    other work they then hold the cores that they wait for: on two busy cores two threads took five
    to eight times as long as sleeping ones, and as much more processor time (docs/speed.md). How
    many there are is left to OMP_NUM_THREADS and to the cores that the process may use, because
    another number may round results differently. Arrow's own allocator keeps what is freed: of
    6,000 images, 100 MB (docs/scale.md).
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
    _keep_some_memory()


def _keep_some_memory() -> None:
    """Have the C library keep `KEPT` bytes of what is freed, where it is glibc.

    It gives back all but 64 MB, and asks for them again at the next batch: the system then clears
    each page anew, which took a tenth of the time of maps. Whoever set it otherwise keeps that.
    """
    set_already = any(name.startswith(("MALLOC_", "GLIBC_TUNABLES")) for name in os.environ)
    if set_already or sys.platform != "linux":
        return
    library = ctypes.CDLL(None)
    if hasattr(library, "gnu_get_libc_version") and hasattr(library, "mallopt"):
        # Setting one stops glibc from adjusting the other.
        library.mallopt(M_MMAP_THRESHOLD, LARGE)
        library.mallopt(M_TRIM_THRESHOLD, KEPT)
