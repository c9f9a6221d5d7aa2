"""Converting: weights come out of files that are more than weights, and nothing in them runs."""

import os
import pickle
import re
import shlex
import socket
import subprocess
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from melaudit.errors import CheckpointError
from melaudit.models.checkpoint import read_weights
from melaudit.models.convert import convert


def net() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, 2)
    ).eval()


def converted(tmp_path: Path, path: Path) -> tuple[dict[str, Tensor], list[str]]:
    out = tmp_path / "out.safetensors"
    messages = convert(path, out)
    assert list(read_weights(out).tensors) == sorted(load_file(out))
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []
    return load_file(out), messages


def assert_same(found: dict[str, Tensor], expected: dict[str, Any]) -> None:
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        assert torch.equal(found[key], value), key


@pytest.fixture
def lost_package() -> Iterator[types.ModuleType]:
    """A package that is there when a file is saved, and gone when it is read."""
    module = types.ModuleType("lost_package")
    source = """
from torch import nn
class CfgNode(dict):
    def __init__(self, items=()):
        super().__init__(items)
        self.frozen = True
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.trunk = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
        self.head = nn.Linear(4, 2)
        self.register_buffer("passing", torch.ones(3), persistent=False)
class Trainer:
    def __init__(self, model):
        self.model, self.rate = model, 0.1
"""
    sys.modules["lost_package"] = module
    exec("import torch\n" + source, vars(module))
    yield module
    sys.modules.pop("lost_package", None)


@pytest.mark.parametrize("old", [False, True])
def test_a_checkpoint_with_a_foreign_config_gives_its_weights(
    tmp_path: Path, lost_package: types.ModuleType, old: bool
) -> None:
    model = net()
    optimizer = torch.optim.Adam(model.parameters())
    content = {
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "lr_scheduler": {"base_lrs": [0.1], "last_epoch": 3},
        "scaler": {"scale": 65536.0},
        "epoch": 3,
        "config": lost_package.CfgNode({"MODEL": lost_package.CfgNode({"TYPE": "net"})}),
    }
    torch.save(content, tmp_path / "ckpt.pt", _use_new_zipfile_serialization=not old)
    del sys.modules["lost_package"]
    with pytest.raises(CheckpointError, match=r"lost_package\.CfgNode"):
        read_weights(tmp_path / "ckpt.pt")
    found, messages = converted(tmp_path, tmp_path / "ckpt.pt")
    assert_same(found, model.state_dict())
    assert any("lost_package.CfgNode" in message for message in messages)


@pytest.mark.filterwarnings("ignore:Couldn't retrieve source code")
@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize("old", [False, True])
def test_a_pickled_module_gives_its_state_dict_without_its_code(
    tmp_path: Path, lost_package: types.ModuleType, old: bool, protocol: int
) -> None:
    model = lost_package.Net()
    torch.save(
        model,
        tmp_path / "ckpt.pt",
        _use_new_zipfile_serialization=not old,
        pickle_protocol=protocol,
    )
    del sys.modules["lost_package"]
    found, messages = converted(tmp_path, tmp_path / "ckpt.pt")
    assert_same(found, model.state_dict())
    assert any("lost_package.Net" in message for message in messages)


def test_a_module_inside_a_trainer_inside_a_mapping_is_found(
    tmp_path: Path, lost_package: types.ModuleType
) -> None:
    model = nn.DataParallel(lost_package.Net())
    torch.save({"epoch": 1, "trainer": lost_package.Trainer(model)}, tmp_path / "ckpt.pt")
    found, _ = converted(tmp_path, tmp_path / "ckpt.pt")
    assert_same(found, model.state_dict())


def test_a_plain_pickle_gives_its_weights(tmp_path: Path) -> None:
    (tmp_path / "ckpt.pkl").write_bytes(pickle.dumps({"state_dict": net().state_dict()}))
    found, _ = converted(tmp_path, tmp_path / "ckpt.pkl")
    assert_same(found, net().state_dict())


def test_a_traced_graph_gives_its_weights(tmp_path: Path) -> None:
    torch.save(torch.fx.symbolic_trace(net()), tmp_path / "ckpt.pt")
    found, _ = converted(tmp_path, tmp_path / "ckpt.pt")
    assert_same(found, net().state_dict())


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_torchscript_gives_its_weights(tmp_path: Path) -> None:
    torch.jit.script(net()).save(str(tmp_path / "ckpt.pt"))
    found, messages = converted(tmp_path, tmp_path / "ckpt.pt")
    assert_same(found, net().state_dict())
    assert "TorchScript" in messages[0]


def test_an_exported_program_gives_its_weights(tmp_path: Path) -> None:
    model = net()
    torch.export.save(torch.export.export(model, (torch.zeros(1, 3, 3, 3),)), tmp_path / "a.pt2")
    found, messages = converted(tmp_path, tmp_path / "a.pt2")
    assert_same(found, model.state_dict())
    assert "exported program" in messages[0]


def exported(path: Path) -> None:
    torch.export.save(torch.export.export(net(), (torch.zeros(1, 3, 3, 3),)), path)


