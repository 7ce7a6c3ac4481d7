"""The LaMa generator as an ONNX graph, built node by node from its weights.

Inputs ``image`` [N, S, S, 3] (RGB) and ``mask`` [N, S, S, 1] (128 and above is hole),
output ``output`` [N, S, S, 3], all UINT8; S is any of ``SIDES`` and N is free. Everything
else is inside: scaling to 0..1, the hole blanked, the network, rounding; where the mask has
no hole, the output is the input. Batch norms are folded into the convolutions (in double
precision) and the Fourier units are products with constant matrices, so that the graph
needs only operators that TensorRT has.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from lacuna_models.lama import fourier
from lacuna_models.lama.architecture import DOWNSAMPLINGS, SIDES, STRIDE, Architecture, Weights

OPSET = 17
IR_VERSION = 8
SIDES_KEY = "sides"
"""The graph's metadata entry with the sides that it serves, comma-separated."""

_NORM_EPSILON = 1e-5

Array = NDArray[np.float64]


def build_graph(weights: Weights, architecture: Architecture) -> onnx.ModelProto:
    """The network with these weights; they must be complete (``select_weights``)."""
    builder = _Builder(weights, architecture)
    levels, mask = builder.planes("image"), builder.planes("mask")
    hole = builder.node("Greater", [mask, builder.scalar(127.0)])
    prediction = builder.generator(levels, hole)
    rounded = builder.node("Round", [builder.node("Mul", [prediction, builder.scalar(255.0)])])
    mixed = builder.node("Where", [hole, rounded, levels])
    channels_last = builder.node("Transpose", [mixed], perm=[0, 2, 3, 1])
    builder.node("Cast", [channels_last], output="output", to=TensorProto.UINT8)
    return builder.model()


@dataclass(frozen=True)
class _Norm:
    """A batch norm as what it does to a channel: times ``scale``, plus ``shift``."""

    scale: Array
    shift: Array


