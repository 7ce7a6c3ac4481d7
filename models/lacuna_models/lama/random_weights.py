"""Seeded random weights for the LaMa architecture, for tests and proofs.

They stand in for a trained network where none can be had: every weight is there, no value
is special, and the answer uses the whole range from black to white, so that a mistake
anywhere in the graph shows in it.
"""

import numpy as np
from numpy.typing import NDArray

from lacuna_models.lama.architecture import Architecture, weight_shapes

_BRANCHES_GAIN = 0.5
"""Of all residual branches together, so that tens of blocks do not drown their input."""

_LAST_GAIN = 0.3
"""So that the sigmoid is hardly ever at its ends, where it would hide differences."""


def random_weights(architecture: Architecture, seed: int) -> dict[str, NDArray[np.float32]]:
    """All of ``weight_shapes``; the same for the same architecture and seed."""
    rng = np.random.default_rng(seed)
    return {
        name: _draw(rng, name, shape, architecture).astype(np.float32)
        for name, shape in weight_shapes(architecture).items()
    }


def _draw(
    rng: np.random.Generator, name: str, shape: tuple[int, ...], architecture: Architecture
) -> NDArray[np.float64]:
    part = name.rpartition(".")[2]
    if len(shape) == 4:
        fan_in = int(np.prod(shape[1:]))
        if name.startswith("model.") and _is_upsampling(name, architecture):
            # A transposed convolution of stride 2 meets a quarter of its kernel a pixel.
            fan_in = shape[0] * shape[2] * shape[3] // 4
        gain = 1.0
        if ".conv2.ffc." in name:
            gain = _BRANCHES_GAIN / np.sqrt(architecture.blocks)
        elif name == f"model.{architecture.last_convolution}.weight":
            gain = _LAST_GAIN
        return rng.normal(0.0, gain * np.sqrt(2.0 / fan_in), shape)
    if part == "running_var":
        return rng.uniform(0.5, 1.5, shape)
    if part == "weight":
        return rng.uniform(0.7, 1.3, shape)
    return rng.normal(0.0, 0.1, shape)


def _is_upsampling(name: str, architecture: Architecture) -> bool:
    number = int(name.split(".")[1])
    return architecture.first_upsampling <= number < architecture.last_convolution
