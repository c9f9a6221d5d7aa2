"""Reading weights: what is refused before it is loaded, and where weights are found."""

import collections
import hashlib
import json
import os
import pickle
import struct
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from melaudit.errors import CheckpointError
from melaudit.models import checkpoint, inspection
from melaudit.models.checkpoint import read_weights
from tests.models.made_up_checkpoints import Foreign, Touch, refusal, same, saved, small

# --- what is read ----------------------------------------------------------------------------


def test_a_state_dict_is_read_as_it_is(tmp_path: Path) -> None:
    path = saved(tmp_path, small())
    weights = read_weights(path)
    assert same(weights.tensors, small())
    assert weights.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (weights.found_under, weights.notes, weights.config) == ("", (), {})


def test_the_old_format_is_read_too(tmp_path: Path) -> None:
    path = saved(tmp_path, small(), _use_new_zipfile_serialization=False)
    assert path.read_bytes()[:1] == b"\x80"
    assert same(read_weights(path).tensors, small())


def test_safetensors_whose_first_byte_is_that_of_a_pickle_are_read(tmp_path: Path) -> None:
    path = tmp_path / "ckpt.safetensors"
    for padding in range(0, 300, 8):  # headers are as long as a multiple of 8 bytes
        save_file(small(), path, {"note": "x" * padding})
        if path.read_bytes()[:1] == b"\x80":
            break
    else:
        pytest.fail("no padding gives this length")
    assert same(read_weights(path).tensors, dict(sorted(small().items())))


def test_safetensors_are_read_whatever_they_are_called(tmp_path: Path) -> None:
    save_file(small(), tmp_path / "ckpt.pt")
    found = read_weights(tmp_path / "ckpt.pt").tensors
    assert found.keys() == small().keys()
    assert torch.equal(found["0.weight"], small()["0.weight"])


def test_torch_may_be_told_to_write_no_checksums(tmp_path: Path) -> None:
    torch.serialization.set_crc32_options(False)
    try:
        path = saved(tmp_path, small())
    finally:
        torch.serialization.set_crc32_options(True)
    assert same(read_weights(path).tensors, small())


@pytest.mark.parametrize(
    "key", ["state_dict", "model_state_dict", "model", "net", "weights", "my_own_name"]
)
def test_weights_are_found_under_their_key(tmp_path: Path, key: str) -> None:
    optimizer = {"state": {0: {"exp_avg": torch.ones(3)}}, "param_groups": [{"lr": 0.1}]}
    path = saved(tmp_path, {"epoch": 3, key: small(), "optimizer": optimizer, "best": 0.9})
    weights = read_weights(path)
    assert weights.found_under == key
    assert same(weights.tensors, small())
    assert key in weights.notes[0]


def test_wrappers_within_wrappers_are_opened(tmp_path: Path) -> None:
    weights = read_weights(saved(tmp_path, {"model": {"state_dict": small()}}))
    assert weights.found_under == "model.state_dict"
    assert same(weights.tensors, small())


def test_raw_weights_are_preferred_to_averaged_ones_and_that_is_said(tmp_path: Path) -> None:
    averaged = {key: torch.zeros_like(value) for key, value in small().items()}
    weights = read_weights(saved(tmp_path, {"state_dict_ema": averaged, "state_dict": small()}))
    assert same(weights.tensors, small())
    assert "averaged" in weights.notes[0]
    assert "state_dict_ema" in weights.notes[0]


def test_averaged_weights_alone_are_used(tmp_path: Path) -> None:
    assert read_weights(saved(tmp_path, {"model_ema": small()})).found_under == "model_ema"


