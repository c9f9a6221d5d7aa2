"""How a command shares the machine."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

AGAIN = """
import resource
import numpy as np
from melaudit.cli.machine import share_the_machine

share_the_machine()
faults = []
for _ in range(4):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    held = [np.ones(20 * 2**20, np.uint8) for _ in range(6)]
    del held
    faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
print(min(faults[1:]))
"""
"""Uses 120 MB four times; prints how many pages of it, 30,000 in all, were new to the process."""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries have other ways")
@pytest.mark.parametrize("theirs", [None, "33554432"], ids=["by default", "as the user set it"])
def test_freed_memory_is_used_again_unless_the_user_says_otherwise(theirs: str | None) -> None:
    own = {k: v for k, v in os.environ.items() if not k.startswith(("MALLOC_", "GLIBC_"))}
    if theirs is not None:
        own |= {"MALLOC_TRIM_THRESHOLD_": theirs, "MALLOC_MMAP_THRESHOLD_": theirs}
    ran = subprocess.run(
        [sys.executable, "-c", AGAIN], env=own, capture_output=True, text=True, check=True
    )
    assert (int(ran.stdout) < 2_000) is (theirs is None)
