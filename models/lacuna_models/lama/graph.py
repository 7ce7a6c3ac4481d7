"""The LaMa generator as an ONNX graph, built node by node from its weights.

Inputs ``image`` [N, S, S, 3] (RGB) and ``mask`` [N, S, S, 1] (128 and above is hole),
output ``output`` [N, S, S, 3], all UINT8; S is any of ``SIDES`` and N is free. Everything
else is inside: scaling to 0..1, the hole blanked, the network, rounding; where the mask has
no hole, the output is the input. Batch norms are folded into the convolutions (in double
precision) and the Fourier units are products with constant matrices, so that the graph
needs only operators that TensorRT has.
"""

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

from lacuna_models.graph_builder import Dim, GraphBuilder, Norm
from lacuna_models.lama import fourier
from lacuna_models.lama.architecture import DOWNSAMPLINGS, SIDES, STRIDE, Architecture
from lacuna_models.weights import Weights

OPSET = 17
SIDES_KEY = "sides"
"""The graph's metadata entry with the sides that it serves, comma-separated."""


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
    shapes: dict[str, list[Dim]] = {
        name: ["batch", "side", "side", depth] for name, depth in (("image", 3), ("mask", 1))
    }
    model = builder.model("lama", shapes, {"output": ["batch", "side", "side", 3]}, OPSET)
    helper.set_model_props(model, {SIDES_KEY: ",".join(str(side) for side in SIDES)})
    return model


class _Builder(GraphBuilder):
    def __init__(self, weights: Weights, architecture: Architecture) -> None:
        super().__init__(weights)
        self._arch = architecture

    # The network, from the outside in.

    def generator(self, levels: str, hole: str) -> str:
        """The network's answer in 0..1 for levels of 0..255 and a hole (bool)."""
        self._slice_matrices(levels)
        arch = self._arch
        blank = self.node("Cast", [hole], to=TensorProto.FLOAT)
        known = self.node("Sub", [self.scalar(1.0), blank])
        image = self.node("Div", [levels, self.scalar(255.0)])
        x = self.node("Concat", [self.node("Mul", [image, known]), blank], axis=1)

        x = self.relu(self._normed(self._padded(x, 3), "model.1", "convl2l", "bn_l"))
        for layer in range(2, 1 + DOWNSAMPLINGS):
            name = f"model.{layer}"
            x = self.relu(self._normed(self._padded(x, 1), name, "convl2l", "bn_l", stride=2))
        name, x = f"model.{1 + DOWNSAMPLINGS}", self._padded(x, 1)
        near = self.relu(self._normed(x, name, "convl2l", "bn_l", stride=2))
        far = self.relu(self._normed(x, name, "convl2g", "bn_g", stride=2))

        for number in range(arch.first_block, arch.first_block + arch.blocks):
            inner = self._fourier_convolution(f"model.{number}.conv1", near, far)
            inner = self._fourier_convolution(f"model.{number}.conv2", *inner)
            near = self.node("Add", [near, inner[0]])
            far = self.node("Add", [far, inner[1]])

        x = self.node("Concat", [near, far], axis=1)
        for step in range(DOWNSAMPLINGS):
            x = self.relu(self._upsampled(x, arch.first_upsampling + 3 * step))
        name = f"model.{arch.last_convolution}"
        weight, bias = self.weights[f"{name}.weight"], self.weights[f"{name}.bias"]
        logits = self.convolution(self._padded(x, 3), name, weight, bias)
        return self.node("Sigmoid", [logits])

    def _fourier_convolution(self, name: str, near: str, far: str) -> tuple[str, str]:
        """One fast Fourier convolution with its norms and ReLU: local and global part."""
        near_padded, far_padded = self._padded(near, 1), self._padded(far, 1)
        local = self.node(
            "Add",
            [
                self._normed(near_padded, name, "convl2l", "bn_l"),
                self._scaled(far_padded, f"{name}.ffc.convg2l", self.norm(f"{name}.bn_l")),
            ],
        )
        spectral = self._spectral(f"{name}.ffc.convg2g", far, self.norm(f"{name}.bn_g"))
        whole = self.node("Add", [self._normed(near_padded, name, "convl2g", "bn_g"), spectral])
        return self.relu(local), self.relu(whole)

    def _spectral(self, name: str, x: str, norm: Norm) -> str:
        """The global part's own way: halve the channels, Fourier unit, restore them."""
        inner = self.norm(f"{name}.conv1.1")
        weight = inner.folded(self.weights[f"{name}.conv1.0.weight"])
        x = self.relu(self.convolution(x, f"{name}.conv1", weight, inner.shift))
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
        norm = self.norm(f"{name}.bn")
        weight = norm.folded(self.weights[f"{name}.conv_layer.weight"])
        count = len(weight)
        order = np.concatenate([np.arange(0, count, 2), np.arange(1, count, 2)])
        weight, shift = weight[order][:, order].copy(), norm.shift[order]
        weight[:, count // 2 :] *= -1.0
        spectrum = self.node("Concat", [real, imaginary], axis=1)
        spectrum = self.relu(self.convolution(spectrum, f"{name}.conv_layer", weight, shift))

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
        integer, node = self.integers, self.node
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

    def _normed(self, x: str, layer: str, branch: str, norm: str, *, stride: int = 1) -> str:
        """A branch of a layer with the layer's norm, its shift included."""
        name, folded = f"{layer}.ffc.{branch}", self.norm(f"{layer}.{norm}")
        weight = folded.folded(self.weights[f"{name}.weight"])
        return self.convolution(x, name, weight, folded.shift, strides=[stride, stride])

    def _scaled(self, x: str, name: str, norm: Norm) -> str:
        """A branch that is added to another one which brings the norm's shift."""
        return self.convolution(x, name, norm.folded(self.weights[f"{name}.weight"]), None)

    def _upsampled(self, x: str, number: int) -> str:
        norm = self.norm(f"model.{number + 1}")
        name = f"model.{number}"
        weight = self.weights[f"{name}.weight"] * norm.scale[None, :, None, None]
        bias = self.weights[f"{name}.bias"] * norm.scale + norm.shift
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
        pads = self.integers(0, 0, by, by, 0, 0, by, by)
        return self.node("Pad", [x, pads], mode="reflect")