def test_a_lightning_checkpoint_is_read_without_its_loss_weights(tmp_path: Path) -> None:
    state = {f"model.{key}": value for key, value in small().items()}
    state["criterion.weight"] = torch.tensor([1.0, 3.0])
    path = saved(
        tmp_path,
        {
            "epoch": 9,
            "pytorch-lightning_version": "2.5.0",
            "state_dict": collections.OrderedDict(state),
            "hyper_parameters": {"lr": 1e-3, "arch": "small"},
            "optimizer_states": [{"state": {}, "param_groups": []}],
        },
    )
    weights = read_weights(path)
    assert list(weights.tensors) == [f"model.{key}" for key in small()]
    assert any("criterion.weight" in note for note in weights.notes)


def test_a_best_accuracy_of_numpy_is_no_foreign_object(tmp_path: Path) -> None:
    path = saved(tmp_path, {"state_dict": small(), "best": np.float64(0.9), "n": np.int64(3)})
    assert same(read_weights(path).tensors, small())


class Number:
    """A numpy number of a type that there is not: numpy would refuse to make it."""

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return np.float64(1).__reduce__()[0], (NoType(),)  # type: ignore[return-value]


class NoType:
    """The type of such a number."""

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return np.dtype, ("no such type",)


def test_numpy_does_not_get_to_see_the_numbers_of_a_checkpoint(tmp_path: Path) -> None:
    path = saved(tmp_path, {"state_dict": small(), "best": Number()})
    assert same(read_weights(path).tensors, small())


def test_the_count_of_averaged_weights_is_no_weight(tmp_path: Path) -> None:
    averaged = torch.optim.swa_utils.AveragedModel(nn.Linear(3, 2))
    weights = read_weights(saved(tmp_path, averaged.state_dict()))
    assert list(weights.tensors) == ["module.weight", "module.bias"]
    assert any("averaged" in note for note in weights.notes)


@pytest.mark.timeout(20)
def test_a_long_name_takes_no_time(tmp_path: Path) -> None:
    name = "loss" * 100_000
    assert name in read_weights(saved(tmp_path, {**small(), name: torch.ones(1)})).tensors


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions_become_float32_and_that_is_said(
    tmp_path: Path, kind: torch.dtype
) -> None:
    path = saved(
        tmp_path, {k: v.to(kind) if v.is_floating_point() else v for k, v in small().items()}
    )
    weights = read_weights(path)
    assert weights.tensors["0.weight"].dtype is torch.float32
    assert weights.tensors["1.num_batches_tracked"].dtype is torch.int64
    torch.testing.assert_close(weights.tensors["0.weight"], small()["0.weight"], atol=1e-2, rtol=0)
    assert str(kind).removeprefix("torch.") in weights.notes[0]


def folder_of(path: Path, config: object) -> Path:
    path.mkdir()
    (path / "config.json").write_text(json.dumps(config))
    return path


def test_a_folder_gives_its_weights_and_its_config(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "hub", {"architecture": "x", "auto_map": {"AutoModel": "m.M"}})
    save_file(small(), folder / "model.safetensors")
    (folder / "m.py").write_text(f"import os; os.mkdir({str(tmp_path / 'ran')!r})")
    (folder / "preprocessor_config.json").write_text('{"image_mean": [0.5, 0.5, 0.5]}')
    weights = read_weights(folder)
    assert weights.config["architecture"] == "x"
    assert weights.preprocessor == {"image_mean": [0.5, 0.5, 0.5]}
    assert weights.tensors.keys() == small().keys()
    assert not (tmp_path / "ran").exists()


def test_shards_are_put_together(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "hub", {})
    items = list(small().items())
    save_file(dict(items[:3]), folder / "a.safetensors")
    save_file(dict(items[3:]), folder / "b.safetensors")
    places = {
        key: "a.safetensors" if i < 3 else "b.safetensors" for i, (key, _) in enumerate(items)
    }
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": places}))
    assert read_weights(folder).tensors.keys() == small().keys()


@pytest.mark.parametrize("name", ["../secret.safetensors", "/etc/passwd", "..", "a/b", ""])
def test_a_shard_outside_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    save_file(small(), tmp_path / "secret.safetensors")
    folder = folder_of(tmp_path / "hub", {})
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"a": name}}))
    with pytest.raises(CheckpointError, match="index with a shard"):
        read_weights(folder)


