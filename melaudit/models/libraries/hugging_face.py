"""Folders of Hugging Face: models that transformers defines, under the names of their config.

transformers builds the model and gives the weights their present names; both are its own code. What
a config could make it do besides is taken out or refused: code of the folder's own, attention
kernels from a hub, and anything that is downloaded.
"""

from __future__ import annotations

import importlib.util
import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from melaudit.models.messages import first_line
from melaudit.wording.names import visible

_NO_CODE = (
    "give --factory FILE.py:FUNCTION, a function of your own that builds the model; code in a "
    "folder is never run"
)
_LEFT_OUT = {
    *("_attn_implementation", "_attn_implementation_internal", "attn_implementation"),
    *("_experts_implementation", "_experts_implementation_internal", "experts_implementation"),
    *("dtype", "torch_dtype", "output_attentions", "output_hidden_states", "_commit_hash"),
}
"""What a config may not decide: where kernels come from, precision, and outputs besides logits."""
_ADDS_CODE = ("auto_map", "custom_pipelines", "trust_remote_code")


class FolderError(ValueError):
    """A folder that cannot be followed; the message goes on after the folder's name."""


def is_hugging_face(config: Mapping[str, Any]) -> bool:
    """Tell whether a folder's config is one of transformers; timm's names an architecture."""
    return "architecture" not in config and bool({"model_type", "architectures"} & set(config))


def refuse_code(config: Mapping[str, Any], file: str = "config.json") -> None:
    """Raise FolderError for a config that names code of the folder's own."""
    found = _code(config)
    if found:
        raise FolderError(f"asks in {file} for code of its own ({found}): {_NO_CODE}")


class HuggingFace:
    """One classifier of transformers, as a folder's config describes it."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        """Hold the config against what transformers has; raises FolderError."""
        refuse_code(config)
        if importlib.util.find_spec("transformers") is None:
            raise FolderError(
                f"is the transformers model {_named(config)}: pip install 'melaudit[transformers]'"
            )
        if "quantization_config" in config:
            raise FolderError(
                "holds quantized weights; expected plain floats: give the folder from before it "
                "was quantized"
            )
        self._config = _plain(config)
        # Its module is imported now, because a child process may not.
        self._class = getattr(_transformers(), _class_of(config))

    def __str__(self) -> str:
        return f"transformers {self._class.__name__}"

    @property
    def side(self) -> int | None:
        """The side of images that the config names, in pixels."""
        side = self._config.get("image_size")
        if isinstance(side, list) and len(set(map(str, side))) == 1:
            side = side[0]
        return side if isinstance(side, int) else None

    def build(self, tensors: Mapping[str, Tensor]) -> nn.Module:
        """Build the model with these weights, every one of which must fit; raises FolderError.

        This belongs inside `quiet`.
        """
        try:
            return self._built(tensors)
        except FolderError:
            raise
        except Exception as error:  # a config can ask for anything
            raise FolderError(
                f"is a {self} that cannot be built ({type(error).__name__}: {first_line(error)}); "
                f"{_NO_CODE}"
            ) from error

    def _built(self, tensors: Mapping[str, Tensor]) -> nn.Module:
        kind = _transformers().CONFIG_MAPPING[self._config["model_type"]]
        config = kind.from_dict(self._config)
        model, found = self._class.from_pretrained(
            None,
            config=config,
            state_dict=dict(tensors),
            dtype=torch.float32,
            local_files_only=True,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # then it says which, and so does what follows
        )
        amiss = _differences(found)
        if amiss:
            raise FolderError(f"does not fit the {self} of its config.json: {amiss}")
        made: nn.Module = model.eval()
        return made


@contextmanager
def quiet() -> Iterator[None]:
    """Let transformers print nothing and start no threads, which a child process may not."""
    from transformers.utils import logging

    name = "HF_DEACTIVATE_ASYNC_LOAD"
    level, before = logging.get_verbosity(), os.environ.get(name)
    bars = logging.is_progress_bar_enabled()
    logging.set_verbosity(logging.CRITICAL)
    logging.disable_progress_bar()
    os.environ[name] = "1"
    try:
        with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


def _transformers() -> Any:
    os.environ.setdefault("HF_HUB_OFFLINE", "1")  # read when huggingface_hub is imported
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import transformers

    return transformers


def _class_of(config: Mapping[str, Any]) -> str:
    """Return the class that a config names, which must be a classifier of images."""
    from transformers.models.auto.modeling_auto import (
        MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES as KNOWN,
    )

    kind = config.get("model_type")
    known = KNOWN.get(kind, ()) if isinstance(kind, str) else ()
    known = (known,) if isinstance(known, str) else tuple(known)
    if not known:
        raise FolderError(
            f"is the transformers model {_named(config)}, which is no image classifier of this "
            f"transformers; expected one of its model types {', '.join(list(KNOWN)[:8])} ...: "
            f"upgrade transformers, or {_NO_CODE}"
        )
    wanted = config.get("architectures")
    name = wanted[0] if isinstance(wanted, list) and wanted else known[0]
    if name not in known:
        raise FolderError(
            f"is a {visible(str(name))[:80]}, which does not classify images; expected "
            f"{' or '.join(known)}, the weights of a trained classifier"
        )
    return str(name)


def _named(config: Mapping[str, Any]) -> str:
    names = config.get("architectures")
    name = names[0] if isinstance(names, list) and names else config.get("model_type")
    return repr(visible(str(name))[:80])


def _code(value: Any) -> str:
    """Return the first setting, at any depth, that names code; "" for none."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if key in _ADDS_CODE and inner:
                names = inner.values() if isinstance(inner, Mapping) else [inner]
                return f"{key}: {', '.join(visible(str(name))[:60] for name in list(names)[:3])}"
            if found := _code(inner):
                return found
    return ""


def _plain(value: Any) -> Any:
    """Return a config without what it may not decide."""
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items() if key not in _LEFT_OUT}
    return value


def _differences(found: Mapping[str, Any]) -> str:
    missing = [k for k in sorted(found["missing_keys"]) if not k.endswith("num_batches_tracked")]
    unexpected = sorted(found["unexpected_keys"])
    mismatched = sorted(found["mismatched_keys"])
    parts = []
    if missing:
        parts.append(f"{len(missing)} tensors are missing ({_first(missing)})")
    if unexpected:
        parts.append(f"{len(unexpected)} are unexpected ({_first(unexpected)})")
    if mismatched:
        each = [f"{key} is {tuple(got)}, expected {tuple(want)}" for key, got, want in mismatched]
        parts.append(f"{len(each)} have another shape ({_first(each)})")
    return ", ".join(parts)


def _first(names: list[str]) -> str:
    shown = ", ".join(visible(name)[:100] for name in names[:3])
    return shown + (", ..." if len(names) > 3 else "")
