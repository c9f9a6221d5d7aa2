"""Confined: tensors read from bytes of unknown origin, in a child process that can do little else.

The child parses. Its parent takes from it a JSON text of bounded size, with names and shapes, and
then the numbers of each tensor; it parses nothing that stood in the file.
"""

from __future__ import annotations

import importlib
import json
import math
import multiprocessing
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from multiprocessing.connection import Connection
from typing import Any

import torch
from torch import Tensor

from melaudit.errors import CheckpointError
from melaudit.models.fences import Limits, fence
from melaudit.models.messages import first_line
from melaudit.wording.names import visible_as_code_points

START = "fork" if sys.platform == "linux" else "spawn"
"""How a child starts. A fork takes milliseconds; macOS and Windows have none that is safe, and a
child there imports torch again, which takes seconds."""

_MAX_ANSWER_BYTES = 128 * 2**20
"""Chosen: twice the pickle that may name the tensors."""
_CHUNK_BYTES = 2**20
"""Of numbers in one message."""
_PATIENCE = 3
"""Time on the clock, as a multiple of processor time."""

_DTYPES = {
    str(dtype): dtype
    for dtype in (
        *(torch.float32, torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32),
        *(torch.int64, torch.uint16, torch.uint32, torch.uint64),
    )
}

Answer = tuple[Mapping[str, Tensor], Mapping[str, Any]]
"""Tensors by name, and what is said of them in values that JSON has."""


def confined(
    work: Callable[[], Answer],
    name: str,
    limits: Limits,
    max_bytes: int = 0,
    needs: Sequence[str] = (),
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return what `work` returns, done in a child process with few rights and limits on its use.

    `work` must be picklable. `name` is that of its file, for messages; `max_bytes` are enough for
    all tensors. `needs` are modules whose import takes rights that reading does not, such as a
    folder for temporary files: the child imports them before it gives its rights up.

    Raises the CheckpointError that `work` raises, and one if the child dies or takes too much.
    """
    if multiprocessing.current_process().daemon:
        raise CheckpointError(
            f"{name} cannot be loaded in a worker of multiprocessing.Pool, which may start no "
            "process of its own; expected one of concurrent.futures.ProcessPoolExecutor"
        )
    context: Any = multiprocessing.get_context(START)
    answer, own_end = context.Pipe(duplex=False)
    child = context.Process(target=_answer, args=(work, own_end, limits, needs), daemon=True)
    with warnings.catch_warnings():
        # Newer Pythons warn of forks beside threads; this child starts none and waits for none.
        warnings.simplefilter("ignore", DeprecationWarning)
        child.start()
    own_end.close()
    watch = threading.Timer(_PATIENCE * limits.seconds, child.kill)
    watch.daemon = True
    watch.start()
    try:
        return _received(answer, max_bytes, name)
    except (EOFError, OSError) as error:
        child.join(_PATIENCE)
        raise CheckpointError(f"{name} cannot be loaded: {_ending(child.exitcode)}") from error
    finally:
        watch.cancel()
        answer.close()
        child.kill()
        child.join()
        child.close()


# --- the child -------------------------------------------------------------------------------


def _answer(
    work: Callable[[], Answer], own_end: Connection, limits: Limits, needs: Sequence[str]
) -> None:
    """Do the work behind fences, and send what came of it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent is interrupted, and ends this
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    torch.set_num_threads(1)  # the threads of the parent were not copied
    for module in needs:
        importlib.import_module(module)
    fence(limits, own_end.fileno())
    tensors: Mapping[str, Tensor] = {}
    try:
        tensors, said = work()
        kinds = [[name, str(t.dtype), list(t.shape)] for name, t in tensors.items()]
        told: dict[str, Any] = {"tensors": kinds, "said": said}
    except CheckpointError as error:
        told = {"refused": str(error)}
    except MemoryError:
        told = {"memory": limits.memory}
    except Exception as error:
        told = {"failed": f"{type(error).__name__}: {first_line(error)}"}
    own_end.send_bytes(json.dumps(told).encode())
    for tensor in tensors.values():
        for chunk in _chunks(tensor):
            own_end.send_bytes(chunk)


def _chunks(tensor: Tensor) -> Iterator[memoryview]:
    """Yield the memory of a contiguous tensor, piece by piece."""
    memory: memoryview = tensor.reshape(-1).view(torch.uint8).numpy().data
    for start in range(0, len(memory), _CHUNK_BYTES):
        yield memory[start : start + _CHUNK_BYTES]


# --- its parent ------------------------------------------------------------------------------


def _received(
    answer: Connection, max_bytes: int, name: str
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read a child's answer; it is held against what a child may say.

    Raises EOFError or OSError if it breaks off or says something else.
    """
    try:
        told = json.loads(answer.recv_bytes(_MAX_ANSWER_BYTES))
        if "refused" in told:
            raise CheckpointError(visible_as_code_points(str(told["refused"])[:2000]))
        if "memory" in told:
            raise CheckpointError(
                f"{name} takes more than {told['memory'] / 2**30:.1f} GiB of memory to load; it is "
                "damaged or hostile"
            )
        if "failed" in told:
            raise RuntimeError(str(told["failed"]))
        tensors, total = {}, 0
        for key, dtype, shape in told["tensors"]:
            if not all(isinstance(side, int) and side >= 0 for side in shape):
                raise ValueError("a shape that is none")
            total += math.prod(shape) * _DTYPES[dtype].itemsize
            if total > max_bytes:
                raise ValueError("more numbers than there may be")
            tensors[str(key)] = torch.empty(shape, dtype=_DTYPES[dtype])
        for tensor in tensors.values():
            for chunk in _chunks(tensor):
                if answer.recv_bytes_into(chunk) != len(chunk):
                    raise ValueError("less numbers than announced")
        return tensors, dict(told["said"])
    except (ValueError, TypeError, KeyError, RecursionError, multiprocessing.ProcessError) as error:
        raise OSError(f"an answer that is none: {first_line(error)}") from error


def _ending(code: int | None) -> str:
    """Say how a child ended that gave no answer."""
    if code is not None and code < 0:
        by = signal.Signals(-code).name
        if by in ("SIGXCPU", "SIGKILL"):
            return f"it took too much time or memory ({by}); it is damaged or hostile"
        return f"the process that read it crashed ({by}); it is damaged or hostile"
    return (
        f"the process that read it ended without an answer (exit code {code}). A script that calls "
        'melaudit must do so under `if __name__ == "__main__":`'
    )
