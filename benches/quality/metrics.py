"""What a fill is measured by, against the photo that the hole was cut into.

The hole is what is filled. All but the seam are taken where a caller marked something: what
dilation adds may hold a mixture of the fill and the photo.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

Pixels = NDArray[np.uint8]
Hole = NDArray[np.bool_]
Grey = NDArray[np.float64]

NOISE = 1.0
"""Added to energies before they are divided: about what rounding to 8 bits puts into a flat sky.
Without it the ratio of two skies would be that of their rounding errors."""

MARGIN = 160
"""How far around the hole's box is looked at, in pixels: all that the rings need."""


@dataclass(frozen=True)
class Marks:
    """What one fill was given."""

    psnr: float
    """Peak signal to noise ratio in decibels. High is near the truth; blur does well by it."""
    ssim: float
    """Structural similarity of the luma, its window 7 pixels. 1 is the truth."""
    sharpness: float
    """Gradient energy of the fill over that of the ring around the hole in the photo. 1 is as
    sharp as its surroundings."""
    seam: float
    """Energy of the steps across the hole's border over that of the photo. 1 is no seam."""


def marks(truth: Pixels, filled: Pixels, marked: Hole, hole: Hole) -> Marks:
    """Measures one fill; ``marked`` has pixels, and ``hole``, which holds it, not all there are."""
    box = _box(hole)
    truth, filled, marked, hole = truth[box], filled[box], marked[box], hole[box]
    before, after = _luma(truth), _luma(filled)
    return Marks(
        psnr=_psnr(truth, filled, marked),
        ssim=_ssim(before, after, marked),
        sharpness=_ratio(_energy(after, marked), _energy(before, _ring(hole))),
        seam=_ratio(_border_energy(after, hole), _border_energy(before, hole)),
    )


def _psnr(truth: Pixels, filled: Pixels, marked: Hole) -> float:
    # scikit-image warns of a division by zero where both are the same.
    with np.errstate(divide="ignore"):
        return float(peak_signal_noise_ratio(truth[marked], filled[marked], data_range=255))


def _ssim(before: Grey, after: Grey, marked: Hole) -> float:
    _, field = structural_similarity(before, after, data_range=255.0, full=True)
    return float(field[marked].mean())


def _ratio(energy: float, reference: float) -> float:
    return (energy + NOISE) / (reference + NOISE)


def _energy(grey: Grey, where: Hole) -> float:
    """Mean of the squared gradient, where the right and lower neighbours are there too."""
    across = np.square(np.diff(grey, axis=1))[:-1]
    down = np.square(np.diff(grey, axis=0))[:, :-1]
    whole = where[:-1, :-1] & where[1:, :-1] & where[:-1, 1:]
    return float((across + down)[whole].mean()) if whole.any() else 0.0


def _border_energy(grey: Grey, hole: Hole) -> float:
    """Mean squared step between neighbours of which one is hole and the other is not."""
    steps = [np.square(np.diff(grey, axis=axis))[np.diff(hole, axis=axis)] for axis in (0, 1)]
    return float(np.concatenate(steps).mean())


def _ring(hole: Hole) -> Hole:
    """What surrounds the hole, an eighth of its length wide."""
    rows, columns = np.nonzero(hole)
    length = max(np.ptp(rows), np.ptp(columns)) + 1
    width = min(max(length / 8, 8), MARGIN)
    distance = ndimage.distance_transform_edt(~hole)
    ring: Hole = (distance > 0) & (distance <= width)
    return ring


def _luma(pixels: Pixels) -> Grey:
    grey: Grey = pixels.astype(np.float64) @ np.array([0.299, 0.587, 0.114])
    return grey


def _box(hole: Hole) -> tuple[slice, slice]:
    rows, columns = np.nonzero(hole)
    return (
        slice(max(rows.min() - MARGIN, 0), rows.max() + MARGIN + 1),
        slice(max(columns.min() - MARGIN, 0), columns.max() + MARGIN + 1),
    )
