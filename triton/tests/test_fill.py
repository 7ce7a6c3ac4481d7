"""What the embedded inpainter promises, without a server."""

import numpy as np
import pytest

from lacuna_triton import fill as module
from lacuna_triton.fill import UNKNOWN, fill, halve
from tests.pictures import Hole, Pixels, square_hole, texture


@pytest.fixture
def at_half_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FULL_SIZE_WORK", 0)


@pytest.mark.parametrize("side", [256, 257])
@pytest.mark.parametrize("work", [0, 200_000], ids=["half size", "full size"])
def test_known_pixels_stay_and_the_hole_is_filled(
    side: int, work: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FULL_SIZE_WORK", work)
    image, hole = texture(side), square_hole(side, 60)
    blank = np.where(hole[:, :, None], np.uint8(0), image)
    filled = fill(blank, hole)
    assert filled.shape == image.shape
    assert filled.dtype == np.uint8
    assert np.array_equal(filled[~hole], image[~hole])
    difference = np.abs(filled[hole].astype(float) - image[hole])
    assert difference.mean() < np.abs(blank[hole].astype(float) - image[hole]).mean() / 2


@pytest.mark.parametrize("work", [0, 200_000], ids=["half size", "full size"])
def test_what_is_inside_the_hole_does_not_count(work: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FULL_SIZE_WORK", work)
    image, hole = texture(256), square_hole(256, 61)
    black = np.where(hole[:, :, None], np.uint8(0), image)
    white = np.where(hole[:, :, None], np.uint8(255), image)
    assert np.array_equal(fill(black, hole), fill(white, hole))


def test_the_same_window_is_filled_with_the_same_bytes_after_others() -> None:
    image, hole = texture(256), square_hole(256, 60)
    first = fill(image, hole)
    fill(texture(300, seed=3), square_hole(300, 40))
    assert np.array_equal(fill(image, hole), first)


def test_no_hole_gives_the_image() -> None:
    image = texture(256)
    assert np.array_equal(fill(image, square_hole(256, 0)), image)


def test_a_window_without_a_known_pixel_is_grey() -> None:
    assert (fill(texture(256), np.ones((256, 256), dtype=bool)) == UNKNOWN).all()


def test_one_known_pixel_gives_its_colour() -> None:
    image = np.full((256, 256, 3), (10, 200, 90), dtype=np.uint8)
    hole = np.ones((256, 256), dtype=bool)
    hole[200, 30] = False
    assert np.abs(fill(image, hole).astype(int) - image).max() <= 1


def test_mirrored_padding_is_not_copied_from(monkeypatch: pytest.MonkeyPatch) -> None:
    searched = []
    search = module._fill_at_full_size

    def recording(image: Pixels, hole: Hole, beyond: Hole) -> Pixels:
        searched.append(~beyond)
        return search(image, hole, beyond)

    monkeypatch.setattr(module, "_fill_at_full_size", recording)
    edges = ((68, 68), (28, 28))
    window = np.pad(texture(200)[:120], (*edges, (0, 0)), mode="reflect")
    hole = np.pad(square_hole(200, 50)[40:160], edges, mode="reflect")
    filled = fill(window, hole)
    rows, columns = searched[0].any(1).nonzero()[0], searched[0].any(0).nonzero()[0]
    assert (rows[0], rows[-1], columns[0], columns[-1]) == (68, 187, 28, 227)
    assert np.array_equal(filled, np.pad(filled[68:188, 28:228], (*edges, (0, 0)), mode="reflect"))


def test_no_colour_comes_from_beyond_the_content(at_half_size: None) -> None:
    content = np.full((121, 201, 3), 200, dtype=np.uint8)
    hole = np.zeros((121, 201), dtype=bool)
    hole[:40, 50:90] = True
    edges = ((67, 68), (27, 28))
    window = np.pad(content, (*edges, (0, 0)), mode="reflect")
    assert (fill(window, np.pad(hole, edges, mode="reflect")) == 200).all()


@pytest.mark.parametrize("height", [1, 2, 3, 7, 8, 40])
@pytest.mark.parametrize("width", [2, 5, 6, 13])
def test_the_smallest_photos_are_filled(height: int, width: int) -> None:
    image = texture(40)[:height, :width]
    hole = np.zeros((height, width), dtype=bool)
    hole[0, 0] = True
    filled = fill(image, hole)
    assert filled.shape == image.shape
    assert np.array_equal(filled[~hole], image[~hole])


def test_a_hole_of_scattered_pixels_is_filled(at_half_size: None) -> None:
    image = np.full((256, 256, 3), 77, dtype=np.uint8)
    hole = np.random.default_rng(0).random((256, 256)) < 0.5
    blank = np.where(hole[:, :, None], np.uint8(0), image)
    assert (fill(blank, hole) == 77).all()


def test_halving_takes_the_mean_of_known_pixels_only() -> None:
    image = np.arange(4 * 4 * 3, dtype=np.uint8).reshape(4, 4, 3)
    hole = np.array([[0, 1, 1, 1], [1, 1, 1, 1], [0, 0, 1, 1], [1, 1, 1, 1]], dtype=bool)
    beyond = np.array([[0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 1, 1], [0, 0, 1, 1]], dtype=bool)
    small, still_hole, still_beyond = halve(image, hole, beyond)
    assert still_hole.tolist() == [[False, True], [False, True]]
    assert still_beyond.tolist() == [[False, False], [False, True]]
    assert small[0, 0].tolist() == image[0, 0].tolist()
    assert small[1, 0].tolist() == [26, 27, 28], "24 and 27 have the mean 25.5, rounded up"


@pytest.mark.parametrize("row", [0, 254])
@pytest.mark.parametrize("side", [255, 256, 257])
def test_one_known_row_is_enough(row: int, side: int) -> None:
    image = np.full((side, side, 3), (10, 200, 90), dtype=np.uint8)
    hole = np.ones((side, side), dtype=bool)
    hole[row, ::7] = False
    assert np.abs(fill(image, hole).astype(int) - image).max() <= 1


def test_pixels_touched_are_those_whose_patch_has_a_hole_pixel() -> None:
    hole = np.zeros((20, 20), dtype=bool)
    hole[0, 10] = True
    touched = module._touched(hole)
    reach = module.PATCH_RADIUS
    assert touched[: reach + 1, 10 - reach : 11 + reach].all()
    assert touched.sum() == (reach + 1) * (2 * reach + 1)
