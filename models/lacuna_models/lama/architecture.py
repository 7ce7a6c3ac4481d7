"""The shape of the LaMa generator: which weights it has and how large they are.

The network is a list of numbered layers, and its weights are named after them:

    0       reflection padding by 3
    1       stem: 7x7 convolution, 4 -> width channels, all local
    2..4    3x3 convolutions of stride 2, doubling the channels; the last one splits them
            into a local quarter and a global three quarters
    5..     residual blocks of two Fourier convolutions each
    next    local and global part joined
    next    three times: transposed 3x3 convolution of stride 2, batch norm, ReLU
    last    reflection padding by 3, 7x7 convolution to 3 channels, sigmoid
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lacuna_models.errors import ModelsError
from lacuna_models.weights import Weights, checked

DOWNSAMPLINGS = 3
STRIDE = 1 << DOWNSAMPLINGS
"""Window pixels to a pixel of the innermost feature map, each way."""

SIDES = (256, 512, 768, 1024)
"""The window sides that the gateway sends, in pixels."""

_IN_PREFIXED_NAME = re.compile(r"(?:^|\.)generator\.(model\.\d+\..+)$")


@dataclass(frozen=True)
class Architecture:
    """The two numbers in which LaMa generators of this family differ."""

    width: int
    """Channels after the stem (``ngf``)."""
    blocks: int
    """Residual blocks."""

    @property
    def inner(self) -> int:
        """Channels of the residual blocks, local and global together."""
        return self.width * STRIDE

    @property
    def inner_global(self) -> int:
        """Channels of the global (Fourier) part: three quarters."""
        return self.inner * 3 // 4

    @property
    def inner_local(self) -> int:
        """Channels of the local part: the last quarter."""
        return self.inner - self.inner_global

    @property
    def first_block(self) -> int:
        """Number of the layer that is the first residual block."""
        return 2 + DOWNSAMPLINGS

    @property
    def first_upsampling(self) -> int:
        """Number of the first transposed convolution; the joining layer is before it."""
        return self.first_block + self.blocks + 1

    @property
    def last_convolution(self) -> int:
        """Number of the convolution to 3 channels; its padding is before it."""
        return self.first_upsampling + 3 * DOWNSAMPLINGS + 1


BIG_LAMA = Architecture(width=64, blocks=18)
"""The published big-LaMa: 51 million weights."""

TINY_LAMA = Architecture(width=8, blocks=2)
"""The same construction at a size for tests: 0.1 million weights."""


def weight_shapes(architecture: Architecture) -> dict[str, tuple[int, ...]]:
    """Every weight of the network by name, with its shape."""
    arch = architecture
    shapes: dict[str, tuple[int, ...]] = {}

    def convolution(name: str, into: int, out: int, kernel: int) -> None:
        shapes[f"{name}.weight"] = (out, into, kernel, kernel)

    def norm(name: str, channels: int) -> None:
        for part in ("weight", "bias", "running_mean", "running_var"):
            shapes[f"{name}.{part}"] = (channels,)

    convolution("model.1.ffc.convl2l", 4, arch.width, 7)
    norm("model.1.bn_l", arch.width)

    for step in range(DOWNSAMPLINGS - 1):
        layer, channels = f"model.{2 + step}", arch.width * 2**step
        convolution(f"{layer}.ffc.convl2l", channels, 2 * channels, 3)
        norm(f"{layer}.bn_l", 2 * channels)

    layer = f"model.{1 + DOWNSAMPLINGS}"
    convolution(f"{layer}.ffc.convl2l", arch.inner // 2, arch.inner_local, 3)
    convolution(f"{layer}.ffc.convl2g", arch.inner // 2, arch.inner_global, 3)
    norm(f"{layer}.bn_l", arch.inner_local)
    norm(f"{layer}.bn_g", arch.inner_global)

    for block in range(arch.blocks):
        for half in ("conv1", "conv2"):
            layer = f"model.{arch.first_block + block}.{half}"
            convolution(f"{layer}.ffc.convl2l", arch.inner_local, arch.inner_local, 3)
            convolution(f"{layer}.ffc.convl2g", arch.inner_local, arch.inner_global, 3)
            convolution(f"{layer}.ffc.convg2l", arch.inner_global, arch.inner_local, 3)
            spectral, hidden = f"{layer}.ffc.convg2g", arch.inner_global // 2
            convolution(f"{spectral}.conv1.0", arch.inner_global, hidden, 1)
            norm(f"{spectral}.conv1.1", hidden)
            convolution(f"{spectral}.fu.conv_layer", 2 * hidden, 2 * hidden, 1)
            norm(f"{spectral}.fu.bn", 2 * hidden)
            convolution(f"{spectral}.conv2", hidden, arch.inner_global, 1)
            norm(f"{layer}.bn_l", arch.inner_local)
            norm(f"{layer}.bn_g", arch.inner_global)

    for step in range(DOWNSAMPLINGS):
        number, channels = arch.first_upsampling + 3 * step, arch.inner // 2**step
        shapes[f"model.{number}.weight"] = (channels, channels // 2, 3, 3)
        shapes[f"model.{number}.bias"] = (channels // 2,)
        norm(f"model.{number + 1}", channels // 2)

    convolution(f"model.{arch.last_convolution}", arch.width, 3, 7)
    shapes[f"model.{arch.last_convolution}.bias"] = (3,)
    return shapes


def select_weights(
    tensors: Mapping[str, NDArray[np.generic]], architecture: Architecture
) -> Weights:
    """The generator's weights out of everything that a published file holds.

    ``tensors`` are named as in the file: ``generator.model.…`` in a training checkpoint,
    the same behind further prefixes in a TorchScript archive. Discriminator, losses and
    the counters of the batch norms are passed over. Raises ``ModelsError``, naming the
    keys, when a weight is there twice or ``checked`` finds something amiss.
    """
    found: dict[str, NDArray[np.generic]] = {}
    for name, tensor in tensors.items():
        match = _IN_PREFIXED_NAME.search(name)
        if match is None or name.endswith(".num_batches_tracked"):
            continue
        if match[1] in found:
            raise ModelsError(f"the file holds generator.{match[1]} more than once")
        found[match[1]] = tensor

    return checked(found, weight_shapes(architecture), "LaMa generator")