# --- what is refused -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty"),
        (b"404 Not Found\n", "text that begins '404 Not Found'"),
        (b"<!DOCTYPE html><html>Sign in</html>", "web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n", "git lfs pull"),
        (bytes(range(256)) * 8, "unknown kind"),
        (b"\x89HDF\r\n\x1a\n" + bytes(64), "HDF5"),
        (b"\x1c\x00\x00\x00TFL3" + bytes(64), "TensorFlow Lite"),
        (b"\x1f\x8b\x08" + bytes(64), "gzip"),
        (b"7z\xbc\xaf\x27\x1c" + bytes(64), "7z"),
        (b"\x93NUMPY\x01\x00", "numpy"),
        (struct.pack("<Q", 2**63) + b"{" + bytes(64), "header claims"),
        (struct.pack("<Q", 9999) + b'{"a": ', "breaks off"),
        (b"PK\x03\x04" + bytes(64), "zip"),
        (b"\x80", "broken pickle"),
    ],
)
def test_what_is_no_checkpoint_is_named(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "ckpt.pt"
    path.write_bytes(content)
    assert said in refusal(path)


def test_missing_files_and_plain_folders_are_named(tmp_path: Path) -> None:
    assert "does not exist" in refusal(tmp_path / "none.pt")
    assert "without config.json" in refusal(tmp_path)
    folder_of(tmp_path / "hub", {})
    assert "no weights" in refusal(tmp_path / "hub")


@pytest.mark.timeout(20)
def test_a_pipe_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "ckpt.pt")
    assert "not a regular file" in refusal(tmp_path / "ckpt.pt")


def test_a_name_full_of_control_characters_is_shown_escaped(tmp_path: Path) -> None:
    path = tmp_path / "a\nb\x1b[31m.pt"
    path.write_bytes(b"")
    with pytest.raises(CheckpointError) as caught:
        read_weights(path)
    assert str(caught.value).isprintable()


def test_a_large_file_is_refused_unread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "read_bytes", lambda p: inspection.read_bytes(p, 1000))
    assert "larger than" in refusal(saved(tmp_path, small()))


@pytest.mark.parametrize("keep", [0.3, 0.9, 0.999])
def test_a_truncated_file_is_said_to_be_damaged(tmp_path: Path, keep: float) -> None:
    for old in (False, True):
        path = saved(tmp_path, small(), _use_new_zipfile_serialization=not old)
        content = path.read_bytes()
        path.write_bytes(content[: int(len(content) * keep)])
        assert "get it again" in refusal(path)


def test_a_flipped_bit_is_noticed(tmp_path: Path) -> None:
    path = saved(tmp_path, {"weight": torch.ones(1000)})
    content = bytearray(path.read_bytes())
    place = content.index(struct.pack("<4f", 1, 1, 1, 1)) + 2000
    content[place] ^= 1
    path.write_bytes(content)
    assert "checksum" in refusal(path)


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
@pytest.mark.parametrize("old", [False, True])
def test_a_pickle_that_would_run_code_does_not(tmp_path: Path, protocol: int, old: bool) -> None:
    trap = tmp_path / "ran"
    content = {"state_dict": small(), "extra": Touch(trap)}
    path = saved(
        tmp_path, content, pickle_protocol=protocol, _use_new_zipfile_serialization=not old
    )
    message = refusal(path)
    assert "mkdir" in message
    out = path.with_suffix(".safetensors")
    assert f"`melaudit convert --i-trust-this-file {path} {out}`" in message
    assert not trap.exists()


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_a_plain_pickle_that_would_run_code_does_not(tmp_path: Path, protocol: int) -> None:
    trap = tmp_path / "ran"
    path = tmp_path / "ckpt.pt"
    path.write_bytes(pickle.dumps(Touch(trap), protocol))
    assert "mkdir" in refusal(path)
    assert not trap.exists()


