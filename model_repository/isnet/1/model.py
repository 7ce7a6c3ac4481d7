"""The Triton model ``isnet``."""

from lacuna_triton.isnet import IsNetModel as TritonPythonModel

__all__ = ["TritonPythonModel"]
