"""BiRefNet as an ONNX graph, built node by node from its weights.

Input ``image`` [N, 1024, 1024, 3], output ``alpha`` [N, 1024, 1024, 1], both UINT8, N free.
The deformable convolutions are ONNX's own operator of opset 19, for which TensorRT has a
kernel; the published ONNX graphs spell them out in a hundred smaller ones.
"""

import numpy as np
import onnx
from onnx import TensorProto

from lacuna_models.birefnet.architecture import BRANCH, MERGED_KERNELS, Architecture
from lacuna_models.birefnet.backbone import Backbone
from lacuna_models.birefnet.graft import DEVIATION, MEAN, SIDE
from lacuna_models.graph_builder import GraphBuilder
from lacuna_models.weights import Weights

OPSET = 19


def build_graph(weights: Weights, architecture: Architecture) -> onnx.ModelProto:
    """The network with these weights; they must be complete (``load_weights``)."""
    builder = GraphBuilder(weights)
    node, scalar = builder.node, builder.scalar
    shift = builder.constant("mean", (255.0 * MEAN).astype(np.float32).reshape(1, 3, 1, 1))
    scale = builder.constant(
        "deviation", (255.0 * DEVIATION).astype(np.float32).reshape(1, 3, 1, 1)
    )
    x = node("Div", [node("Sub", [builder.planes("image"), shift]), scale])
    logits = _Decoder(builder).logits(x, _features(builder, architecture, x))
    levels = node("Round", [node("Mul", [node("Sigmoid", [logits]), scalar(255.0)])])
    last = node("Transpose", [levels], perm=[0, 2, 3, 1])
    node("Cast", [last], output="alpha", to=TensorProto.UINT8)
    image, alpha = (["batch", SIDE, SIDE, depth] for depth in (3, 1))
    return builder.model("birefnet", {"image": image}, {"alpha": alpha}, OPSET)


