"""The Triton model ``patchmatch``."""

from lacuna_triton.patchmatch import PatchMatchModel as TritonPythonModel

__all__ = ["TritonPythonModel"]
