"""The detail that a fill at half size lacks, copied from where the fill was copied from.

PatchMatch fills a hole with copies of known pixels, but does not tell of which. Here they are
found again: a square of 2x2 pixels of the fill has, up to a shade, often exactly one equal
among the known pixels. Pixels without an equal take over from their neighbours, which mostly
are copied from the same object, whatever fits best.
"""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SQUARE = ((0, 0), (0, 1), (1, 0), (1, 1))
REACHES = (1, 2, 4, 1, 1)
"""How far away the neighbours are that a pixel takes its source from, one round after another.
Further rounds found nothing that could be seen."""

_NONE = np.iinfo(np.int32).max

Pixels = NDArray[np.uint8]
Marked = NDArray[np.bool_]
Places = NDArray[np.intp]
"""Indices of pixels in a picture, row after row."""


def enlarged(small: Pixels, image: Pixels, hole: Marked, known: Marked) -> Pixels:
    """The image, filled in ``small`` at half size, filled at full size.

    ``small`` has no hole; ``hole`` and ``known`` are of the image. The fill is ``small``
    enlarged, plus what the image has more than ``small`` where the fill was copied from.
    """
    height, width = small.shape[:2]
    soft = Image.fromarray(small).resize((2 * width, 2 * height), Image.Resampling.BICUBIC)
    whole = np.asarray(soft).astype(np.int16)
    blocks = height, 2, width, 2
    target = np.asarray(hole.reshape(blocks).any((1, 3)))
    source = np.asarray(known.reshape(blocks).all((1, 3)))
    places, sources = origins(small, target, source)
    filled = _by_place(whole)
    filled[places] += _by_place(image - whole)[sources]
    rows = filled.reshape(height, width, 2, 2, 3).swapaxes(1, 2).reshape(whole.shape)
    return np.clip(rows, 0, 255).astype(np.uint8)


def origins(filled: Pixels, target: Marked, source: Marked) -> tuple[Places, Places]:
    """Pixels of ``target``, and for each that of ``source`` which it seems to be a copy of.

    Pixels for which none is found are left out.
    """
    field = _Field(filled, source)
    squares, equals = _equal_squares(filled, target, source)
    width = target.shape[1]
    for down, right in SQUARE:
        field.offer(squares + down * width + right, equals - squares)
    places = np.flatnonzero(target)
    for reach in REACHES:
        for step in (-reach * width, reach * width, -reach, reach):
            neighbours = np.clip(places + step, 0, target.size - 1)
            linked = field.distance[neighbours] < _NONE
            field.offer(places[linked], field.shift[neighbours[linked]])
    places = places[field.distance[places] < _NONE]
    return places, places + field.shift[places]


class _Field:
    """The best source known of each pixel, as the way there in places."""

    def __init__(self, filled: Pixels, source: Marked) -> None:
        self.source = source.ravel()
        self.patches = _patches(filled)
        self.shift = np.zeros(source.size, np.intp)
        self.distance = np.full(source.size, _NONE)

    def offer(self, places: Places, shift: Places) -> None:
        """Takes the shifts that lead to a source with a more similar patch."""
        # A shift may lead past the end of a row: to a pixel that is no worse than others.
        inside = (places + shift >= 0) & (places + shift < self.source.size)
        places, shift = places[inside], shift[inside]
        allowed = self.source[places + shift] & (shift != self.shift[places])
        places, shift = places[allowed], shift[allowed]
        difference = self.patches[places] - self.patches[places + shift]
        distance = np.abs(difference).sum(1, dtype=np.int32)
        closer = distance < self.distance[places]
        self.distance[places[closer]] = distance[closer]
        self.shift[places[closer]] = shift[closer]


def _equal_squares(filled: Pixels, target: Marked, source: Marked) -> tuple[Places, Places]:
    """The 2x2 squares inside ``target`` that have an equal one inside ``source``, and that.

    Both are told by the place of their first pixel.
    """
    keys = _keys(filled)
    wanted, offered = (np.flatnonzero(_whole_squares(marked)) for marked in (target, source))
    offered = offered[np.argsort(keys[offered], kind="stable")]
    if not offered.size:
        return offered, offered
    found = np.searchsorted(keys[offered], keys[wanted])
    equals = offered[np.minimum(found, offered.size - 1)]
    equal = keys[equals] == keys[wanted]
    return wanted[equal], equals[equal]


def _keys(filled: Pixels) -> NDArray[np.int64]:
    """For each place a number for the differences of colour within its square.

    PatchMatch adapts the shade of what it copies, so colours themselves are not equal. The
    weights are any large odd numbers, which make equal sums of unequal squares unlikely.
    """
    colours = filled.astype(np.int64)
    weights = np.random.default_rng(0).integers(1, 2**62, (len(SQUARE), 3)) | 1
    keys = np.zeros(filled.shape[:2], np.int64)
    for (down, right), weight in zip(SQUARE, weights, strict=True):
        corner = np.roll(colours, (-down, -right), (0, 1))
        keys += ((corner - colours) * weight).sum(2)
    return keys.ravel()


def _whole_squares(marked: Marked) -> Marked:
    """The pixels that are the first of a square that is marked as a whole."""
    whole = np.zeros_like(marked)
    whole[:-1, :-1] = marked[:-1, :-1] & marked[:-1, 1:] & marked[1:, :-1] & marked[1:, 1:]
    return whole


def _patches(filled: Pixels) -> NDArray[np.int16]:
    """For each place its 3x3 pixels, [H * W, 27]."""
    height, width = filled.shape[:2]
    framed = np.pad(filled.astype(np.int16), ((1, 1), (1, 1), (0, 0)), mode="edge")
    views = [framed[y : y + height, x : x + width] for y in range(3) for x in range(3)]
    patches: NDArray[np.int16] = np.concatenate(views, axis=2).reshape(height * width, 27)
    return patches


def _by_place(whole: NDArray[np.int16]) -> NDArray[np.int16]:
    """A picture at full size as the 2x2 pixels under each pixel at half size, [places, 2, 2, 3]."""
    height, width = whole.shape[0] // 2, whole.shape[1] // 2
    return whole.reshape(height, 2, width, 2, 3).swapaxes(1, 2).reshape(-1, 2, 2, 3)
