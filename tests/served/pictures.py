"""Pictures for the tests, made from a seed."""

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Hole = NDArray[np.bool_]


def texture(side: int, seed: int = 0) -> Pixels:
    """Waves with some noise, [side, side, 3]: something to copy from everywhere."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side]
    waves = [128 + 60 * np.sin(x / (7 + k) + y / (11 - k)) for k in range(3)]
    noise = rng.normal(0, 12, (side, side, 3))
    pixels: Pixels = np.clip(np.stack(waves, axis=-1) + noise, 0, 255).astype(np.uint8)
    return pixels


def square_hole(side: int, hole: int) -> Hole:
    """A square hole of ``hole`` pixels a side in the middle, [side, side]."""
    marked = np.zeros((side, side), dtype=bool)
    start = (side - hole) // 2
    marked[start : start + hole, start : start + hole] = True
    return marked


def as_mask(hole: Hole) -> Pixels:
    """0 and 255, [side, side, 1]."""
    mask: Pixels = (hole[:, :, None] * 255).astype(np.uint8)
    return mask
