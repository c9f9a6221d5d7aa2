"""Values of settings that are chosen by name, and that more than one room knows."""

from __future__ import annotations

from enum import StrEnum


class EngineName(StrEnum):
    """What computes relevance."""

    AUTO = "auto"
    """The usual one, or others where it fails on the model."""
    DATAFLOW = "dataflow"
    ZENNIT = "zennit"
    GRADIENT_X_INPUT = "gradient_x_input"
    """This one and the next follow no rules of LRP: they stand in where no composite can be used.
    """
    OCCLUSION = "occlusion"


class Resize(StrEnum):
    """How a picture of any shape becomes the square that a model takes."""

    STRETCH = "stretch"
    """Both sides are resized, whatever their ratio."""
    LETTERBOX = "letterbox"
    """The longer side is resized, the ratio kept, and the rest padded."""


class Sharing(StrEnum):
    """What a report shows of the images."""

    FULL = "full"
    BLUR = "blur"
    NO_IMAGES = "no-images"


class Assets(StrEnum):
    """Where pictures, style and script of a report stand."""

    INLINE = "inline"
    SPLIT = "split"


class Task(StrEnum):
    """How many of a model's answers may hold of one image."""

    AUTO = "auto"
    """Multi-label where the table or the model's last operation says so, else single-label."""
    SINGLE_LABEL = "single-label"
    """Each image has one class."""
    MULTI_LABEL = "multi-label"
    """Each output is a finding of its own, present or absent."""


class OutputKind(StrEnum):
    """What the numbers are that a model returns."""

    AUTO = "auto"
    """Probabilities where the last operation or their sums say so, else logits."""
    LOGITS = "logits"
    PROBABILITIES = "probabilities"
