"""The two-dimensional real Fourier transform as products with constant matrices.

TensorRT's ONNX parser has no transform operator, and a matrix product is what its tensor
cores are for. With ``C[j, k] = cos(2 pi j k / n) / sqrt(n)``, ``S`` likewise for the sine
and ``K = n / 2 + 1`` (all that a real input needs of the last axis), the transform of a
square ``X`` with norm "ortho" is

    U = (C - iS) X              Y = U (C - iS)[:, :K]

and its inverse, where the columns 1 .. K-2 count for their mirror images too,

    V = (C + iS) Y              X = Re V . (w C)[:K] - Im V . (w S)[:K],  w = 1, 2, ..., 2, 1

The imaginary parts of the first and last column do not matter there, since their sines are
zero: the same convention as ``irfftn`` of PyTorch.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lacuna_models.lama.architecture import SIDES, STRIDE

STEP = SIDES[0] // STRIDE
"""The feature map's side is 1, 2, 3 or 4 times this."""


@dataclass(frozen=True)
class Tables:
    """The matrices of every window side, one side's rows below the other's.

    A side takes its block by its first row and its own number of rows and columns; columns
    to the right of that are zero. So one graph serves every side, with exactly rounded
    constants and without computing a cosine at run time.
    """

    cos: NDArray[np.float32]
    sin: NDArray[np.float32]
    """[sum of n, largest n]: ``C`` and ``S``; their first K columns are the last axis'."""
    inverse_cos: NDArray[np.float32]
    inverse_sin: NDArray[np.float32]
    """[sum of K, largest n]: ``(w C)[:K]`` and ``(w S)[:K]``."""


def first_row(multiple: int) -> int:
    """Where the block of feature maps of side ``multiple * STEP`` starts in ``cos``."""
    return STEP // 2 * multiple * (multiple - 1)


def first_inverse_row(multiple: int) -> int:
    """Where its block starts in ``inverse_cos``."""
    return first_row(multiple) // 2 + multiple - 1


def tables() -> Tables:
    """The matrices for every side of ``SIDES``, computed in double precision."""
    widest = SIDES[-1] // STRIDE
    blocks: list[list[NDArray[np.float64]]] = [[], [], [], []]
    for side in SIDES:
        n = side // STRIDE
        # The angle is reduced in whole numbers: j * k reaches n * n.
        angle = 2 * np.pi * (np.outer(np.arange(n), np.arange(n)) % n) / n
        cos, sin = np.cos(angle) / np.sqrt(n), np.sin(angle) / np.sqrt(n)
        # sin of a multiple of pi is 1e-16 in floating point; the mirror rule needs 0.
        sin[np.outer(np.arange(n), np.arange(n)) % (n // 2) == 0] = 0.0
        count = n // 2 + 1
        mirrored = np.full((count, 1), 2.0)
        mirrored[[0, -1]] = 1.0
        for rows, block in zip(
            blocks, (cos, sin, mirrored * cos[:count], mirrored * sin[:count]), strict=True
        ):
            rows.append(np.pad(block, ((0, 0), (0, widest - n))))
    cos, sin, inverse_cos, inverse_sin = (np.vstack(rows).astype(np.float32) for rows in blocks)
    return Tables(cos, sin, inverse_cos, inverse_sin)
