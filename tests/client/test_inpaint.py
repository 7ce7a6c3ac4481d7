"""The client's `inpaint` in its three modes, on real photos."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from conftest import PHOTOS, Inpaint

Pixels = npt.NDArray[np.uint8]
Region = npt.NDArray[np.bool_]

NAMES = ["chelsea.png", "coffee.jpg", "rocket.jpg"]


def pixels(file: Path | bytes, format: str | None = None) -> Pixels:
    """Rows, columns and RGB of a picture, whose format is checked where one is given."""
    with Image.open(io.BytesIO(file) if isinstance(file, bytes) else file) as picture:
        assert format in (None, picture.format)
        assert picture.mode == "RGB"
        return np.asarray(picture)


def grown(region: Region, radius: int) -> Region:
    """The pixels whose centre is at most `radius` from the centre of one of the region's."""
    height, width = region.shape
    wide = np.pad(region, radius)
    result = np.zeros_like(region)
    for dy in range(-radius, radius + 1):
        for dx in range(-radius, radius + 1):
            if dx * dx + dy * dy <= radius * radius:
                rows = slice(radius + dy, radius + dy + height)
                columns = slice(radius + dx, radius + dx + width)
                result |= wide[rows, columns]
    return result


def png(region: Region) -> bytes:
    """A mask file, white where the region is."""
    file = io.BytesIO()
    Image.fromarray(np.where(region, np.uint8(255), np.uint8(0))).save(file, "PNG")
    return file.getvalue()


def disc(shape: tuple[int, ...], x: int, y: int, radius: int) -> Region:
    """A disc of pixels."""
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    region: Region = (columns - x) ** 2 + (rows - y) ** 2 <= radius * radius
    return region


def assert_filled(before: Pixels, after: Pixels, hole: Region) -> None:
    """The picture has its size, is untouched outside of the hole, and is another inside."""
    assert after.shape == before.shape
    changed = (after != before).any(axis=2)
    assert not (changed & ~hole).any(), "pixels outside of the hole were changed"
    # The soft border of the hole may be as it was, and so may a pixel by chance.
    assert changed[hole].mean() > 0.5, "the hole was not filled"


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("format", ["png", "webp"])
def test_a_mask_is_filled_and_nothing_else(inpaint: Inpaint, name: str, format: str) -> None:
    before = pixels(PHOTOS / name)
    region = disc(before.shape, x=190, y=140, radius=30)
    answer = inpaint(PHOTOS / name, mask=png(region), dilation=5, format=format)
    assert_filled(before, pixels(answer, format.upper()), grown(region, 5))


@pytest.mark.parametrize("name", NAMES)
def test_a_box_is_filled_and_nothing_else(inpaint: Inpaint, name: str) -> None:
    before = pixels(PHOTOS / name)
    x, y, width, height = 40, 60, 70, 50
    region = np.zeros(before.shape[:2], np.bool_)
    region[y : y + height, x : x + width] = True
    answer = inpaint((PHOTOS / name).read_bytes(), bbox=(x, y, width, height))
    assert_filled(before, pixels(answer, "PNG"), grown(region, 8))


def test_a_mask_goes_before_a_box(inpaint: Inpaint) -> None:
    before = pixels(PHOTOS / "chelsea.png")
    region = disc(before.shape, x=100, y=200, radius=20)
    outside = (100_000, 0, 10, 10)
    answer = inpaint(PHOTOS / "chelsea.png", mask=png(region), bbox=outside, dilation=0)
    assert_filled(before, pixels(answer, "PNG"), region)


def test_the_subject_is_erased(inpaint: Inpaint) -> None:
    before = pixels(PHOTOS / "rocket.jpg")
    after = pixels(inpaint(PHOTOS / "rocket.jpg"), "PNG")
    assert after.shape == before.shape
    changed = (after != before).any(axis=2)
    # The rocket stands in the middle, and the upper corners are sky.
    assert changed[160:380, 310:330].mean() > 0.8, "the rocket is still there"
    assert not changed[:100, 150:250].any(), "the sky was changed"


def test_a_jpeg_of_a_jpeg_changes_only_the_blocks_that_the_hole_touches(inpaint: Inpaint) -> None:
    before = pixels(PHOTOS / "coffee.jpg")
    region = disc(before.shape, x=190, y=140, radius=30)
    answer = inpaint(PHOTOS / "coffee.jpg", mask=png(region), dilation=5, format="jpg")
    # This photo's chroma is not subsampled, so a block is 8 x 8 pixels; its size is made of blocks.
    blocks = grown(region, 5).reshape(before.shape[0] // 8, 8, before.shape[1] // 8, 8)
    touched = blocks.any(axis=(1, 3)).repeat(8, axis=0).repeat(8, axis=1)
    assert_filled(before, pixels(answer, "JPEG"), touched)


def test_a_jpeg_of_another_photo_is_of_its_size_and_close_to_it(inpaint: Inpaint) -> None:
    before = pixels(PHOTOS / "chelsea.png")
    after = pixels(inpaint(PHOTOS / "chelsea.png", bbox=(40, 60, 70, 50), format="jpg"), "JPEG")
    assert after.shape == before.shape
    far = np.s_[150:, 200:]
    assert np.abs(after[far].astype(int) - before[far].astype(int)).mean() < 3


def test_the_same_request_gives_the_same_bytes(inpaint: Inpaint) -> None:
    once, again = (inpaint(PHOTOS / "chelsea.png", bbox=(200, 100, 60, 60)) for _ in range(2))
    assert once == again
