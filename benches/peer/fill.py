"""Filling holes by PatchMatch as a server in Python would.

The method is Barnes et al., "PatchMatch: A Randomized Correspondence Algorithm for
Structural Image Editing", SIGGRAPH 2009, in the native code of ``pypatchmatch``. Its
search starts from the same seed every time, and its state is of one call, so equal inputs
give equal bytes.
"""

import numpy as np
from numpy.typing import NDArray
from patchmatch import patch_match

from peer.detail import enlarged
from peer.padding import content_length, middle, mirrored

PATCH_RADIUS = 3
"""Patches of 7x7 pixels. On photos of 300 to 1024 pixels a side, 5x5 lost more of the
structure (the joints of a brick wall), and 9x9 took half as long again to look the same."""

WIDE = 100
"""Holes that a square of so many pixels fits into are filled at half size and then given their
detail, in half the time: a patch covers twice as much there, so texture and blurred shapes go on
where they broke at full size. In narrow ones it is also enough to copy whole objects (a mast
beside a mast), which at full size it does not."""

FULL_SIZE_WORK = 60_000
"""Narrow holes with more pixels whose patch touches them are filled so too; full size would take
more than 2.5 s of one core."""

SIDE_STEP = 64
"""Sides are extended to a multiple of this."""

UNKNOWN = 128
"""The grey that answers a window without a known pixel."""

Pixels = NDArray[np.uint8]
Hole = NDArray[np.bool_]


def check_native_library() -> None:
    """Raises ``RuntimeError`` where the native code of the package cannot be loaded."""
    if not patch_match.patchmatch_available:
        raise RuntimeError("the native library of pypatchmatch cannot be loaded")


def fill(image: Pixels, hole: Hole) -> Pixels:
    """The image [H, W, 3] with its hole [H, W] filled from its known pixels.

    Known pixels keep their values; what the image has inside the hole does not count.
    Mirrored padding is not copied from: it shows what the content in the middle shows.
    """
    if not hole.any():
        return image
    if hole.all():
        return np.full_like(image, UNKNOWN)
    height, width = hole.shape
    rows, columns = _content_size(image, hole)
    beyond = np.ones_like(hole)
    beyond[middle(height, rows), middle(width, columns)] = False
    found = _fill_content(*_even(image, hole, beyond))[:height, :width]
    content = found[middle(height, rows), middle(width, columns)]
    whole = content[np.ix_(mirrored(height, rows), mirrored(width, columns))]
    return np.where(hole[:, :, None], whole, image)


def _content_size(image: Pixels, hole: Hole) -> tuple[int, int]:
    """Rows and columns of the content; what the image has inside the hole does not count."""
    window = np.where(hole[:, :, None], np.uint8(0), image)
    window = np.concatenate([window, hole[:, :, None].astype(np.uint8)], axis=2)
    return content_length(window), content_length(window.swapaxes(0, 1))


def _even(image: Pixels, hole: Hole, beyond: Hole) -> tuple[Pixels, Hole, Hole]:
    """All three with sides that can be halved often; what is added is beyond the content.

    Each level of the native code's pyramid drops the last row and column of an odd one, and
    a window whose only known pixels they are would stay black.
    """
    added = [(0, -side % SIDE_STEP) for side in hole.shape]
    return (
        np.pad(image, [*added, (0, 0)]),
        np.pad(hole, added),
        np.pad(beyond, added, constant_values=True),
    )


def _fill_content(image: Pixels, hole: Hole, beyond: Hole) -> Pixels:
    inside = hole & ~beyond
    if not _is_wide(inside) and np.count_nonzero(_touched(inside)) <= FULL_SIZE_WORK:
        return _fill_at_full_size(image, hole, beyond)
    small, small_hole, small_beyond = halve(image, hole, beyond)
    filled = _fill_at_full_size(small, small_hole, small_beyond)
    # Enlarging looks beyond the content's edge, where nothing is filled.
    content = (np.flatnonzero((~small_beyond).any(axis)) for axis in (1, 0))
    nearest = (
        np.clip(np.arange(side), lines[0], lines[-1])
        for side, lines in zip(small_hole.shape, content, strict=True)
    )
    filled = filled[np.ix_(*nearest)]
    return enlarged(filled, image, inside, ~(hole | beyond))


def _fill_at_full_size(image: Pixels, hole: Hole, beyond: Hole) -> Pixels:
    # What is in the global mask is neither filled nor copied from.
    never = beyond if beyond.any() else None
    return patch_match.inpaint(image, hole, global_mask=never, patch_size=PATCH_RADIUS)


def halve(image: Pixels, hole: Hole, beyond: Hole) -> tuple[Pixels, Hole, Hole]:
    """All three at half the size; their sides must be even.

    A pixel is the mean of the known ones among the four under it, so no colour leaks out
    of the hole. Where none is known it is hole, and where all are beyond it is beyond.
    """
    known = ~(hole | beyond)
    sums = _sum_of_four(image.astype(np.uint16) * known[:, :, None])
    counts = _sum_of_four(known.astype(np.uint16))
    shares = np.maximum(counts, 1)[:, :, None]
    small = ((sums + shares // 2) // shares).astype(np.uint8)
    return small, counts == 0, _sum_of_four(beyond.astype(np.uint16)) == 4


def _sum_of_four(values: NDArray[np.uint16]) -> NDArray[np.uint16]:
    """Of each square of 2x2 pixels the sum."""
    rows = values[::2] + values[1::2]
    sums: NDArray[np.uint16] = rows[:, ::2] + rows[:, 1::2]
    return sums


def _is_wide(hole: Hole) -> bool:
    """Whether a square of ``WIDE`` fits into the hole."""
    sums = np.zeros((hole.shape[0] + 1, hole.shape[1] + 1), np.int32)
    sums[1:, 1:] = hole.cumsum(0, dtype=np.int32).cumsum(1, dtype=np.int32)
    corners = sums[WIDE:, WIDE:] - sums[:-WIDE, WIDE:] - sums[WIDE:, :-WIDE] + sums[:-WIDE, :-WIDE]
    return bool((corners == WIDE**2).any())


def _touched(hole: Hole) -> Hole:
    """The pixels whose patch touches the hole."""
    touched = hole.copy()
    for shift in range(1, PATCH_RADIUS + 1):
        touched[shift:] |= hole[:-shift]
        touched[:-shift] |= hole[shift:]
    rows = touched.copy()
    for shift in range(1, PATCH_RADIUS + 1):
        touched[:, shift:] |= rows[:, :-shift]
        touched[:, :-shift] |= rows[:, shift:]
    return touched
