"""The Triton model ``birefnet`` on the CPU; the plan beside it needs no Python."""

from lacuna_triton.onnx_model import OnnxModel as TritonPythonModel

__all__ = ["TritonPythonModel"]
