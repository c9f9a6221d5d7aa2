"""Every form of checkpoint that people have, made small."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable, Mapping
from functools import cache, partial
from pathlib import Path
from typing import Any

import torch
import torchvision
from safetensors.torch import save_file
from torch import Tensor, nn

from melaudit.models.architectures import load_model
from tests.docs.forms import Form, Subject

NET = """\
from torch import nn

def build():
    layers = nn.Conv2d(3, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    return nn.Sequential(*layers, nn.Linear(8, 2))
"""


@cache
def weights(classes: int = 2) -> Mapping[str, Tensor]:
    """Return those of a small network of torchvision."""
    return dict(torchvision.models.squeezenet1_1(num_classes=classes).state_dict())


def own() -> nn.Module:
    """Return the network that NET builds."""
    layers = nn.Conv2d(3, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    return nn.Sequential(*layers, nn.Linear(8, 2))


def loaded(path: str, **options: Any) -> str:
    """Load a checkpoint, and say what it is as `melaudit run` does."""
    model = load_model(Path(path), **options)
    notes = "".join(f"; {note.rstrip('.')}" for note in model.notes)
    return f"model: {model.name} is {model.architecture}{notes}"


def saved(content: Callable[[], object], name: str = "ckpt.pt", **options: Any) -> str:
    """Save something with torch.save, and load it."""
    torch.save(content(), name)
    return loaded(name, **options)


def written(content: bytes, name: str) -> str:
    """Write a file, and load it."""
    Path(name).write_bytes(content)
    return loaded(name)


def safetensors() -> str:
    """Save weights as safetensors, and load them."""
    save_file(dict(weights()), "model.safetensors")
    return loaded("model.safetensors")


def timm_folder() -> str:
    """Save a folder as timm's `save_for_hf` does, and load it."""
    import timm

    name = "test_resnet.r160_in1k"
    model = timm.create_model(name, num_classes=2)
    Path("model").mkdir()
    config = {
        "architecture": "test_resnet",
        "num_classes": 2,
        "label_names": ["benign", "malignant"],
        "pretrained_cfg": {
            "input_size": [3, 160, 160],
            "mean": [0.5, 0.5, 0.5],
            "std": [0.5, 0.5, 0.5],
        },
    }
    Path("model/config.json").write_text(json.dumps(config), encoding="utf-8")
    save_file(model.state_dict(), "model/model.safetensors")
    return loaded("model")


def hugging_face_folder(**changes: object) -> str:
    """Save a folder as transformers' `save_pretrained` does, and load it."""
    import transformers

    config = transformers.ResNetConfig(
        embedding_size=8,
        hidden_sizes=[8, 16],
        depths=[1, 1],
        id2label={0: "benign", 1: "malignant"},
    )
    transformers.utils.logging.disable_progress_bar()
    transformers.ResNetForImageClassification(config).save_pretrained("model")
    transformers.utils.logging.enable_progress_bar()
    place = Path("model/config.json")
    told = {**json.loads(place.read_text(encoding="utf-8")), **changes}
    place.write_text(json.dumps(told), encoding="utf-8")
    return loaded("model")


def head_beside() -> dict[str, Tensor]:
    """Return weights of a LightningModule with a trunk and a head."""
    from torchvision.models import mobilenet_v3_small

    trunk = mobilenet_v3_small()
    trunk.classifier = nn.Identity()
    both = nn.ModuleDict({"backbone": trunk, "head": nn.Linear(576, 2)})
    return dict(both.state_dict())


def with_factory() -> str:
    """Write a builder, and load the weights of what it builds."""
    Path("net.py").write_text(NET, encoding="utf-8")
    return saved(lambda: own().state_dict(), factory="net.py:build")


def whole_module() -> str:
    """Save a whole module, as torch.save(model) does, and load it."""
    return saved(own)


def plain_pickle() -> str:
    """Pickle weights without torch.save, and load them."""
    return written(pickle.dumps({"fc.weight": [1.0]}), "model.pkl")


def scripted() -> str:
    """Save a TorchScript program, and load it."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns that TorchScript ends
        torch.jit.trace(own(), torch.rand(1, 3, 32, 32)).save("model.pt")
    return loaded("model.pt")


def exported() -> str:
    """Save an exported program, and load it."""
    program = torch.export.export(own().eval(), (torch.rand(1, 3, 32, 32),))
    torch.export.save(program, "model.pt2")
    return loaded("model.pt2")


def wrapped() -> dict[str, object]:
    """Return what a script of training keeps beside the weights."""
    prefixed = {f"module.{name}": tensor for name, tensor in weights().items()}
    return {"epoch": 3, "model": prefixed, "optimizer": {"lr": 0.1}}


def lightning() -> dict[str, object]:
    """Return a checkpoint of Lightning."""
    prefixed = {f"model.{name}": tensor for name, tensor in weights().items()}
    return {"pytorch-lightning_version": "2.6.6", "epoch": 3, "state_dict": prefixed}


def half() -> bytes:
    """Return a checkpoint of which a half arrived."""
    import io

    buffer = io.BytesIO()
    torch.save(dict(weights()), buffer)
    return buffer.getvalue()[: buffer.tell() // 2]


HEAD = """\
# Every form of checkpoint

Written by `make reference`: each form below is made by `tests/docs/forms_of_checkpoints.py`,
given to melaudit, and its answer copied here; a test checks that the answers are current.

Nothing in a checkpoint is ever executed: a pickle that would run code is refused, and names what
it would import ([how](reliability.md#the-process-that-reads-a-checkpoint)). Every weight must fit
the architecture; a single one that is missing, of another shape or left over is refused.
`melaudit doctor` says of a model what it is, before an audit.

Size, mean, standard deviation and crop of the images must be those of your own pipeline:
`--image-size`, `--mean`, `--std`, `--crop`. Weights seldom say them. What was resolved is printed
and stands in the report.

## What is taken
"""
REFUSED = """\
## What is refused, and the way out

A refusal says what the file is, what was expected and what to do.
"""

USED = (
    Form(
        "A state_dict",
        "`torch.save(model.state_dict(), ...)`, of a classifier of torchvision or, where they are "
        "installed, of timm or MONAI. The architecture is inferred from names and shapes.",
        "--model ckpt.pt --data images --image-size 224",
        partial(saved, weights),
    ),
    Form(
        "A state_dict, with the name of the architecture",
        "Where several architectures have these names and shapes, or to be sure. `timm:NAME` "
        "is one of timm.",
        "--model ckpt.pt --arch squeezenet1_1 --data images --image-size 224",
        partial(saved, weights, arch="squeezenet1_1"),
    ),
    Form(
        "A dictionary around the weights",
        "What training scripts keep: `state_dict`, `model`, `ema` and the like beside an "
        "epoch and an optimizer, with or without the "
        "prefixes of DataParallel and `torch.compile`.",
        "--model ckpt.pt --data images --image-size 224",
        partial(saved, wrapped),
    ),
    Form(
        "A checkpoint of Lightning",
        "Its network may be an attribute of the LightningModule; hyperparameters are not read.",
        "--model last.ckpt --data images --image-size 224",
        partial(saved, lightning, name="last.ckpt"),
    ),
    Form(
        "safetensors", "", "--model model.safetensors --data images --image-size 224", safetensors
    ),
    Form(
        "A folder of timm",
        "A `config.json` beside `model.safetensors`, as timm writes for the Hub. It brings "
        "the architecture, the names of the classes and "
        "the preprocessing. Needs timm (`pip install 'melaudit[timm]'`).",
        "--model model --data images",
        timm_folder,
    ),
    Form(
        "A folder of Hugging Face",
        "`config.json`, `model.safetensors` and `preprocessor_config.json`, as `save_pretrained` "
        "writes them, of any image classifier that transformers itself defines. transformers "
        "builds the model and gives the weights their names, first in the process that reads "
        "checkpoints; `id2label` and the image processor give classes and preprocessing. Nothing "
        "is downloaded. Needs transformers (`pip install 'melaudit[transformers]'`).",
        "--model model --data images",
        hugging_face_folder,
    ),
    Form(
        "A head beside the trunk",
        "A LightningModule with `self.backbone` and `self.head`: images are taken to go through "
        "one and then the other. The head may be one linear layer or several.",
        "--model ckpt.pt --data images --image-size 224",
        partial(saved, head_beside),
    ),
    Form(
        "A network of your own",
        "Name a function without arguments that builds it. This runs your code. Anything that"
        " returns one "
        "logit for each class will do.",
        "--model ckpt.pt --factory net.py:build --data images --image-size 224",
        with_factory,
    ),
)
REFUSALS = (
    Form(
        "A whole pickled module",
        "`torch.save(model)` stores the names of your classes, which loading would import and run.",
        "--model ckpt.pt --data images",
        whole_module,
    ),
    Form(
        "A plain pickle",
        "Of joblib or pickle.",
        "--model model.pkl --data images",
        plain_pickle,
    ),
    Form(
        "An export of fastai",
        "`learn.export()`. What `learn.save()` writes is converted, and needs the same function. "
        "Files of Ultralytics are refused by name, too.",
        "--model export.pkl --data images",
        partial(written, b"\x80\x02cfastai.learner\nLearner\n)\x81.", "export.pkl"),
    ),
    Form(
        "A folder of Hugging Face with code of its own",
        "",
        "--model model --data images",
        partial(
            hugging_face_folder,
            auto_map={"AutoModelForImageClassification": "modeling_own.OwnClassifier"},
        ),
    ),
    Form("TorchScript", "", "--model model.pt --data images", scripted),
    Form("An exported program", "", "--model model.pt2 --data images", exported),
    Form(
        "ONNX", "", "--model model.onnx --data images", partial(written, b"\x08\x07", "model.onnx")
    ),
    Form(
        "Keras or TensorFlow",
        "",
        "--model model.h5 --data images",
        partial(written, b"\x89HDF\r\n\x1a\n", "model.h5"),
    ),
    Form(
        "Weights of no known architecture",
        "",
        "--model ckpt.pt --data images",
        partial(saved, lambda: own().state_dict()),
    ),
    Form(
        "Another architecture than was named",
        "",
        "--model ckpt.pt --arch resnet18 --data images",
        partial(saved, weights, arch="resnet18"),
    ),
    Form(
        "A name with a slip",
        "",
        "--model ckpt.pt --arch resnet81 --data images",
        partial(saved, weights, arch="resnet81"),
    ),
    Form(
        "Half a download", "", "--model ckpt.pt --data images", lambda: written(half(), "ckpt.pt")
    ),
    Form(
        "A pointer of git-lfs",
        "",
        "--model ckpt.pt --data images",
        partial(written, b"version https://git-lfs.github.com/spec/v1\n", "ckpt.pt"),
    ),
    Form("Nothing there", "", "--model ckpt.pt --data images", partial(loaded, "ckpt.pt")),
)

SUBJECT = Subject("docs/checkpoints.md", HEAD, USED, REFUSED, REFUSALS)