def _features(builder: GraphBuilder, architecture: Architecture, x: str) -> list[str]:
    """The backbone's maps for the picture at full and half size, joined; the largest first."""
    backbone = Backbone(builder, architecture)
    whole = backbone.features(x, SIDE)
    half = backbone.features(_resized(builder, x, 0.5), SIDE // 2)
    return [
        builder.node("Concat", [large, _resized(builder, small, 2.0)], axis=1)
        for large, small in zip(whole, half, strict=True)
    ]


def _resized(builder: GraphBuilder, x: str, factor: float) -> str:
    """Bilinear, with the corners of both maps on each other."""
    scales = np.array([1.0, 1.0, factor, factor], np.float32)
    inputs = [x, "", builder.constant(f"scales_{factor}", scales)]
    mode = {"mode": "linear", "coordinate_transformation_mode": "align_corners"}
    return builder.node("Resize", inputs, **mode)


class _Decoder:
    def __init__(self, builder: GraphBuilder) -> None:
        self._builder = builder

    def logits(self, x: str, features: list[str]) -> str:
        """[N, 1, 1024, 1024] for the normalised picture and its joined features."""
        node = self._builder.node
        x1, x2, x3, x4 = features
        context = [
            _resized(self._builder, feature, factor)
            for feature, factor in ((x1, 0.125), (x2, 0.25), (x3, 0.5))
        ]
        p = self._block("squeeze_module.0", node("Concat", [*context, x4], axis=1))
        for stage, lateral in ((4, x3), (3, x2), (2, x1)):
            p = self._block(f"decoder.decoder_block{stage}", self._with_patches(p, x, stage + 1))
            p = _resized(self._builder, self._gated(p, stage), 2.0)
            p = node("Add", [p, self._plain(lateral, f"decoder.lateral_block{stage}.conv")])
        p = self._block("decoder.decoder_block1", self._with_patches(p, x, 2))
        return self._last(p, x)

    def _last(self, p: str, x: str) -> str:
        """One channel of the features, enlarged, and of the picture's own.

        The network enlarges 192 channels by four and makes one of them; a convolution of one
        pixel can as well come first, which saves a gigabyte.
        """
        builder, name = self._builder, "decoder.conv_out1.0"
        weight, bias = builder.weights[f"{name}.weight"], builder.weights[f"{name}.bias"]
        patches = self._patches(x, 1)
        count = weight.shape[1] - builder.weights["decoder.ipt_blk1.conv_out.bias"].shape[0]
        features = builder.convolution(p, f"{name}.features", weight[:, :count], None)
        picture = builder.convolution(patches, f"{name}.picture", weight[:, count:], bias)
        return builder.node("Add", [_resized(builder, features, 4.0), picture])

    def _with_patches(self, features: str, x: str, number: int) -> str:
        return self._builder.node("Concat", [features, self._patches(x, number)], axis=1)

    def _patches(self, x: str, number: int) -> str:
        """What a stage sees of the picture, which is cut into a grid of patches of its size.

        The patches become channels: first the colour, then the grid's row, then its column.
        """
        node, integers = self._builder.node, self._builder.integers
        grid = 1 if number == 1 else 2**number
        if grid > 1:
            side = SIDE // grid
            x = node("Reshape", [x, integers(-1, 3, grid, side, grid, side)])
            x = node("Transpose", [x], perm=[0, 1, 2, 4, 3, 5])
            x = node("Reshape", [x, integers(-1, 3 * grid**2, side, side)])
        name = f"decoder.ipt_blk{number}"
        return self._plain(self._plain(x, f"{name}.conv1"), f"{name}.conv_out")

    def _gated(self, x: str, stage: int) -> str:
        node = self._builder.node
        gradient = f"decoder.gdt_convs_{stage}"
        y = self._builder.relu(self._normed(x, f"{gradient}.0", f"{gradient}.1"))
        attention = node("Sigmoid", [self._plain(y, f"decoder.gdt_convs_attn_{stage}.0")])
        return node("Mul", [x, attention])

    def _block(self, name: str, x: str) -> str:
        x = self._builder.relu(self._normed(x, f"{name}.conv_in", f"{name}.bn_in"))
        x = self._pyramid(f"{name}.dec_att", x)
        return self._normed(x, f"{name}.conv_out", f"{name}.bn_out")

    def _pyramid(self, name: str, x: str) -> str:
        """Deformable convolutions of several sizes and the map's mean, mixed."""
        builder, node = self._builder, self._builder.node
        branches = [
            self._deformable(x, f"{name}.{branch}", kernel)
            for branch, kernel in MERGED_KERNELS.items()
        ]
        pooled = node("GlobalAveragePool", [x])
        pool = f"{name}.global_avg_pool"
        pooled = builder.relu(self._normed(pooled, f"{pool}.1", f"{pool}.2"))
        # The mean is the same everywhere: its share of the mixing is added as a constant.
        norm = builder.norm(f"{name}.bn1")
        mixing = norm.folded(builder.weights[f"{name}.conv1.weight"])
        count = len(branches) * BRANCH
        joined = node("Concat", branches, axis=1)
        local = builder.convolution(joined, f"{name}.conv1.local", mixing[:, :count], None)
        whole = builder.convolution(pooled, f"{name}.conv1.whole", mixing[:, count:], norm.shift)
        return builder.relu(node("Add", [local, whole]))

    def _deformable(self, x: str, name: str, kernel: int) -> str:
        builder, node, parts = self._builder, self._builder.node, f"{name}.atrous_conv"
        offsets = self._plain(x, f"{parts}.offset_conv")
        modulation = node("Sigmoid", [self._plain(x, f"{parts}.modulator_conv")])
        modulation = node("Mul", [modulation, builder.scalar(2.0)])
        norm = builder.norm(f"{name}.bn")
        weight = norm.folded(builder.weights[f"{parts}.regular_conv.weight"])
        inputs = [
            x,
            builder.constant(f"{name}.weight", weight.astype(np.float32)),
            offsets,
            builder.constant(f"{name}.bias", norm.shift.astype(np.float32)),
            modulation,
        ]
        pads = [kernel // 2] * 4
        y = node("DeformConv", inputs, kernel_shape=[kernel, kernel], pads=pads)
        return builder.relu(y)

    def _plain(self, x: str, name: str) -> str:
        """A convolution that keeps the map's size."""
        weight = self._builder.weights[f"{name}.weight"]
        bias = self._builder.weights[f"{name}.bias"]
        pads = [weight.shape[2] // 2] * 4
        return self._builder.convolution(x, name, weight, bias, pads=pads)

    def _normed(self, x: str, name: str, norm: str) -> str:
        """A convolution that keeps the map's size, with the batch norm after it."""
        folded = self._builder.norm(norm)
        weight = folded.folded(self._builder.weights[f"{name}.weight"])
        bias = folded.shift
        if f"{name}.bias" in self._builder.weights:
            bias = bias + self._builder.weights[f"{name}.bias"] * folded.scale
        pads = [weight.shape[2] // 2] * 4
        return self._builder.convolution(x, name, weight, bias, pads=pads)
