"""The proof that patching a photo is no generation loss: coefficients read by jpeglib (libjpeg 6b).

What lies outside the touched blocks must be the original's coefficients bit for bit, and the tables
the original's too.
"""

from __future__ import annotations

import io
import subprocess
from pathlib import Path

import jpeglib
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from conftest import Codec, cjpeg, program, read_samples, write_samples

Photo = npt.NDArray[np.uint8]
Area = tuple[int, int, int, int]

# cjpeg's switches, and the pixels under a luma and a chroma block.
KINDS: dict[str, tuple[list[str], tuple[int, int], tuple[int, int]]] = {
    "4:4:4": (["-sample", "1x1"], (8, 8), (8, 8)),
    "4:2:2": (["-sample", "2x1"], (8, 8), (16, 8)),
    "4:4:0": (["-sample", "1x2"], (8, 8), (8, 16)),
    "4:2:0": (["-sample", "2x2"], (8, 8), (16, 16)),
    "4:1:1": (["-sample", "4x1"], (8, 8), (32, 8)),
    "4:2:0 optimised": (["-sample", "2x2", "-optimize"], (8, 8), (16, 16)),
    "4:2:0 progressive": (["-sample", "2x2", "-progressive"], (8, 8), (16, 16)),
    "4:4:4 progressive": (["-sample", "1x1", "-progressive"], (8, 8), (8, 8)),
    "4:2:0 restarts": (["-sample", "2x2", "-restart", "5B"], (8, 8), (16, 16)),
    "RGB": (["-rgb"], (8, 8), (8, 8)),
    "finest": (["-quality", "100", "-sample", "2x2"], (8, 8), (16, 16)),
    "coarse": (["-quality", "10", "-sample", "2x2"], (8, 8), (16, 16)),
}
HOLES: dict[str, list[Area]] = {
    "nothing": [],
    "a spot": [(100, 77, 3, 3)],
    "inside": [(117, 91, 61, 43)],
    "edges and corners": [(0, 0, 5, 5), (448, 296, 3, 4), (200, 0, 9, 1), (0, 150, 1, 30)],
    "a long line": [(4 * step, 3 * step, 6, 5) for step in range(90)],
    "everything": [(0, 0, 451, 300)],
}


def planes(path: Path) -> list[npt.NDArray[np.int16]]:
    dct = jpeglib.read_dct(str(path))
    return [plane for plane in (dct.Y, dct.Cb, dct.Cr) if plane is not None]


def touched(
    shape: tuple[int, ...], holes: list[Area], under: tuple[int, int]
) -> npt.NDArray[np.bool_]:
    """Which blocks of a component lie over a hole."""
    blocks = np.zeros(shape[:2], bool)
    for x, y, width, height in holes:
        left, right = x // under[0], -(-(x + width) // under[0])
        top, bottom = y // under[1], -(-(y + height) // under[1])
        blocks[top:bottom, left:right] = True
    return blocks


def paint(photo: Photo, holes: list[Area]) -> Photo:
    edited = photo.copy()
    opposite = np.where(photo > 127, 0, 255).astype(np.uint8)
    for x, y, width, height in holes:
        edited[y : y + height, x : x + width] = opposite[y : y + height, x : x + width]
    return edited


def patch(codec: Codec, folder: Path, holes: list[Area]) -> Photo:
    """Patches in.jpg to out.jpg; returns in.jpg's pixels."""
    codec("decode", folder / "in.jpg", folder / "pixels")
    pixels = read_samples(folder / "pixels").astype(np.uint8, copy=False)
    write_samples(folder / "edited", paint(pixels, holes))
    areas = [",".join(map(str, hole)) for hole in holes]
    codec("patch", folder / "in.jpg", folder / "edited", folder / "out.jpg", *areas)
    return pixels


