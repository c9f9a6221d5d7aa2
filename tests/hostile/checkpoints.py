"""Checkpoints that would run code, fill the memory or hide something."""

from __future__ import annotations

import io
import json
import os
import pickle
import struct
import zipfile
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save

from melaudit.models import recognition
from melaudit.models.architectures import load_model
from melaudit.models.checkpoint import read_weights
from melaudit.models.fences import Limits
from tests.hostile.case import CANARY, Case

REFUSED = ("refused",)

CALLS = (
    # What scanners have missed, by the name that a pickle would import.
    *("os.system", "posix.system", "nt.system", "os.popen", "os.execv", "os.spawnv"),
    *("subprocess.Popen", "subprocess.run", "subprocess.check_output", "pty.spawn"),
    *("builtins.eval", "builtins.exec", "builtins.__import__", "builtins.getattr"),
    *("builtins.compile", "builtins.open", "builtins.map", "builtins.apply"),
    *("__builtin__.eval", "__builtin__.file", "importlib.import_module", "runpy.run_path"),
    *("runpy._run_code", "pkgutil.resolve_name", "functools.partial", "functools.reduce"),
    *("operator.attrgetter", "operator.methodcaller", "types.FunctionType", "types.CodeType"),
    *("torch.load", "torch.jit.load", "torch.hub.load", "torch.utils.collect_env.run"),
    *("torch.jit.unsupported_tensor_ops.execWrapper", "torch.serialization.load"),
    *("torch._inductor.codecache.compile_file", "torch.distributed.rpc.api._rref_type_cont"),
    *("torch.utils.bottleneck.__main__.run_cprofile", "torch._utils._rebuild_wrapper_subclass"),
    *("torch.storage._load_from_bytes", "torch.ops.load_library", "torch.nn.Module"),
    *("numpy.f2py.crackfortran.getlincoef", "numpy.testing._private.utils.runstring"),
    *("numpy.load", "numpy.core.multiarray._reconstruct", "numpy.fromfile", "numpy.memmap"),
    *(
        "uuid._get_command_stdout",
        "imaplib.IMAP4_stream",
        "ctypes.CDLL",
        "ctypes.util._findLib_gcc",
    ),
    *("_pyrepl.pager.pipe_pager", "pydoc.pipepager", "code.InteractiveInterpreter", "bdb.Bdb.run"),
    *("cProfile.run", "profile.Profile.runctx", "trace.Trace.run", "timeit.timeit", "pdb.run"),
    *("asyncio.unix_events._UnixSubprocessTransport", "multiprocessing.util.spawnv_passfds"),
    *("socket.create_connection", "urllib.request.urlopen", "http.client.HTTPSConnection"),
    *("requests.get", "smtplib.SMTP", "ftplib.FTP", "webbrowser.open", "shutil.rmtree"),
    *("shutil.copyfile", "pathlib.Path.unlink", "os.remove", "os.symlink", "tempfile.mktemp"),
    *(
        "zipimport.zipimporter",
        "site.addsitedir",
        "venv.create",
        "ensurepip._run_pip",
        "idlelib.run.x",
    ),
    *(
        "lib2to3.pgen2.grammar.Grammar.loads",
        "logging.config.listen",
        "sys.settrace",
        "gc.get_objects",
    ),
    *(
        "pickle.loads",
        "_pickle.loads",
        "cloudpickle.loads",
        "joblib.load",
        "dill.loads",
        "shelve.open",
    ),
    *("marshal.loads", "yaml.unsafe_load", "pandas.read_pickle", "transformers.AutoModel"),
    *("collections.namedtuple", "weakref.finalize", "atexit.register", "copyreg.add_extension"),
    *(
        "melaudit.models.factories.build_from_factory",
        "melaudit.cli.main",
        "inspect.getattr_static",
        "ast.literal_eval",
    ),
)


class Touch:
    """Unpickling this makes the canary."""

    def __init__(self, folder: Path) -> None:
        self.path = str(folder / CANARY)

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
        return os.mkdir, (self.path,)


def weights() -> dict[str, torch.Tensor]:
    """Return the weights of a tiny model."""
    return {"conv.weight": torch.ones(4, 3, 3, 3), "fc.weight": torch.ones(2, 4)}