class _Builder:
    def __init__(self, weights: Weights, architecture: Architecture) -> None:
        self._weights = weights
        self._arch = architecture
        self._nodes: list[onnx.NodeProto] = []
        self._constants: dict[str, onnx.TensorProto] = {}
        self._values = 0

    # Plain pieces of a graph.

    def node(
        self, operator: str, inputs: Sequence[str], *, output: str | None = None, **attributes: Any
    ) -> str:
        """Adds a node of one output and gives that output's name."""
        if output is None:
            self._values += 1
            output = f"{operator.lower()}_{self._values}"
        self._nodes.append(helper.make_node(operator, list(inputs), [output], **attributes))
        return output

    def constant(self, name: str, array: NDArray[Any]) -> str:
        self._constants.setdefault(name, numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def scalar(self, value: float) -> str:
        return self.constant(f"scalar_{value}", np.array(value, np.float32))

    def integer(self, value: int) -> str:
        return self.constant(f"integer_{value}", np.array([value], np.int64))

    def planes(self, name: str) -> str:
        """A UINT8 input, channels last, as floats with the channels first."""
        floats = self.node("Cast", [name], to=TensorProto.FLOAT)
        return self.node("Transpose", [floats], perm=[0, 3, 1, 2])

    def model(self) -> onnx.ModelProto:
        def tensor(name: str, channels: int) -> onnx.ValueInfoProto:
            shape: list[str | int | None] = ["batch", "side", "side", channels]
            return helper.make_tensor_value_info(name, TensorProto.UINT8, shape)

        graph = helper.make_graph(
            self._nodes,
            "lama",
            [tensor("image", 3), tensor("mask", 1)],
            [tensor("output", 3)],
            list(self._constants.values()),
        )
        model = helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
            producer_name="lacuna-models",
        )
        helper.set_model_props(model, {SIDES_KEY: ",".join(str(side) for side in SIDES)})
        return model

    # The network, from the outside in.

    def generator(self, levels: str, hole: str) -> str:
        """The network's answer in 0..1 for levels of 0..255 and a hole (bool)."""
        self._slice_matrices(levels)
        arch = self._arch
        blank = self.node("Cast", [hole], to=TensorProto.FLOAT)
        known = self.node("Sub", [self.scalar(1.0), blank])
        image = self.node("Div", [levels, self.scalar(255.0)])
        x = self.node("Concat", [self.node("Mul", [image, known]), blank], axis=1)

        x = self._relu(self._normed(self._padded(x, 3), "model.1", "convl2l", "bn_l"))
        for layer in range(2, 1 + DOWNSAMPLINGS):
            name = f"model.{layer}"
            x = self._relu(self._normed(self._padded(x, 1), name, "convl2l", "bn_l", stride=2))
        name, x = f"model.{1 + DOWNSAMPLINGS}", self._padded(x, 1)
        near = self._relu(self._normed(x, name, "convl2l", "bn_l", stride=2))
        far = self._relu(self._normed(x, name, "convl2g", "bn_g", stride=2))

        for number in range(arch.first_block, arch.first_block + arch.blocks):
            inner = self._fourier_convolution(f"model.{number}.conv1", near, far)
            inner = self._fourier_convolution(f"model.{number}.conv2", *inner)
            near = self.node("Add", [near, inner[0]])
            far = self.node("Add", [far, inner[1]])

        x = self.node("Concat", [near, far], axis=1)
        for step in range(DOWNSAMPLINGS):
            x = self._relu(self._upsampled(x, arch.first_upsampling + 3 * step))
        name = f"model.{arch.last_convolution}"
        weight, bias = self._weights[f"{name}.weight"], self._weights[f"{name}.bias"]
        logits = self._convolution(self._padded(x, 3), name, weight, bias)
        return self.node("Sigmoid", [logits])

    def _fourier_convolution(self, name: str, near: str, far: str) -> tuple[str, str]:
        """One fast Fourier convolution with its norms and ReLU: local and global part."""
        near_padded, far_padded = self._padded(near, 1), self._padded(far, 1)
        local = self.node(
            "Add",
            [
                self._normed(near_padded, name, "convl2l", "bn_l"),
                self._scaled(far_padded, f"{name}.ffc.convg2l", self._norm(f"{name}.bn_l")),
            ],
        )
        spectral = self._spectral(f"{name}.ffc.convg2g", far, self._norm(f"{name}.bn_g"))
        whole = self.node("Add", [self._normed(near_padded, name, "convl2g", "bn_g"), spectral])
        return self._relu(local), self._relu(whole)

    def _spectral(self, name: str, x: str, norm: _Norm) -> str:
        """The global part's own way: halve the channels, Fourier unit, restore them."""
        inner = self._norm(f"{name}.conv1.1")
        weight = self._weights[f"{name}.conv1.0.weight"] * _per_output(inner.scale)
        x = self._relu(self._convolution(x, f"{name}.conv1", weight, inner.shift))
        x = self.node("Add", [x, self._fourier_unit(f"{name}.fu", x)])
        return self._scaled(x, f"{name}.conv2", norm)

    def _fourier_unit(self, name: str, x: str) -> str:
        """A 1x1 convolution over the channels of the spectrum."""
        product = self._product
        ur, ui = product("cos", x), product("sin", x)  # ui is the negative imaginary part
        real = self.node("Sub", [product(ur, "cos_half"), product(ui, "sin_half")])
        imaginary = self.node("Add", [product(ur, "sin_half"), product(ui, "cos_half")])

        # The published weights take real and imaginary part of each channel in turn; here
        # all real parts come first. The negative sign of `imaginary` is in the weights too.
        norm = self._norm(f"{name}.bn")
        weight = self._weights[f"{name}.conv_layer.weight"] * _per_output(norm.scale)
        count = len(weight)
        order = np.concatenate([np.arange(0, count, 2), np.arange(1, count, 2)])
        weight, shift = weight[order][:, order].copy(), norm.shift[order]
        weight[:, count // 2 :] *= -1.0
        spectrum = self.node("Concat", [real, imaginary], axis=1)
        spectrum = self._relu(self._convolution(spectrum, f"{name}.conv_layer", weight, shift))

        real, imaginary = f"{spectrum}_real", f"{spectrum}_imaginary"
        halves = self.constant("spectrum_halves", np.array([count // 2] * 2, np.int64))
        self._nodes.append(helper.make_node("Split", [spectrum, halves], [real, imaginary], axis=1))
        vr = self.node("Sub", [product("cos", real), product("sin", imaginary)])
        vi = self.node("Add", [product("sin", real), product("cos", imaginary)])
        return self.node("Sub", [product(vr, "inverse_cos"), product(vi, "inverse_sin")])

    def _product(self, left: str, right: str) -> str:
        return self.node("MatMul", [left, right])

    def _slice_matrices(self, x: str) -> None:
        """Takes the Fourier matrices for windows like ``x`` out of ``fourier.tables``."""
        integer, node = self.integer, self.node
        tables = fourier.tables()
        side = node("Gather", [node("Shape", [x]), integer(2)])
        n = node("Div", [side, integer(STRIDE)])
        multiple = node("Div", [n, integer(fourier.STEP)])
        before = node("Sub", [multiple, integer(1)])
        count = node("Add", [node("Div", [n, integer(2)]), integer(1)])

        pairs = node("Mul", [multiple, before])
        row = node("Mul", [pairs, integer(fourier.first_row(2) // 2)])
        half_row = node("Mul", [pairs, integer(fourier.first_row(2) // 4)])
        inverse_row = node("Add", [half_row, before])

        def block(
            name: str, table: NDArray[np.float32], start: str, rows: str, columns: str
        ) -> None:
            stored = self.constant(f"table_{name.removesuffix('_half')}", table)
            starts = node("Concat", [start, integer(0)], axis=0)
            ends = node("Concat", [node("Add", [start, rows]), columns], axis=0)
            node("Slice", [stored, starts, ends], output=name)

        block("cos", tables.cos, row, n, n)
        block("sin", tables.sin, row, n, n)
        block("cos_half", tables.cos, row, n, count)
        block("sin_half", tables.sin, row, n, count)
        block("inverse_cos", tables.inverse_cos, inverse_row, count, n)
        block("inverse_sin", tables.inverse_sin, inverse_row, count, n)

    # Convolutions with their norms folded in.

    def _norm(self, name: str) -> _Norm:
        gain, bias, mean, variance = (
            self._weights[f"{name}.{part}"].astype(np.float64)
            for part in ("weight", "bias", "running_mean", "running_var")
        )
        scale = gain / np.sqrt(variance + _NORM_EPSILON)
        return _Norm(scale, bias - mean * scale)

    def _normed(self, x: str, layer: str, branch: str, norm: str, *, stride: int = 1) -> str:
        """A branch of a layer with the layer's norm, its shift included."""
        name, folded = f"{layer}.ffc.{branch}", self._norm(f"{layer}.{norm}")
        weight = self._weights[f"{name}.weight"] * _per_output(folded.scale)
        return self._convolution(x, name, weight, folded.shift, stride=stride)

    def _scaled(self, x: str, name: str, norm: _Norm) -> str:
        """A branch that is added to another one which brings the norm's shift."""
        weight = self._weights[f"{name}.weight"] * _per_output(norm.scale)
        return self._convolution(x, name, weight, None)

    def _convolution(
        self, x: str, name: str, weight: NDArray[Any], bias: NDArray[Any] | None, *, stride: int = 1
    ) -> str:
        inputs = [x, self.constant(f"{name}.weight", weight.astype(np.float32))]
        if bias is not None:
            inputs.append(self.constant(f"{name}.bias", bias.astype(np.float32)))
        kernel = list(weight.shape[2:])
        return self.node("Conv", inputs, kernel_shape=kernel, strides=[stride, stride])

    def _upsampled(self, x: str, number: int) -> str:
        norm = self._norm(f"model.{number + 1}")
        name = f"model.{number}"
        weight = self._weights[f"{name}.weight"] * norm.scale[None, :, None, None]
        bias = self._weights[f"{name}.bias"] * norm.scale + norm.shift
        inputs = [
            x,
            self.constant(f"{name}.weight", weight.astype(np.float32)),
            self.constant(f"{name}.bias", bias.astype(np.float32)),
        ]
        # Padding 1 with output padding 1 is to leave out one row and column at the start.
        return self.node(
            "ConvTranspose", inputs, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 0, 0]
        )

    def _padded(self, x: str, by: int) -> str:
        pads = self.constant(f"pads_{by}", np.array([0, 0, by, by] * 2, np.int64))
        return self.node("Pad", [x, pads], mode="reflect")

    def _relu(self, x: str) -> str:
        return self.node("Relu", [x])


def _per_output(scale: Array) -> Array:
    return scale[:, None, None, None]
