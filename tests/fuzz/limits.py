"""What a process that fuzzes may take."""

from __future__ import annotations


def limit_memory() -> None:
    """Let an input that fills the memory fail with a MemoryError instead of ending the machine."""
    import resource

    most = 16 * 2**30
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
