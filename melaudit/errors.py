"""The errors a user can cause, each saying what was given, what was expected and what to do."""


class MelauditError(Exception):
    """Anything melaudit cannot go on with; shown as one line, never as a traceback."""

    exit_code = 2
    """The process's exit code when this error ends a command (2: could not run)."""


class ConfigurationError(MelauditError):
    """An option, or a key of melaudit.toml, that makes no sense."""


class CheckpointError(MelauditError):
    """A checkpoint that cannot be read safely, or that does not fit its architecture."""


class DatasetError(MelauditError):
    """A folder or table of images that cannot be understood."""


class PreprocessingError(MelauditError):
    """A preprocessing that cannot be resolved or applied."""


class RelevanceError(MelauditError):
    """A model, layer or target for which relevance cannot be computed."""


class NoConceptLayerError(RelevanceError):
    """A model without a layer whose channels could be its concepts."""


class DetectorError(MelauditError):
    """A detector that cannot be loaded or that breaks its contract."""


class ArtifactError(MelauditError):
    """An artifact that cannot be loaded or that breaks its contract."""


class StoreError(MelauditError):
    """An output folder that cannot be written, read back or resumed."""


class DomainError(MelauditError):
    """A domain that cannot be loaded or that breaks its contract."""


_OUT_OF_MEMORY = ("OutOfMemoryError", "_ArrayMemoryError", "MemoryError")
"""PyTorch's on a GPU, NumPy's and Python's, by name: PyTorch takes seconds to import."""
_SAID = ("DefaultCPUAllocator: ", "MPS backend out of memory")
"""What PyTorch's plain RuntimeError says elsewhere."""


def out_of_memory(error: BaseException) -> bool:
    """Tell whether an error says that memory ran out, whoever says it."""
    said = str(error)
    return type(error).__name__ in _OUT_OF_MEMORY or any(text in said for text in _SAID)


def ends_the_run(error: BaseException) -> bool:
    """Tell whether an error is of the store, the data or the machine.

    It could have met anybody, so no detector or artifact is left out for it.
    """
    return isinstance(error, StoreError | DatasetError) or out_of_memory(error)