@pytest.mark.parametrize("name", ["whole.pt", "it's program.pt2"])
def test_the_command_in_a_refusal_runs_where_it_was_read(tmp_path: Path, name: str) -> None:
    """In a process of its own, which has imported nothing that made the file."""
    (tmp_path / "weights of it").mkdir()
    path = Path("weights of it", name)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        exported(path) if path.suffix == ".pt2" else torch.save(net(), path)
        with pytest.raises(CheckpointError) as refusal:
            read_weights(path)
    named = re.search(r"`melaudit (convert [^`]+)`", str(refusal.value))
    assert named is not None
    code = "import sys; from melaudit.cli import main; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", code, *shlex.split(named[1])]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert_same(load_file(tmp_path / path.with_suffix(".safetensors")), net().state_dict())


def test_what_needs_no_trust_is_converted_too(tmp_path: Path) -> None:
    tied = torch.ones(2, 2)
    torch.save({"a.weight": tied, "b.weight": tied, "c.weight": tied.T}, tmp_path / "ckpt.pt")
    found, messages = converted(tmp_path, tmp_path / "ckpt.pt")
    assert_same(found, {"a.weight": tied, "b.weight": tied, "c.weight": tied})
    assert "weights only" in messages[0]


class Touch:
    """Unpickling this would make a folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
        return os.mkdir, (str(self.path),)


def test_code_in_a_trusted_pickle_does_not_run_either(tmp_path: Path) -> None:
    trap = tmp_path / "ran"
    content = {"state_dict": net().state_dict(), "extra": Touch(trap)}
    torch.save(content, tmp_path / "ckpt.pt")
    found, _ = converted(tmp_path, tmp_path / "ckpt.pt")
    assert_same(found, net().state_dict())
    (tmp_path / "ckpt.pkl").write_bytes(pickle.dumps(content))
    convert(tmp_path / "ckpt.pkl", tmp_path / "other.safetensors")
    assert not trap.exists()


@pytest.mark.parametrize(
    "payload",
    [
        b"cos\nsystem\n(S'mkdir ran'\ntR.",
        b"\x80\x02cbuiltins\neval\nX\x01\x00\x00\x001\x85R.",
        b"\x80\x02cbuiltins\ngetattr\ncos\nsystem\nX\x03\x00\x00\x00abc\x86R.",
        b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x09mkdir ran\x85R.",
        b"\x80\x02cpkgutil\nresolve_name\nX\x09\x00\x00\x00os:system\x85R"
        b"X\x09\x00\x00\x00mkdir ran\x85R.",
        b"\x80\x02cfunctools\npartial\ncos\nsystem\nX\x09\x00\x00\x00mkdir ran\x86R)R.",
    ],
)
def test_known_payloads_hold_no_weights_and_do_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, payload: bytes
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ckpt.pt").write_bytes(payload)
    with pytest.raises(CheckpointError):
        convert(tmp_path / "ckpt.pt", tmp_path / "out.safetensors")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ckpt.pt"]


def test_an_existing_file_is_not_overwritten(tmp_path: Path) -> None:
    torch.save(net().state_dict(), tmp_path / "ckpt.pt")
    before = (tmp_path / "ckpt.pt").read_bytes()
    with pytest.raises(CheckpointError, match="exists already"):
        convert(tmp_path / "ckpt.pt", tmp_path / "ckpt.pt")
    assert (tmp_path / "ckpt.pt").read_bytes() == before


def test_what_cannot_be_written_is_said(tmp_path: Path) -> None:
    torch.save(net().state_dict(), tmp_path / "ckpt.pt")
    with pytest.raises(CheckpointError, match="cannot be written"):
        convert(tmp_path / "ckpt.pt", tmp_path / "none" / "out.safetensors")


def test_a_failed_write_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.save(net().state_dict(), tmp_path / "ckpt.pt")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(CheckpointError, match="No space left"):
        convert(tmp_path / "ckpt.pt", tmp_path / "out.safetensors")
    assert [path.name for path in tmp_path.iterdir()] == ["ckpt.pt"]


@pytest.mark.parametrize("content", [b"404 Not Found", b"", b"PK\x03\x04" + bytes(40)])
def test_what_is_no_checkpoint_stays_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "ckpt.pt").write_bytes(content)
    with pytest.raises(CheckpointError):
        convert(tmp_path / "ckpt.pt", tmp_path / "out.safetensors")


def test_weights_that_are_not_finite_are_not_written(tmp_path: Path) -> None:
    torch.save({"weight": torch.tensor([float("nan")])}, tmp_path / "ckpt.pt")
    with pytest.raises(CheckpointError, match="NaN"):
        convert(tmp_path / "ckpt.pt", tmp_path / "out.safetensors")
    assert not (tmp_path / "out.safetensors").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="the fences are of Linux")
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.parametrize(
    ("act", "told"),
    [
        (lambda path: path.write_text("I was here"), "PermissionError"),
        (lambda _: socket.socket(), "PermissionError"),
        (lambda _: bytearray(2**45), "memory"),
    ],
)
def test_what_a_program_does_when_it_is_opened_it_does_behind_fences(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    act: Callable[[Path], object],
    told: str,
) -> None:
    torch.jit.script(net()).save(str(tmp_path / "ckpt.pt"))
    monkeypatch.setattr(torch.jit, "load", lambda *_, **__: act(tmp_path / "trace"))
    with pytest.raises(CheckpointError, match=told):
        convert(tmp_path / "ckpt.pt", tmp_path / "out.safetensors")
    assert [path.name for path in tmp_path.iterdir()] == ["ckpt.pt"]
