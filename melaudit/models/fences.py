"""Fences: what a process gives up before it reads bytes of unknown origin.

It keeps what reading needs: memory up to a limit, processor time up to a limit, the files that it
may read, and the pipe to its parent. Each fence is put up where the platform has it, and none can
be taken down again.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import struct
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Limits:
    """What a process may take."""

    memory: int
    """Bytes of address space beyond those that it has already. Kept on Linux."""
    seconds: int
    """Of processor time. Kept on Unix."""


def fence(limits: Limits, kept: int) -> None:
    """Give up all but reading, for the rest of this process; `kept` is the open file it keeps.

    There is no way back, so this is for a child process that ends after its one task.
    """
    _close_files(kept)
    _limit(limits)
    sys.dont_write_bytecode = True
    _filter_system_calls()
    sys.addaudithook(_refuse)


def _close_files(kept: int) -> None:
    """Close what was inherited: sockets, logs, the terminal."""
    if sys.platform == "win32":  # where nothing is inherited
        return
    with contextlib.suppress(OSError):
        nothing = os.open(os.devnull, os.O_RDWR)
        for number in range(3):
            os.dup2(nothing, number)
    listed = Path("/proc/self/fd")
    highest = max(int(file.name) for file in listed.iterdir()) if listed.exists() else 1024
    os.closerange(3, kept)
    os.closerange(kept + 1, highest + 1)


def _limit(limits: Limits) -> None:
    if sys.platform == "win32":  # has nothing of this kind
        return
    import resource

    bounds = {
        resource.RLIMIT_CPU: limits.seconds,
        resource.RLIMIT_FSIZE: 0,  # of files; pipes are not meant
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_NPROC: 0,  # does not hold for root
    }
    if (held := Path("/proc/self/statm")).exists():
        pages = int(held.read_text("ascii").split()[0])
        bounds[resource.RLIMIT_AS] = pages * resource.getpagesize() + limits.memory
    for what, most in bounds.items():
        hard = resource.getrlimit(what)[1]
        if hard != resource.RLIM_INFINITY:
            most = min(most, hard)
        with contextlib.suppress(OSError, ValueError):  # macOS lacks some of them
            resource.setrlimit(what, (most, most))


# --- what Python code asks for ---------------------------------------------------------------

_REFUSED = (
    *("socket.", "subprocess.", "shutil.", "ctypes.", "urllib.", "ftplib.", "smtplib.", "winreg."),
    *("os.system", "os.exec", "os.fork", "os.posix_spawn", "os.spawn", "os.startfile", "pty."),
    *("os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.truncate"),
    *("os.chmod", "os.chown", "os.kill", "os.putenv", "webbrowser.", "tempfile."),
)
"""Beginnings of the names of Python's audit events (https://docs.python.org/3/library/audit_events.html)."""
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


def _refuse(event: str, arguments: tuple[Any, ...]) -> None:
    if event.startswith(_REFUSED):
        raise PermissionError(f"{event} is not allowed here")
    if event == "open":
        flags = arguments[2]
        if isinstance(flags, int) and flags & _WRITING:
            raise PermissionError("no file may be written here")


# --- what native code asks for ---------------------------------------------------------------

