"""The weights of BiRefNet: their names and shapes.

A Swin transformer looks at the photo at full and at half size; the features of both, four
sizes of them, go through a squeezing block and four decoder blocks from the smallest to the
largest. Each decoder stage also sees the photo itself, cut into patches of its size, and is
gated by an attention that was trained on the photo's gradients.

The published ``birefnet.safetensors`` has exactly these tensors, in half precision, beside
counters and index tables: written out with them, this list gives its 444 473 596 bytes
(``tests/test_birefnet_network.py``).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file

from lacuna_models.errors import ModelsError
from lacuna_models.weights import Weights, checked

INNER = 64
"""Channels inside a decoder block."""
BRANCH = 256
"""Channels of each branch of its deformable pyramid."""
GRADIENT = 16
"""Channels of the gradient attention."""
MERGED_KERNELS = {"aspp1": 1, "aspp_deforms.0": 1, "aspp_deforms.1": 3, "aspp_deforms.2": 7}
"""The deformable branches by name, with their kernels."""

_NOT_WEIGHTS = (".relative_position_index", ".num_batches_tracked")


@dataclass(frozen=True)
class Architecture:
    """The backbone; everything else follows from its width."""

    width: int
    """Channels after the patch embedding; doubled at each of the three mergings."""
    depths: tuple[int, int, int, int]
    """Transformer blocks at each size."""
    heads: tuple[int, int, int, int]
    window: int
    """Side of the windows that attention sees."""

    @property
    def lateral(self) -> tuple[int, int, int, int]:
        """Channels of the features, both sizes together, the smallest map first."""
        c = 2 * self.width
        return (8 * c, 4 * c, 2 * c, c)


SWIN_L = Architecture(192, (2, 2, 18, 2), (6, 12, 24, 48), 12)
"""The full network: 220 million weights."""

SWIN_TOY = Architecture(16, (2, 2, 2, 2), (1, 2, 4, 8), 12)
"""The same construction at a size for tests."""


def load_weights(path: Path, architecture: Architecture = SWIN_L) -> Weights:
    """The weights of a ``.safetensors`` file.

    Raises ``ModelsError`` if it cannot be read or does not hold exactly this network.
    """
    try:
        tensors: Mapping[str, NDArray[np.generic]] = load_file(path)
    except (SafetensorError, OSError) as error:
        raise ModelsError(f"{path} is not a safetensors file, or is damaged: {error}") from error
    found = {name: array for name, array in tensors.items() if not name.endswith(_NOT_WEIGHTS)}
    return checked(found, weight_shapes(architecture), "BiRefNet")


def weight_shapes(architecture: Architecture) -> dict[str, tuple[int, ...]]:
    """Every weight of the network by name, with its shape."""
    shapes = _Shapes()
    _backbone(shapes, architecture)
    _decoder(shapes, architecture.lateral)
    return shapes.found


class _Shapes:
    def __init__(self) -> None:
        self.found: dict[str, tuple[int, ...]] = {}

    def linear(self, name: str, into: int, out: int, *, bias: bool = True) -> None:
        self.found[f"{name}.weight"] = (out, into)
        if bias:
            self.found[f"{name}.bias"] = (out,)

    def layer_norm(self, name: str, channels: int) -> None:
        self.found[f"{name}.weight"] = self.found[f"{name}.bias"] = (channels,)

    def batch_norm(self, name: str, channels: int) -> None:
        for part in ("weight", "bias", "running_mean", "running_var"):
            self.found[f"{name}.{part}"] = (channels,)

    def convolution(
        self, name: str, into: int, out: int, kernel: int = 1, *, bias: bool = True
    ) -> None:
        self.found[f"{name}.weight"] = (out, into, kernel, kernel)
        if bias:
            self.found[f"{name}.bias"] = (out,)


def _backbone(shapes: _Shapes, arch: Architecture) -> None:
    shapes.convolution("bb.patch_embed.proj", 3, arch.width, 4)
    shapes.layer_norm("bb.patch_embed.norm", arch.width)
    for stage, (depth, heads) in enumerate(zip(arch.depths, arch.heads, strict=True)):
        channels = arch.width * 2**stage
        for number in range(depth):
            block = f"bb.layers.{stage}.blocks.{number}"
            shapes.layer_norm(f"{block}.norm1", channels)
            biases = ((2 * arch.window - 1) ** 2, heads)
            shapes.found[f"{block}.attn.relative_position_bias_table"] = biases
            shapes.linear(f"{block}.attn.qkv", channels, 3 * channels)
            shapes.linear(f"{block}.attn.proj", channels, channels)
            shapes.layer_norm(f"{block}.norm2", channels)
            shapes.linear(f"{block}.mlp.fc1", channels, 4 * channels)
            shapes.linear(f"{block}.mlp.fc2", 4 * channels, channels)
        if stage < 3:
            merging = f"bb.layers.{stage}.downsample"
            shapes.layer_norm(f"{merging}.norm", 4 * channels)
            shapes.linear(f"{merging}.reduction", 4 * channels, 2 * channels, bias=False)
        shapes.layer_norm(f"bb.norm{stage}", channels)


def _decoder(shapes: _Shapes, lateral: tuple[int, int, int, int]) -> None:
    l4, l3, l2, l1 = lateral
    _block(shapes, "squeeze_module.0", sum(lateral), l4)
    # Stage by stage: channels of the features, of the photo's patches, and what comes out.
    stages = (
        (4, l4, l4 // 8, l3),
        (3, l3, l4 // 8, l2),
        (2, l2, l3 // 8, l1),
        (1, l1, l2 // 8, l1 // 2),
    )
    for stage, features, patches, out in stages:
        _patches(shapes, stage + 1, 3 * 4 ** (stage + 1), patches)
        _block(shapes, f"decoder.decoder_block{stage}", features + patches, out)
    _patches(shapes, 1, 3, l1 // 8)
    shapes.convolution("decoder.conv_out1.0", l1 // 2 + l1 // 8, 1)
    for stage, channels in ((4, l3), (3, l2), (2, l1)):
        shapes.convolution(f"decoder.lateral_block{stage}.conv", channels, channels)
        gradient = f"decoder.gdt_convs_{stage}"
        shapes.convolution(f"{gradient}.0", channels, GRADIENT, 3)
        shapes.batch_norm(f"{gradient}.1", GRADIENT)
        shapes.convolution(f"decoder.gdt_convs_attn_{stage}.0", GRADIENT, 1)
        # These two only serve training; a file without them is another file all the same.
        shapes.convolution(f"decoder.gdt_convs_pred_{stage}.0", GRADIENT, 1)
        shapes.convolution(f"decoder.conv_ms_spvn_{stage}", channels, 1)


def _patches(shapes: _Shapes, number: int, into: int, out: int) -> None:
    shapes.convolution(f"decoder.ipt_blk{number}.conv1", into, INNER, 3)
    shapes.convolution(f"decoder.ipt_blk{number}.conv_out", INNER, out, 3)


def _block(shapes: _Shapes, name: str, into: int, out: int) -> None:
    shapes.convolution(f"{name}.conv_in", into, INNER, 3)
    shapes.batch_norm(f"{name}.bn_in", INNER)
    pyramid = f"{name}.dec_att"
    for branch, kernel in MERGED_KERNELS.items():
        deformable = f"{pyramid}.{branch}.atrous_conv"
        shapes.convolution(f"{deformable}.offset_conv", INNER, 2 * kernel**2, kernel)
        shapes.convolution(f"{deformable}.modulator_conv", INNER, kernel**2, kernel)
        shapes.convolution(f"{deformable}.regular_conv", INNER, BRANCH, kernel, bias=False)
        shapes.batch_norm(f"{pyramid}.{branch}.bn", BRANCH)
    shapes.convolution(f"{pyramid}.global_avg_pool.1", INNER, BRANCH, bias=False)
    shapes.batch_norm(f"{pyramid}.global_avg_pool.2", BRANCH)
    shapes.convolution(f"{pyramid}.conv1", 5 * BRANCH, INNER, bias=False)
    shapes.batch_norm(f"{pyramid}.bn1", INNER)
    shapes.convolution(f"{name}.conv_out", INNER, out, 3)
    shapes.batch_norm(f"{name}.bn_out", out)
