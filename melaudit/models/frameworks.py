"""Models of other frameworks: told apart by name and first bytes, and refused with the way out.

Most of these files are bare protocol buffers, which only their name tells apart.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from melaudit.models.messages import refuse

_GLANCE_BYTES = 4096

_MODULES = "relevance needs the modules of a PyTorch model: "
_FACTORY = (
    "save model.state_dict() with torch.save, and name the function that builds the model with "
    "--factory FILE.py:FUNCTION"
)
_REBUILT = f"{_MODULES}rebuild the network in PyTorch, copy the weights into it, {_FACTORY}"
_EXPORTED = (
    f"{_MODULES}give the checkpoint that it was exported from, or make modules of it (onnx2torch "
    f"does of some ONNX models of operator sets below 18), {_FACTORY}"
)
_FRAMEWORKS = (
    ((".onnx",), (), f"an ONNX model; {_EXPORTED}"),
    ((".keras", ".h5", ".hdf5"), (b"\x89HDF",), f"an HDF5 or Keras file; {_REBUILT}"),
    ((".tflite",), (b"TFL3",), f"a TensorFlow Lite model; {_REBUILT}"),
    ((".pb", ".pbtxt"), (), f"a TensorFlow graph; {_REBUILT}"),
    ((".mlmodel", ".mlpackage", ".mlmodelc"), (), f"a CoreML model; {_EXPORTED}"),
)
"""Suffixes, bytes at the beginning (for TensorFlow Lite, after four others), and what it is."""


_LEARNER = (
    "a fastai export, whose Learner is code; expected weights: where fastai is installed, run "
    "torch.save(load_learner(PATH).model.state_dict(), 'weights.pt'), and name the function that "
    "builds the same network with --factory FILE.py:FUNCTION, such as one that returns fastai's "
    "create_vision_model(resnet18, 2, pretrained=False)"
)
_CODE_OF = {
    "fastai": _LEARNER,
    "ultralytics": (
        "a checkpoint of Ultralytics, whose network is pickled code; expected weights: run "
        "torch.save(YOLO(PATH).model.state_dict(), 'weights.pt'), and name the function that "
        "builds the same network with --factory FILE.py:FUNCTION"
    ),
}
"""Packages whose files hold objects of their own, and what such a file is."""


def refuse_objects(names: Collection[str], path: Path) -> None:
    """Raise CheckpointError if a pickle would import objects of a package that is known here."""
    packages = {name.partition(".")[0] for name in names}
    for package, what in _CODE_OF.items():
        if package in packages:
            refuse(path, what)


def first_look(path: Path) -> None:
    """Raise CheckpointError for the file or folder of another framework, without reading it whole.

    A file that begins as one of torch.save or safetensors does is left to whoever reads it,
    whatever its name; so is one that cannot be read.
    """
    if path.is_dir():
        graph = path / "saved_model.pb"
        refuse_framework(b"", graph if graph.is_file() else path)
        return
    if not path.is_file():  # nor a pipe: opening it would wait for its writer
        return
    try:
        with path.open("rb") as file:
            start = file.read(_GLANCE_BYTES)
    except OSError:
        return
    of_torch = start.startswith((b"PK\x03\x04", b"\x80")) or start[8:9] == b"{"
    if start and (not of_torch or path.suffix.lower() == ".keras"):
        refuse_framework(start, path)


def refuse_framework(start: bytes, path: Path) -> None:
    """Raise CheckpointError if the name, or the first bytes, are those of another framework."""
    for suffixes, magics, what in _FRAMEWORKS:
        if path.suffix.lower() in suffixes or start.startswith(magics) or start[4:8] in magics:
            refuse(path, what)
