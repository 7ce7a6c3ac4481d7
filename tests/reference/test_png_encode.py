"""The gateway's PNG encoder against other programs: valid, lossless, and small enough."""

from __future__ import annotations

import io
import subprocess
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from conftest import Codec, Samples, program, write_samples

Photo = npt.NDArray[np.uint8]
MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}


def encoded(codec: Codec, folder: Path, samples: Samples) -> bytes:
    """The samples as PNG, once pngcheck, which knows every rule, has found no fault."""
    write_samples(folder / "samples", samples)
    codec("encode-png", folder / "samples", folder / "out.png")
    command = [program("pngcheck", "pngcheck"), "-q", str(folder / "out.png")]
    check = subprocess.run(command, capture_output=True, text=True, check=False)
    assert check.returncode == 0, check.stdout
    return (folder / "out.png").read_bytes()


def with_channels(photo: Photo, channels: int) -> Photo:
    planes = [photo, photo[::-1, :, :1]]
    stacked = np.concatenate(planes, axis=2)
    return np.ascontiguousarray(stacked[:, :, 4 - channels :]) if channels > 1 else photo[..., 0]


@pytest.mark.parametrize("size", [(451, 300), (1, 1), (451, 1), (1, 300)], ids=str)
@pytest.mark.parametrize("channels", MODES)
def test_pillow_reads_the_same_samples(
    codec: Codec, photo: Photo, tmp_path: Path, channels: int, size: tuple[int, int]
) -> None:
    samples = np.ascontiguousarray(with_channels(photo, channels)[: size[1], : size[0]])
    picture = Image.open(io.BytesIO(encoded(codec, tmp_path, samples)))
    assert picture.mode == MODES[channels]
    np.testing.assert_array_equal(np.asarray(picture), samples)


def test_pillow_reads_a_picture_of_many_strips(codec: Codec, photo: Photo, tmp_path: Path) -> None:
    samples = np.tile(photo, (7, 5, 1))
    picture = Image.open(io.BytesIO(encoded(codec, tmp_path, samples)))
    np.testing.assert_array_equal(np.asarray(picture), samples)


@pytest.mark.parametrize("channels", MODES)
def test_libpng_reads_the_same_16_bit_samples(
    codec: Codec, photo: Photo, tmp_path: Path, channels: int
) -> None:
    noise = np.random.default_rng(3).integers(0, 256, photo.shape)
    wide = (photo.astype(np.uint16) * 256 + noise).astype(np.uint16)
    samples = np.concatenate([wide, wide[::-1, :, :1]], axis=2)[:, :, 4 - channels :]
    samples = np.ascontiguousarray(samples if channels > 1 else samples[..., 0])
    encoded(codec, tmp_path, samples)
    command = [program("pngtopam", "netpbm"), "-alphapam", str(tmp_path / "out.png")]
    if channels in (1, 3):
        command.remove("-alphapam")
    pam = subprocess.run(command, capture_output=True, check=True).stdout
    read = np.frombuffer(pam[-samples.size * 2 :], ">u2").reshape(samples.shape)
    np.testing.assert_array_equal(read, samples)


@pytest.mark.parametrize("channels", [1, 3])
def test_is_hardly_larger_than_libpng_by_default(
    codec: Codec, photo: Photo, tmp_path: Path, channels: int
) -> None:
    samples = with_channels(photo, channels)
    theirs = io.BytesIO()
    Image.fromarray(samples).save(theirs, "png")
    assert len(encoded(codec, tmp_path, samples)) <= 1.2 * len(theirs.getvalue())
