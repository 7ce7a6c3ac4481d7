"""The Swin transformer as ONNX nodes.

Liu et al., "Swin Transformer: Hierarchical Vision Transformer using Shifted Windows" (ICCV
2021). Maps are [N, height, width, channels] throughout, the batch free.
"""

import numpy as np
from numpy.typing import NDArray

from lacuna_models.birefnet.architecture import Architecture
from lacuna_models.graph_builder import GraphBuilder

_PATCH = 4
_LAYER_NORM_EPSILON = 1e-5
_FORBIDDEN = -100.0
"""Added to the attention between pixels that the shift has made neighbours by chance."""


class Backbone:
    """Adds the backbone's nodes; called twice, it uses the same constants twice."""

    def __init__(self, builder: GraphBuilder, architecture: Architecture) -> None:
        self._builder = builder
        self._arch = architecture

    def features(self, x: str, side: int) -> list[str]:
        """The four feature maps [N, C, h, h] of a normalised picture [N, 3, side, side].

        Their sides are ``side`` / 4, 8, 16 and 32.
        """
        node, name = self._builder.node, "bb.patch_embed.proj"
        weights = self._builder.weights
        weight, bias = weights[f"{name}.weight"], weights[f"{name}.bias"]
        x = self._builder.convolution(x, name, weight, bias, strides=[_PATCH, _PATCH])
        x = self._layer_norm(node("Transpose", [x], perm=[0, 2, 3, 1]), "bb.patch_embed.norm")
        found, size = [], side // _PATCH
        for stage, depth in enumerate(self._arch.depths):
            for number in range(depth):
                x = self._block(x, stage, number, size)
            feature = self._layer_norm(x, f"bb.norm{stage}")
            found.append(node("Transpose", [feature], perm=[0, 3, 1, 2]))
            if stage < len(self._arch.depths) - 1:
                x = self._merged(x, stage, size)
                size //= 2
        return found

    def _block(self, x: str, stage: int, number: int, size: int) -> str:
        node, builder, window = self._builder.node, self._builder, self._arch.window
        name = f"bb.layers.{stage}.blocks.{number}"
        channels = self._arch.width * 2**stage
        count = -(-size // window)
        padded, shift = count * window, window // 2 if number % 2 else 0

        y = self._layer_norm(x, f"{name}.norm1")
        if padded != size:
            by = padded - size
            y = node("Pad", [y, builder.integers(0, 0, 0, 0, 0, by, by, 0)])
        if shift:
            y = self._rolled(y, shift)
        split = builder.integers(-1, count, window, count, window, channels)
        y = node("Transpose", [node("Reshape", [y, split])], perm=[0, 1, 3, 2, 4, 5])
        y = node("Reshape", [y, builder.integers(-1, window**2, channels)])
        y = self._attention(y, name, self._arch.heads[stage], count if shift else 0)
        split = builder.integers(-1, count, count, window, window, channels)
        y = node("Transpose", [node("Reshape", [y, split])], perm=[0, 1, 3, 2, 4, 5])
        y = node("Reshape", [y, builder.integers(-1, padded, padded, channels)])
        if shift:
            y = self._rolled(y, padded - shift)
        if padded != size:
            ends, axes = builder.integers(size, size), builder.integers(1, 2)
            y = node("Slice", [y, builder.integers(0, 0), ends, axes])
        x = node("Add", [x, y])

        y = self._linear(self._layer_norm(x, f"{name}.norm2"), f"{name}.mlp.fc1")
        y = self._linear(self._gelu(y), f"{name}.mlp.fc2")
        return node("Add", [x, y])

    def _attention(self, x: str, name: str, heads: int, shifted: int) -> str:
        """Attention within windows [windows, pixels, channels].

        ``shifted`` is the number of windows in a row where they are shifted, else 0.
        """
        node, builder, window = self._builder.node, self._builder, self._arch.window
        weight = builder.weights[f"{name}.attn.qkv.weight"]
        bias = builder.weights[f"{name}.attn.qkv.bias"]
        channels = weight.shape[1]
        depth = channels // heads

        def part(which: int, letter: str, perm: list[int], scale: float = 1.0) -> str:
            rows = slice(which * channels, (which + 1) * channels)
            kept = f"{name}.attn.{letter}"
            y = self._affine(x, kept, weight[rows] * scale, bias[rows] * scale)
            y = node("Reshape", [y, builder.integers(-1, window**2, heads, depth)])
            return node("Transpose", [y], perm=perm)

        queries = part(0, "q", [0, 2, 1, 3], depth**-0.5)
        keys, values = part(1, "k", [0, 2, 3, 1]), part(2, "v", [0, 2, 1, 3])
        scores = node("MatMul", [queries, keys])
        table = builder.weights[f"{name}.attn.relative_position_bias_table"]
        position = table[relative_position(window)].transpose(2, 0, 1)
        scores = node("Add", [scores, builder.constant(f"{name}.attn.position", position)])
        if shifted:
            pixels, mask = window**2, self._mask(shifted)
            grouped = builder.integers(-1, shifted**2, heads, pixels, pixels)
            scores = node("Add", [node("Reshape", [scores, grouped]), mask])
            scores = node("Reshape", [scores, builder.integers(-1, heads, pixels, pixels)])
        y = node("MatMul", [node("Softmax", [scores], axis=-1), values])
        y = node("Transpose", [y], perm=[0, 2, 1, 3])
        y = node("Reshape", [y, builder.integers(-1, window**2, channels)])
        return self._linear(y, f"{name}.attn.proj")

    def _mask(self, count: int) -> str:
        """What keeps shifted windows from looking across the map's edges.

        [windows, 1, pixels, pixels], computed from which part of the map each pixel is from:
        as a constant it would be larger than the weights.
        """
        node, builder, window = self._builder.node, self._builder, self._arch.window
        parts = shifted_parts(count, window).astype(np.float32)
        rows = builder.constant(f"parts_{count}_rows", parts[:, None, :, None])
        columns = builder.constant(f"parts_{count}_columns", parts[:, None, None, :])
        same = node("Equal", [rows, columns])
        return node("Where", [same, builder.scalar(0.0), builder.scalar(_FORBIDDEN)])

    def _merged(self, x: str, stage: int, size: int) -> str:
        """Four neighbours to one pixel of twice the channels."""
        node, builder, half = self._builder.node, self._builder, size // 2
        channels = self._arch.width * 2**stage
        split = builder.integers(-1, half, 2, half, 2, channels)
        # Neighbours in the order: both, lower, right, lower right; rows change first.
        x = node("Transpose", [node("Reshape", [x, split])], perm=[0, 1, 3, 4, 2, 5])
        x = node("Reshape", [x, builder.integers(-1, half, half, 4 * channels)])
        name = f"bb.layers.{stage}.downsample"
        x = self._layer_norm(x, f"{name}.norm")
        return self._affine(
            x, f"{name}.reduction", builder.weights[f"{name}.reduction.weight"], None
        )

    def _rolled(self, x: str, by: int) -> str:
        """Rows and columns moved up and left by ``by``; what leaves comes in at the end."""
        node, integers = self._builder.node, self._builder.integers
        for axis in (1, 2):
            end = node("Slice", [x, integers(by), integers(2**31 - 1), integers(axis)])
            start = node("Slice", [x, integers(0), integers(by), integers(axis)])
            x = node("Concat", [end, start], axis=axis)
        return x

    def _layer_norm(self, x: str, name: str) -> str:
        parts = [
            self._builder.constant(f"{name}.{part}", self._builder.weights[f"{name}.{part}"])
            for part in ("weight", "bias")
        ]
        return self._builder.node(
            "LayerNormalization", [x, *parts], axis=-1, epsilon=_LAYER_NORM_EPSILON
        )

    def _linear(self, x: str, name: str) -> str:
        weights = self._builder.weights
        return self._affine(x, name, weights[f"{name}.weight"], weights[f"{name}.bias"])

    def _affine(
        self, x: str, name: str, weight: NDArray[np.float32], bias: NDArray[np.float32] | None
    ) -> str:
        weight = weight.T.astype(np.float32)
        x = self._builder.node("MatMul", [x, self._builder.constant(f"{name}.weight", weight)])
        if bias is None:
            return x
        bias = bias.astype(np.float32)
        return self._builder.node("Add", [x, self._builder.constant(f"{name}.bias", bias)])

    def _gelu(self, x: str) -> str:
        node, scalar = self._builder.node, self._builder.scalar
        error = node("Erf", [node("Mul", [x, scalar(0.5**0.5)])])
        half = node("Mul", [x, scalar(0.5)])
        return node("Mul", [half, node("Add", [error, scalar(1.0)])])


def relative_position(window: int) -> NDArray[np.int64]:
    """The row of the bias table for each pair of a window's pixels: [pixels, pixels]."""
    y, x = (axis.ravel() for axis in np.indices((window, window)))
    down, right = y[:, None] - y[None, :], x[:, None] - x[None, :]
    rows: NDArray[np.int64] = (down + window - 1) * (2 * window - 1) + right + window - 1
    return rows


def shifted_parts(count: int, window: int) -> NDArray[np.int64]:
    """Which of the nine parts of a shifted map each pixel is from: [windows, pixels].

    The map has ``count`` windows a row; the shift by half a window brings its first half
    window of rows and columns to the end, beside pixels that are no neighbours of theirs.
    """
    side = count * window
    bands = np.zeros(side, np.int64)
    bands[side - window :] = 1
    bands[side - window // 2 :] = 2
    parts = 3 * bands[:, None] + bands[None, :]
    windows = parts.reshape(count, window, count, window).transpose(0, 2, 1, 3)
    return windows.reshape(count * count, window * window)
