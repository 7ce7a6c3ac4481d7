"""Detail that is found again where a fill at half size was copied from."""

import numpy as np

from lacuna_triton.detail import enlarged, origins
from lacuna_triton.fill import fill, halve
from tests.pictures import Hole, Pixels, square_hole, texture


def copied(side: int, hole: Hole, shade: int) -> Pixels:
    """A picture of noise whose hole shows a copy of what is a quarter of the side to its left."""
    noise = np.random.default_rng(1).integers(40, 200, (side, side, 3), dtype=np.uint8)
    shifted = np.roll(noise, side // 4, axis=1) + np.uint8(shade)
    return np.where(hole[:, :, None], shifted, noise)


def test_copies_of_another_shade_are_found_again() -> None:
    hole = square_hole(128, 30)
    places, sources = origins(copied(128, hole, shade=9), hole, ~hole)
    assert np.array_equal(places, np.flatnonzero(hole))
    assert (places - sources == 32).all()


def test_a_pixel_unlike_all_others_takes_its_source_from_its_neighbours() -> None:
    hole = square_hole(128, 30)
    picture = copied(128, hole, shade=0)
    picture[60:64, 60:64] = 255
    places, sources = origins(picture, hole, ~hole)
    assert (places - sources == 32).all()


def test_nothing_is_found_where_no_square_is_known() -> None:
    hole = square_hole(64, 30)
    places, sources = origins(texture(64), hole, np.zeros_like(hole))
    assert places.size == sources.size == 0


def test_the_copy_is_as_sharp_as_what_it_was_copied_from() -> None:
    hole = square_hole(256, 60)
    truth = copied(256, hole, shade=0)
    small, _, _ = halve(truth, np.zeros_like(hole), np.zeros_like(hole))
    black = np.where(hole[:, :, None], np.uint8(0), truth)
    error = enlarged(small, black, hole, ~hole)[hole].astype(int) - truth[hole]
    # Next to the hole, enlarging mixes what is inside with what is outside.
    assert np.median(np.abs(error)) == 0


def test_a_wide_hole_in_a_texture_is_as_sharp_as_its_surroundings() -> None:
    image, hole = texture(256), square_hole(256, 130)
    steps = np.abs(np.diff(fill(image, hole).astype(int), axis=1)).mean(2)
    inside = hole[:, 1:] & hole[:, :-1]
    assert 0.8 < steps[inside].mean() / steps[~inside].mean() < 1.25