_ALLOWED = {
    # system call: (its number on x86-64, on 64-bit ARM); from the kernel's unistd.h
    "read": (0, 63),
    "write": (1, 64),
    "close": (3, 57),
    "stat": (4, None),
    "fstat": (5, 80),
    "lstat": (6, None),
    "poll": (7, None),
    "lseek": (8, 62),
    "mmap": (9, 222),
    "mprotect": (10, 226),
    "munmap": (11, 215),
    "brk": (12, 214),
    "rt_sigaction": (13, 134),
    "rt_sigprocmask": (14, 135),
    "rt_sigreturn": (15, 139),
    "pread64": (17, 67),
    "readv": (19, 65),
    "writev": (20, 66),
    "access": (21, None),
    "sched_yield": (24, 124),
    "mremap": (25, 216),
    "mincore": (27, 232),
    "madvise": (28, 233),
    "dup": (32, 23),
    "nanosleep": (35, 101),
    "getpid": (39, 172),
    "exit": (60, 93),
    "uname": (63, 160),
    "fcntl": (72, 25),
    "getcwd": (79, 17),
    "readlink": (89, None),
    "gettimeofday": (96, 169),
    "getrusage": (98, 165),
    "sysinfo": (99, 179),
    "getuid": (102, 174),
    "getgid": (104, 176),
    "geteuid": (107, 175),
    "getegid": (108, 177),
    "sigaltstack": (131, 132),
    "gettid": (186, 178),
    "futex": (202, 98),
    "sched_getaffinity": (204, 123),
    "getdents64": (217, 61),
    "restart_syscall": (219, 128),
    "clock_gettime": (228, 113),
    "clock_nanosleep": (230, 115),
    "exit_group": (231, 94),
    "newfstatat": (262, 79),
    "readlinkat": (267, 78),
    "faccessat": (269, 48),
    "ppoll": (271, 73),
    "set_robust_list": (273, 99),
    "getcpu": (309, 168),
    "getrandom": (318, 278),
    "membarrier": (324, 283),
    "statx": (332, 291),
    "rseq": (334, 293),
    "faccessat2": (439, 439),
}
"""Reading, memory, clocks, and the end of the process; no sockets, processes or threads, nothing
that changes a file. "open" and "openat" are allowed for reading."""
_OPENING = {"open": (2, None, 1), "openat": (257, 56, 2)}
"""Their numbers, and which argument holds the flags."""
_MACHINES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}
"""The column of the table, and the kernel's AUDIT_ARCH."""

_ALLOW = 0x7FFF0000
_NO_SUCH_CALL = 0x00050000 | 38
"""ENOSYS, because libraries know another way where a kernel lacks a call."""
_LOAD, _EQUAL, _ANY_BIT, _RETURN = 0x20, 0x15, 0x45, 0x06  # of classic BPF
_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP = 1, 38, 22
_SIGKILL = 9


def _filter_system_calls() -> None:
    """Let the kernel refuse all system calls but those in the table; on Linux only."""
    machine = _MACHINES.get(platform.machine())
    if sys.platform != "linux" or machine is None or sys.byteorder != "little":
        return
    program = _program(*machine)
    held = ctypes.create_string_buffer(program, len(program))
    # struct sock_fprog: the number of instructions, and where they are
    described = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(held))
    prctl = ctypes.CDLL(None).prctl
    prctl.argtypes = [ctypes.c_int, *[ctypes.c_void_p] * 4]
    prctl(_PR_SET_PDEATHSIG, _SIGKILL, 0, 0, 0)
    prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    prctl(_PR_SET_SECCOMP, 2, ctypes.create_string_buffer(described), 0, 0)


def _program(column: int, architecture: int) -> bytes:
    """Return the filter as instructions of classic BPF on the kernel's struct seccomp_data."""
    lines = [(_LOAD, 0, 0, 4), (_EQUAL, 1, 0, architecture), (_RETURN, 0, 0, _NO_SUCH_CALL)]
    lines.append((_LOAD, 0, 0, 0))
    for *numbers, flags in _OPENING.values():
        if (number := numbers[column]) is not None:
            lines += [
                (_EQUAL, 0, 4, number),
                (_LOAD, 0, 0, 16 + 8 * flags),
                (_ANY_BIT, 0, 1, _WRITING),
                (_RETURN, 0, 0, _NO_SUCH_CALL),
                (_RETURN, 0, 0, _ALLOW),
            ]
    allowed = [each[column] for each in _ALLOWED.values()]
    for number in allowed:
        if number is not None:
            lines += [(_EQUAL, 0, 1, number), (_RETURN, 0, 0, _ALLOW)]
    lines.append((_RETURN, 0, 0, _NO_SUCH_CALL))
    return b"".join(struct.pack("HBBI", *line) for line in lines)