@pytest.mark.parametrize("holes", HOLES)
@pytest.mark.parametrize("kind", KINDS)
def test_leaves_every_untouched_coefficient_alone(
    codec: Codec, photo: Photo, tmp_path: Path, kind: str, holes: str
) -> None:
    switches, luma, chroma = KINDS[kind]
    (tmp_path / "in.jpg").write_bytes(cjpeg(photo, *switches))
    before = patch(codec, tmp_path, HOLES[holes])

    old, new = planes(tmp_path / "in.jpg"), planes(tmp_path / "out.jpg")
    assert len(old) == len(new) == 3
    for component, (was, is_now) in enumerate(zip(old, new, strict=True)):
        assert was.shape == is_now.shape
        area = touched(was.shape, HOLES[holes], luma if component == 0 else chroma)
        np.testing.assert_array_equal(is_now[~area], was[~area])
        if HOLES[holes] and component == 0:
            assert (is_now[area] != was[area]).any(), "the new pixels must have arrived"

    first, second = (
        jpeglib.read_dct(str(tmp_path / "in.jpg")),
        jpeglib.read_dct(str(tmp_path / "out.jpg")),
    )
    np.testing.assert_array_equal(first.qt, second.qt)
    assert first.progressive_mode == second.progressive_mode
    assert first.jpeg_color_space == second.jpeg_color_space
    np.testing.assert_array_equal(first.samp_factor, second.samp_factor)

    # A decoder that interpolates chroma reaches one pixel beyond the touched blocks.
    after = np.asarray(Image.open(tmp_path / "out.jpg").convert("RGB"))
    may_differ = np.zeros(photo.shape[:2], bool)
    for x, y, width, height in HOLES[holes]:
        left, right = x // chroma[0] * chroma[0], -(-(x + width) // chroma[0]) * chroma[0]
        top, bottom = y // chroma[1] * chroma[1], -(-(y + height) // chroma[1]) * chroma[1]
        may_differ[max(top - 1, 0) : bottom + 1, max(left - 1, 0) : right + 1] = True
    np.testing.assert_array_equal(after[~may_differ], before[~may_differ])


def test_leaves_a_grey_photo_alone(codec: Codec, photo: Photo, tmp_path: Path) -> None:
    (tmp_path / "in.jpg").write_bytes(cjpeg(photo, "-grayscale"))
    codec("decode", tmp_path / "in.jpg", tmp_path / "pixels")
    pixels = read_samples(tmp_path / "pixels").copy()
    pixels[50:70, 80:140] = 255
    write_samples(tmp_path / "edited", pixels)
    codec("patch", tmp_path / "in.jpg", tmp_path / "edited", tmp_path / "out.jpg", "80,50,60,20")
    (old,), (new,) = planes(tmp_path / "in.jpg"), planes(tmp_path / "out.jpg")
    area = touched(old.shape, [(80, 50, 60, 20)], (8, 8))
    np.testing.assert_array_equal(new[~area], old[~area])
    assert (new[area] != old[area]).any()


def test_the_fill_arrives_as_well_as_the_tables_allow(
    codec: Codec, photo: Photo, tmp_path: Path
) -> None:
    """Inside the hole: no farther from the edited pixels than encoding the whole photo again."""
    hole = (117, 91, 61, 43)
    tables = ["-quality", "90", "-sample", "2x2"]
    (tmp_path / "in.jpg").write_bytes(cjpeg(photo, *tables))
    codec("decode", tmp_path / "in.jpg", tmp_path / "pixels")
    pixels = read_samples(tmp_path / "pixels").astype(np.uint8, copy=False)
    edited = pixels.copy()
    x, y, width, height = hole
    edited[y : y + height, x : x + width] = photo[200 : 200 + height, 10 : 10 + width]
    write_samples(tmp_path / "edited", edited)
    codec("patch", tmp_path / "in.jpg", tmp_path / "edited", tmp_path / "out.jpg", "117,91,61,43")
    again = np.asarray(Image.open(io.BytesIO(cjpeg(edited, *tables))))
    ours = np.asarray(Image.open(tmp_path / "out.jpg"))
    part = np.s_[y : y + height, x : x + width]

    def error(result: npt.NDArray[np.uint8]) -> float:
        return float(np.mean((result[part].astype(float) - edited[part]) ** 2))

    assert error(ours) <= 1.05 * error(again)


def test_jpegtran_and_djpeg_read_the_result_without_a_warning(
    codec: Codec, photo: Photo, tmp_path: Path
) -> None:
    for switches, _, _ in KINDS.values():
        (tmp_path / "in.jpg").write_bytes(cjpeg(photo, *switches))
        patch(codec, tmp_path, [(30, 30, 50, 50)])
        command = [program("djpeg", "libjpeg-turbo-progs"), "-strict", str(tmp_path / "out.jpg")]
        done = subprocess.run(command, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr
        assert done.stderr == b""
