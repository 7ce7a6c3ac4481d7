"""The pieces that graphs are built from node by node."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from lacuna_models.weights import Weights

IR_VERSION = 8

_NORM_EPSILON = 1e-5
"""PyTorch's default, of batch and layer norms alike."""

Dim = str | int


@dataclass(frozen=True)
class Norm:
    """A batch norm as what it does to each channel: times ``scale``, plus ``shift``."""

    scale: NDArray[np.float64]
    shift: NDArray[np.float64]

    def folded(self, weight: NDArray[Any]) -> NDArray[np.float64]:
        """A convolution's weight with the scale in it."""
        return np.asarray(weight * self.scale[:, None, None, None])


class GraphBuilder:
    """Collects nodes and constants; names of values are made up, those of constants given."""

    def __init__(self, weights: Weights) -> None:
        self.weights = weights
        self._nodes: list[onnx.NodeProto] = []
        self._constants: dict[str, onnx.TensorProto] = {}
        self._values = 0

    def node(
        self, operator: str, inputs: Sequence[str], *, output: str | None = None, **attributes: Any
    ) -> str:
        """Adds a node of one output and gives that output's name."""
        (made,) = self.nodes(operator, inputs, [output or self._new(operator)], **attributes)
        return made

    def nodes(
        self, operator: str, inputs: Sequence[str], outputs: Sequence[str], **attributes: Any
    ) -> Sequence[str]:
        """Adds a node of several outputs."""
        self._nodes.append(helper.make_node(operator, list(inputs), list(outputs), **attributes))
        return outputs

    def constant(self, name: str, array: NDArray[Any]) -> str:
        """A constant; one of this name that is there already is taken as it is."""
        if name not in self._constants:
            self._constants[name] = numpy_helper.from_array(np.ascontiguousarray(array), name)
        return name

    def scalar(self, value: float) -> str:
        """A float without dimensions."""
        return self.constant(f"scalar_{value}", np.array(value, np.float32))

    def integers(self, *values: int) -> str:
        """A list of whole numbers: a shape, pads or starts."""
        name = "integers_" + "_".join(str(value) for value in values)
        return self.constant(name, np.array(values, np.int64))

    def planes(self, name: str) -> str:
        """A UINT8 input, channels last, as floats with the channels first."""
        floats = self.node("Cast", [name], to=TensorProto.FLOAT)
        return self.node("Transpose", [floats], perm=[0, 3, 1, 2])

    def norm(self, name: str) -> Norm:
        """The batch norm of this name, to be folded into a convolution."""
        gain, bias, mean, variance = (
            self.weights[f"{name}.{part}"].astype(np.float64)
            for part in ("weight", "bias", "running_mean", "running_var")
        )
        scale = gain / np.sqrt(variance + _NORM_EPSILON)
        return Norm(scale, bias - mean * scale)

    def convolution(
        self, x: str, name: str, weight: NDArray[Any], bias: NDArray[Any] | None, **attributes: Any
    ) -> str:
        """A convolution whose constants are called after ``name``."""
        inputs = [x, self.constant(f"{name}.weight", weight.astype(np.float32))]
        if bias is not None:
            inputs.append(self.constant(f"{name}.bias", bias.astype(np.float32)))
        return self.node("Conv", inputs, kernel_shape=list(weight.shape[2:]), **attributes)

    def relu(self, x: str) -> str:
        """Negative values to zero."""
        return self.node("Relu", [x])

    def model(
        self,
        name: str,
        inputs: Mapping[str, Sequence[Dim]],
        outputs: Mapping[str, Sequence[Dim]],
        opset: int,
    ) -> onnx.ModelProto:
        """The graph of all nodes; its inputs and outputs are UINT8 of these shapes."""

        def tensors(shapes: Mapping[str, Sequence[Dim]]) -> list[onnx.ValueInfoProto]:
            return [
                helper.make_tensor_value_info(each, TensorProto.UINT8, shape)
                for each, shape in shapes.items()
            ]

        constants = list(self._constants.values())
        graph = helper.make_graph(self._nodes, name, tensors(inputs), tensors(outputs), constants)
        return helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", opset)],
            ir_version=IR_VERSION,
            producer_name="lacuna-models",
        )

    def _new(self, operator: str) -> str:
        self._values += 1
        return f"{operator.lower()}_{self._values}"