def archive(
    pickled: bytes | None = None, more: Mapping[str, bytes] | None = None, **options: Any
) -> bytes:
    """Return an archive of torch.save, with another pickle or further members."""
    plain, changed = io.BytesIO(), io.BytesIO()
    torch.save(options.get("content", weights()), plain)
    with zipfile.ZipFile(plain) as old, zipfile.ZipFile(changed, "w") as new:
        for member in old.infolist():
            own = pickled is not None and member.filename.endswith("data.pkl")
            new.writestr(member.filename, pickled if own and pickled else old.read(member))
        for name, content in (more or {}).items():
            new.writestr(name, content, options.get("packing", zipfile.ZIP_STORED))
    return changed.getvalue()


def read(content: bytes | Callable[[Path], bytes], folder: Path) -> str:
    """Read a checkpoint with this content."""
    path = folder / "ckpt.pt"
    path.write_bytes(content if isinstance(content, bytes) else content(folder))
    read_weights(path)
    return "used"


def load_folder(config: Mapping[str, Any], folder: Path) -> str:
    """Load a folder of timm with this config."""
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "model.safetensors").write_bytes(GOOD)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            recognition, "_TO_BUILD", Limits(2**30, 3)
        )  # the table should not wait for 20
        load_model(folder)
    return "used"


def load_many(number: int, folder: Path) -> str:
    """Load tensors of so many names, as those of residual networks."""
    one = torch.ones(4)
    tensors = {f"backbone.layer{i % 4}.{i}.conv1.weight": one.clone() for i in range(number)}
    (folder / "ckpt.pt").write_bytes(save(tensors))
    load_model(folder / "ckpt.pt")
    return "used"


def named_call(name: str, protocol: int) -> bytes:
    """Return a pickle that calls what has this name, by the opcodes of a protocol."""
    module, _, function = name.rpartition(".")
    if protocol < 4:
        head = b"" if protocol == 0 else b"\x80\x02"
        return head + f"c{module}\n{function}\n(S'canary'\ntR.".encode()
    texts = b"".join(b"\x8c" + bytes([len(t)]) + t.encode() for t in (module, function))
    return b"\x80\x04" + texts + b"\x93\x8c\x06canary\x85R."


def header(content: Mapping[str, Any] | bytes, length: int | None = None, body: int = 64) -> bytes:
    """Return a safetensors file with this header."""
    text = content if isinstance(content, bytes) else json.dumps(content).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + bytes(body)


def tensor(shape: list[int], start: int, end: int, kind: str = "F32") -> dict[str, Any]:
    """Return the entry of a tensor in a header of safetensors."""
    return {"dtype": kind, "shape": shape, "data_offsets": [start, end]}


def cases() -> Iterator[Case]:
    """Yield every case about checkpoints."""
    for name in CALLS:
        yield _case(f"calls {name}, in an archive", archive(named_call(name, 2)))
    for name in CALLS[:12]:
        yield _case(f"calls {name}, protocol 0", named_call(name, 0))
        yield _case(f"calls {name}, protocol 4", named_call(name, 4))
    for name, content, *expected in _FILES:
        yield _case(name, content, *expected)
    for name, config in _CONFIGS.items():
        yield Case("checkpoint", f"a folder whose {name}", partial(load_folder, config), REFUSED)
    yield Case("checkpoint", "20,001 tensors", partial(load_many, 20_001), REFUSED)


def _case(name: str, content: bytes | Callable[[Path], bytes], *expected: str) -> Case:
    return Case("checkpoint", name, partial(read, content), expected or REFUSED)


def _touch(folder: Path, protocol: int = 2, tail: bytes = b".") -> bytes:
    return pickle.dumps(Touch(folder), protocol)[:-1] + tail


def _saved(content: object, **options: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer, **options)
    return buffer.getvalue()


def _flag(bits: int) -> bytes:
    content = bytearray(archive())
    place = content.index(b"PK\x01\x02")
    content[place + 8] |= bits
    return bytes(content)


def _wrong_sum() -> bytes:
    content = bytearray(archive())
    content[content.index(struct.pack("<f", 1.0) * 4) + 1] ^= 0x40
    return bytes(content)