def test_a_payload_before_a_broken_end_does_not_run(tmp_path: Path) -> None:
    trap = tmp_path / "ran"
    path = tmp_path / "ckpt.pt"
    payload = pickle.dumps(Touch(trap), 2)
    for content in (payload[:-1], payload[:-1] + b"\xff", payload[:-1] + b"0."):
        path.write_bytes(content)
        refusal(path)
    assert not trap.exists()


def test_bytes_in_a_checkpoint_are_no_foreign_objects(tmp_path: Path) -> None:
    path = saved(tmp_path, {"state_dict": small(), "digest": bytes(range(256))})
    assert same(read_weights(path).tensors, small())


def test_foreign_objects_are_named(tmp_path: Path) -> None:
    message = refusal(saved(tmp_path, {"state_dict": small(), "config": Foreign()}))
    assert "Foreign" in message
    assert "save model.state_dict()" in message


def test_a_whole_module_is_refused_with_what_to_do(tmp_path: Path) -> None:
    message = refusal(saved(tmp_path, nn.Sequential(nn.Linear(2, 2))))
    assert "torch.nn.modules.container.Sequential" in message
    assert "melaudit convert" in message


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_torchscript_is_refused_with_what_to_do(tmp_path: Path) -> None:
    torch.jit.script(nn.Linear(2, 2)).save(str(tmp_path / "ckpt.pt"))
    message = refusal(tmp_path / "ckpt.pt")
    assert "TorchScript" in message
    assert "melaudit convert" in message


def test_an_exported_program_is_refused_with_what_to_do(tmp_path: Path) -> None:
    program = torch.export.export(nn.Linear(2, 2).eval(), (torch.zeros(1, 2),))
    torch.export.save(program, tmp_path / "ckpt.pt2")
    message = refusal(tmp_path / "ckpt.pt2")
    assert "exported program" in message
    assert "melaudit convert" in message


@pytest.mark.parametrize(
    "content",
    [
        {"state": {0: {"exp_avg": torch.ones(3)}}, "param_groups": [{"lr": 0.1}]},
        {"optimizer": {"state": {}, "param_groups": []}, "epoch": 1, "lr_scheduler": {}},
    ],
)
def test_the_state_of_an_optimizer_is_no_model(tmp_path: Path, content: object) -> None:
    assert "optimizer" in refusal(saved(tmp_path, content))


@pytest.mark.parametrize("content", [torch.ones(3), [torch.ones(3)], {"a": 1}, {}, None])
def test_what_holds_no_weights_is_said_not_to(tmp_path: Path, content: object) -> None:
    assert "holds no weights" in refusal(saved(tmp_path, content))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_numbers_that_are_not_finite_are_refused(tmp_path: Path, value: float) -> None:
    state = small()
    state["3.weight"][1, 2] = value
    assert "3.weight" in refusal(saved(tmp_path, state))


def test_a_double_too_large_for_float32_is_refused(tmp_path: Path) -> None:
    state = {**small(), "3.weight": torch.full((2, 4), 1e300, dtype=torch.float64)}
    assert "3.weight" in refusal(saved(tmp_path, state))


def test_a_negative_variance_is_refused(tmp_path: Path) -> None:
    state = small()
    state["1.running_var"][0] = -1
    assert "1.running_var" in refusal(saved(tmp_path, state))


def test_a_kind_of_tensor_that_is_no_plain_float_is_refused(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        quantized = torch.quantize_per_tensor(torch.ones(2, 2), 0.1, 0, torch.qint8)
    for odd in (torch.ones(2, 2).to_sparse(), torch.ones(2, 2, dtype=torch.complex64), quantized):
        assert "3.weight" in refusal(saved(tmp_path, {**small(), "3.weight": odd}))


def test_a_tensor_that_repeats_one_number_for_ever_is_refused(tmp_path: Path) -> None:
    path = saved(tmp_path, {"weight": torch.ones(1).expand(2**40)})
    assert "larger than the file" in refusal(path)
