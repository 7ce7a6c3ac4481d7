"""Mirrored padding around a window's content.

The gateway shows a model squares. Where a photo is smaller than the square, the content
lies in its middle, and the rest is the content mirrored at its edges, the edge pixel not
repeated, as often as it takes. A network needs that; a method that copies pixels would copy
the mirrored ones too, in patterns like those of a kaleidoscope.
"""

import numpy as np
from numpy.typing import NDArray


def mirrored(side: int, length: int) -> NDArray[np.intp]:
    """For each of ``side`` rows the row of a content of ``length`` rows that it shows."""
    period = _period(length)
    position = (np.arange(side) - (side - length) // 2) % period
    return np.minimum(np.minimum(position, period - position), length - 1)


def _period(length: int) -> int:
    return max(2 * length - 2, 1)


def content_length(window: NDArray[np.uint8]) -> int:
    """How many rows of a window [S, ...] are content; S where nothing is mirrored.

    Rows that only happen to be mirrored are taken for padding too. As they hold nothing
    that the others do not, leaving them out loses nothing.
    """
    side = len(window)
    numbers: dict[bytes, int] = {}
    rows = np.array([numbers.setdefault(row.tobytes(), len(numbers)) for row in window])
    for length in range(1, side):
        top = (side - length) // 2
        # Most lengths are none for the first row alone.
        position = -top % _period(length)
        first = top + min(position, _period(length) - position, length - 1)
        if rows[0] == rows[first] and np.array_equal(rows[top + mirrored(side, length)], rows):
            return length
    return side


def middle(side: int, length: int) -> slice:
    """Where a content of ``length`` rows lies among ``side``."""
    top = (side - length) // 2
    return slice(top, top + length)