def _many_members() -> bytes:
    """Return an archive whose directory lists one member 150,000 times."""
    entry = b"PK\x01\x02" + bytes(24) + struct.pack("<HHHHHII", 1, 0, 0, 0, 0, 0, 0) + b"a"
    listed = entry * 150_000
    counts = struct.pack("<HHHHIIH", 0, 0, 65535, 65535, len(listed), 30, 0)
    return b"PK\x03\x04" + bytes(26) + listed + b"PK\x05\x06" + counts


def _shared_bytes() -> bytes:
    """Return an archive in which two members are the same bytes of the file."""
    content = bytearray(archive(more={"archive/data/77": bytes(16)}))
    directory = [i for i in range(len(content)) if content[i : i + 4] == b"PK\x01\x02"]
    first, last = directory[1], directory[-1]
    content[last + 42 : last + 46] = content[first + 42 : first + 46]
    return bytes(content)


GOOD = save(weights())
_VIT = "vit_tiny_patch16_224"
_CONFIGS: dict[str, dict[str, Any]] = {
    "config asks for ten million layers": {"architecture": _VIT, "model_args": {"depth": 10**7}},
    "config asks for layers of 10^15 numbers": {
        "architecture": _VIT,
        "model_args": {"embed_dim": 3 * 2**48},
    },
    "config names a file for the weights": {
        "architecture": "resnet18",
        "model_args": {"checkpoint_path": "/etc/passwd", "pretrained": True},
    },
    "config names a model of a hub": {"architecture": "hf-hub:a/b"},
    "config points to code": {"auto_map": {"AutoModel": "evil.Model"}, "architectures": ["Evil"]},
}
_FILES: list[tuple[Any, ...]] = [
    ("an ordinary file of torch.save", archive(), "used"),
    ("an ordinary file of safetensors", GOOD, "used"),
    ("empty", b""),
    ("random bytes", bytes((i * 7919) % 251 for i in range(5000))),
    ("404 Not Found", b"404 Not Found"),
    ("a git-lfs pointer", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"),
    ("a web page", b"<!DOCTYPE html><title>Log in</title>"),
    ("half an archive", archive()[: len(archive()) // 2]),
    ("an archive without its last 30 bytes", archive()[:-30]),
    ("a member's checksum wrong", _wrong_sum()),
    ("flagged as encrypted", _flag(0x1)),
    ("flagged as strongly encrypted", _flag(0x40)),
    ("7z under another name", b"7z\xbc\xaf\x27\x1c" + bytes(99)),
    ("gzip", b"\x1f\x8b\x08" + bytes(99)),
    ("tar", b"data.pkl".ljust(257, b"\0") + b"ustar\x0000" + bytes(500)),
    ("HDF5", b"\x89HDF\r\n\x1a\n" + bytes(99)),
    ("a program", b"\x7fELF" + bytes(99)),
    ("member ../../x", archive(more={"../../x": b"x"})),
    ("member /etc/x", archive(more={"/etc/x": b"x"})),
    ("member with backslashes", archive(more={"a\\..\\x": b"x"})),
    ("two members data.pkl", archive(more={"other/data.pkl": b"N."})),
    ("two members that differ in case", archive(more={"ARCHIVE/DATA.PKL": b"N."})),
    ("two archives, one after the other", archive() + archive(content={"w": torch.ones(3)})),
    ("an archive behind other bytes", b"\x80\x02N." + archive()),
    ("a member of 200 MB in 200 KB", archive(more={"z": bytes(2 * 10**8)}, packing=8)),
    ("150,000 members in 7 MB", _many_members()),
    ("two members in the same place", _shared_bytes()),
    ("an archive within", archive(more={"inner.zip": archive()}), "used", "refused"),
    ("makes a folder, protocol 0", partial(_touch, protocol=0)),
    ("makes a folder, protocol 2", _touch),
    ("makes a folder, protocol 4", partial(_touch, protocol=4)),
    ("makes a folder, then an unknown opcode", partial(_touch, tail=b"\xff")),
    ("makes a folder, then breaks off", partial(_touch, tail=b"")),
    ("makes a folder, and drops what that gives", partial(_touch, tail=b"0N.")),
    ("makes a folder, in an archive", lambda f: _saved({"w": torch.ones(3), "x": Touch(f)})),
    (
        "makes a folder, in an old file",
        lambda f: _saved({"x": Touch(f)}, _use_new_zipfile_serialization=False),
    ),
    (
        "a name from memory",
        archive(b"\x80\x04\x8c\x05posixq\x000\x8c\x06systemq\x010h\x00h\x01\x93."),
    ),
    ("a name that was never stored", archive(b"\x80\x02h\x07.")),
    ("takes from an empty stack", archive(b"\x80\x02" + b"0" * 9 + b".")),
    ("a registered extension", archive(b"\x80\x02\x82\x01.")),
    ("a persistent id of another kind", archive(b"\x80\x02X\x04\x00\x00\x00evilQ.")),
    ("BUILD on a class", archive(b"\x80\x02ccollections\nOrderedDict\n}b.")),
    (
        "tuples that double 60 times",
        archive(b"\x80\x02)" + b"".join(b"q%c0h%ch%c\x86" % (i, i, i) for i in range(60)) + b"."),
    ),
    (
        "lists nested a million deep",
        archive(b"\x80\x02" + b"]" * 10**6 + b"a" * (10**6 - 1) + b"."),
    ),
    ("tuples nested a million deep", archive(b"\x80\x02)" + b"\x85" * 10**6 + b".")),
    ("three million marks", archive(b"\x80\x02" + b"(" * 3 * 10**6 + b".")),
    ("stores its object number 2**32", archive(b"\x80\x02Nr\xff\xff\xff\xff.")),
    ("bytes of 2**63", b"\x80\x05\x96" + b"\xff" * 7 + b"\x7f."),
    ("text of 2**31 bytes", b"\x80\x02X\xff\xff\xff\x7f."),
    ("a whole module", _saved(torch.nn.Linear(2, 2))),
    ("sparse tensor", _saved({"w": torch.eye(4).to_sparse()})),
    (
        "quantised tensor",
        _saved({"w": torch.quantize_per_tensor(torch.ones(4, 4), 0.1, 0, torch.qint8)}),
    ),
    ("complex tensor", _saved({"w": torch.ones(4, 4, dtype=torch.complex64)})),
    ("tensor without storage", _saved({"w": torch.ones(4, 4, device="meta")})),
    ("one number repeated for ever", _saved({"w": torch.ones(1).expand(2**40)})),
    ("NaN", _saved({"w": torch.full((4, 4), float("nan"))})),
    ("infinity", _saved({"w": torch.full((4, 4), float("inf"))})),
    ("an optimizer's state alone", _saved({"optimizer": {"state": {}, "param_groups": []}})),
    ("a list of numbers", _saved([1, 2, 3])),
    ("header of 2**63 bytes", header({}, length=2**63)),
    ("header longer than the file", header({"w": tensor([4], 0, 16)}, length=10**6)),
    ("header of 26 MB", header(b"{" + b" " * (26 * 2**20) + b"}")),
    (
        "a name twice",
        header(
            b'{"w":{"dtype":"F32","shape":[4],"data_offsets":[0,16]},"w":{"dtype":'
            b'"F32","shape":[4],"data_offsets":[16,32]}}',
            body=32,
        ),
    ),
    ("overlapping tensors", header({"a": tensor([4], 0, 16), "b": tensor([4], 8, 24)}, body=24)),
    ("a tensor beyond the end", header({"a": tensor([400], 0, 1600)}, body=16)),
    ("a gap between tensors", header({"a": tensor([2], 0, 8), "b": tensor([2], 16, 24)}, body=24)),
    ("a shape whose product overflows", header({"a": tensor([2**33, 2**33], 0, 16)}, body=16)),
    ("a negative shape", header({"a": tensor([-4], 0, 16)}, body=16)),
    ("an unknown type", header({"a": tensor([4], 0, 16, "F99")}, body=16)),
    ("a header that is not UTF-8", header(b'{"\xff\xfe": 1}')),
    ("a header that is a list", header(b"[]" + b" " * 6)),
    ("a header of brackets", header(b'{"a":' * 50_000)),
    (
        "a header of 100,001 tensors",
        header({f"t{i}": tensor([0], 0, 0) for i in range(100_001)}, body=0),
    ),
    ("bytes after the last tensor", GOOD + b"PK\x03\x04hidden"),
]
