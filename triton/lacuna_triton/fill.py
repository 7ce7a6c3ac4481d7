"""Filling holes by PatchMatch: the numbers behind the model ``patchmatch``.

The method is Barnes et al., "PatchMatch: A Randomized Correspondence Algorithm for
Structural Image Editing", SIGGRAPH 2009, in the native code of ``pypatchmatch``. Its
search starts from the same seed every time, and its state is of one call, so equal inputs
give equal bytes.
"""

import numpy as np
from numpy.typing import NDArray
from patchmatch import patch_match
from PIL import Image

PATCH_RADIUS = 3
"""Patches of 7x7 pixels. On photos of 300 to 1024 pixels a side, 5x5 lost more of the
structure (the joints of a brick wall), and 9x9 took half as long again to look the same."""

FULL_SIZE_WORK = 200_000
"""So many pixels whose patch touches the hole are filled at full size, in about 4 s on one
core. The time grows with their number; past it the fill is found at half size, which takes
a quarter of the time, and in wide holes looks no worse: a patch covers twice as much."""

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
    """
    if hole.all():
        return np.full_like(image, UNKNOWN)
    if np.count_nonzero(_touched(hole)) > FULL_SIZE_WORK:
        found = _fill_at_half_size(image, hole)
    else:
        found = _fill_at_full_size(image, hole)
    return np.where(hole[:, :, None], found, image)


def _fill_at_full_size(image: Pixels, hole: Hole) -> Pixels:
    return patch_match.inpaint(image, hole, patch_size=PATCH_RADIUS)


def _fill_at_half_size(image: Pixels, hole: Hole) -> Pixels:
    height, width = hole.shape
    small = Image.fromarray(_fill_at_full_size(*halve(image, hole)))
    # An odd side was extended by one pixel, which is cut off again.
    whole = small.resize((2 * small.width, 2 * small.height), Image.Resampling.BICUBIC)
    return np.asarray(whole)[:height, :width]


def halve(image: Pixels, hole: Hole) -> tuple[Pixels, Hole]:
    """Both at half the size, odd sides rounded up.

    A pixel is the mean of the known ones among the four under it, so no colour leaks out
    of the hole; where all four are unknown it is part of the hole.
    """
    beyond = [(0, side % 2) for side in hole.shape]
    known = ~np.pad(hole, beyond, constant_values=True)
    pixels = np.pad(image, [*beyond, (0, 0)]).astype(np.uint16) * known[:, :, None]
    height, width = known.shape
    sums = pixels.reshape(height // 2, 2, width // 2, 2, 3).sum((1, 3))
    counts = known.reshape(height // 2, 2, width // 2, 2).sum((1, 3))
    shares = np.maximum(counts, 1)[:, :, None]
    return ((sums + shares // 2) // shares).astype(np.uint8), counts == 0


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
