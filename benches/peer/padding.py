"""Mirrored padding around a window's content.

The gateway shows a model squares. Where a photo is smaller than the square, the content
lies in its middle, and the rest is the content mirrored at its edges, the edge pixel not
repeated, as often as it takes. A network needs that; a method that copies pixels would copy
the mirrored ones too, in patterns like those of a kaleidoscope.
"""

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Position = TypeVar("Position", int, NDArray[np.intp])


def mirrored(side: int, length: int) -> NDArray[np.intp]:
    """For each of ``side`` rows the row of a content of ``length`` rows that it shows."""
    return _shown(np.arange(side) - (side - length) // 2, length)


def _shown(position: Position, length: int) -> Position:
    """The row of the content at a position that counts from its first row on."""
    last = length - 1
    return last - abs(position % max(2 * last, 1) - last)


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
        first = top + _shown(-top, length)
        if rows[0] == rows[first] and np.array_equal(rows[top + mirrored(side, length)], rows):
            return length
    return side


def middle(side: int, length: int) -> slice:
    """Where a content of ``length`` rows lies among ``side``."""
    top = (side - length) // 2
    return slice(top, top + length)
