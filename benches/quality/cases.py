"""What is measured: holes cut into photos of several sizes."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

import photos
from quality import holes

Pixels = NDArray[np.uint8]
Hole = NDArray[np.bool_]

DILATION = 8
"""Of what is marked, in pixels: the service's default."""
SEED = 20_240_601
MEGAPIXELS = (0, 1, 3, 8, 12)
"""What photos are scaled down to; 0 stands for the small photos at their own size."""


@dataclass(frozen=True)
class Cut:
    """A photo in which an object hides the truth."""

    truth: Pixels
    given: Pixels
    """The photo with an object in it: another part of the same photo."""
    marked: Hole
    """Where the object is: what a caller marks."""
    hole: Hole
    """What is filled: the same, dilated by a disc as the service does."""


@dataclass(frozen=True)
class Case:
    """One hole in one photo."""

    photo: str
    megapixels: int
    size: str
    number: int

    @property
    def row(self) -> tuple[int, str]:
        """The row of the table that it belongs to."""
        return self.megapixels, self.size

    def cut(self) -> "Cut":
        """The photo with an object put into it that has to go again."""
        truth = self._photo()
        height, width = truth.shape[:2]
        row = MEGAPIXELS.index(self.megapixels), list(holes.SIZES).index(self.size)
        random = np.random.default_rng([SEED, *row, self.number])
        marked = holes.cut(random, height, width, self.size)
        elsewhere = np.roll(truth, (height // 2, width // 2), axis=(0, 1))
        given = np.where(marked[:, :, None], elsewhere, truth)
        hole = ndimage.distance_transform_edt(~marked) <= DILATION
        return Cut(truth, given, marked, hole)

    def _photo(self) -> Pixels:
        if self.megapixels == 0:
            return photos.small(self.photo)
        (photo,) = (photo for photo in photos.PHOTOS if photo.name == self.photo)
        return photos.scaled(photo, self.megapixels)


def plan(most_photos: int, holes_a_row: int) -> list[Case]:
    """All cases, those of one photo and size together."""
    cases = []
    for megapixels in MEGAPIXELS:
        if megapixels == 0:
            names = photos.SMALL[:most_photos]
        else:
            large = [photo.name for photo in photos.PHOTOS if photo.largest >= megapixels]
            names = tuple(large[:most_photos])
        cases += [
            Case(names[number % len(names)], megapixels, size, number)
            for size in holes.SIZES
            for number in range(holes_a_row)
        ]
    return sorted(cases, key=lambda case: (case.megapixels, case.photo))
