"""Telling a window's content from the mirrored padding around it."""

import numpy as np
import pytest

from lacuna_triton.padding import content_length, middle, mirrored
from tests.pictures import texture


def padded(length: int, side: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """Rows of a texture with numpy's own mirrored padding."""
    before = (side - length) // 2
    rows = texture(64)[:length]
    return np.pad(rows, ((before, side - length - before), (0, 0), (0, 0)), mode="reflect")


@pytest.mark.parametrize("length", [1, 2, 3, 10, 11, 31, 59, 60, 63])
@pytest.mark.parametrize("side", [64, 65])
def test_the_content_is_found_however_often_it_is_mirrored(length: int, side: int) -> None:
    window = padded(length, side)
    found = content_length(window)
    assert found == length
    content = window[middle(side, found)]
    assert np.array_equal(content[mirrored(side, found)], window)


def test_a_window_without_padding_is_content() -> None:
    assert content_length(texture(64)) == 64


def test_one_changed_pixel_in_the_padding_makes_it_content() -> None:
    window = padded(30, 64)
    window[2, 5, 1] ^= 1
    assert content_length(window) == 64


def test_a_window_of_one_colour_loses_nothing() -> None:
    window = np.full((64, 64, 3), 9, np.uint8)
    found = content_length(window)
    assert np.array_equal(window[middle(64, found)][mirrored(64, found)], window)
