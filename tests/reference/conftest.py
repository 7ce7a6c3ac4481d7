"""The codec command under test, and the pictures to try it on."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
Samples = npt.NDArray[np.uint8 | np.uint16]
Codec = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def codec() -> Codec:
    """Runs `codec` (tests/reference/codec.rs), built by `cargo build --release --example codec`."""
    path = Path(os.environ.get("CODEC", ROOT / "target" / "release" / "examples" / "codec"))
    if not path.exists():
        pytest.fail(f"{path} is missing: run `cargo build --release --example codec` first")

    def run(*arguments: object, ok: bool = True) -> subprocess.CompletedProcess[str]:
        command = [str(path), *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if ok:
            assert done.returncode == 0, f"{command}: {done.stderr}"
        return done

    return run


@pytest.fixture(scope="session")
def photo() -> npt.NDArray[np.uint8]:
    """451 x 300 colours, no multiple of any block size: shades, edges and noise as photos have."""
    y, x = np.mgrid[0:300, 0:451]
    red = 128 + 100 * np.sin(x / 37) * np.cos(y / 23)
    green = 40 + x * 0.3 + 60 * ((x // 50 + y // 40) % 2)
    blue = 230 - y * 0.6 + 25 * np.sin(x * y / 900)
    noise = np.random.default_rng(7).normal(0, 6, (300, 451, 3))
    colours: npt.NDArray[np.uint8] = np.clip(np.dstack([red, green, blue]) + noise, 0, 255).astype(
        np.uint8
    )
    return colours


def read_samples(path: Path) -> Samples:
    """What `codec decode` wrote: rows, columns and, beyond grey, channels."""
    content = path.read_bytes()
    line, samples = content.split(b"\n", 1)
    width, height, channels, bits = map(int, line.split())
    flat = np.frombuffer(samples, np.uint8 if bits == 8 else np.uint16)
    shape = (height, width) if channels == 1 else (height, width, channels)
    return np.reshape(flat, shape)


def write_samples(path: Path, samples: Samples) -> None:
    """Writes a picture for `codec` to read."""
    height, width = samples.shape[:2]
    channels = 1 if samples.ndim == 2 else samples.shape[2]
    line = f"{width} {height} {channels} {8 * samples.dtype.itemsize}\n"
    path.write_bytes(line.encode() + samples.tobytes())


def program(name: str, package: str) -> str:
    """A program of a Debian package; a test that needs it says so where it is missing."""
    path = shutil.which(name)
    if path is None:
        pytest.fail(f"{name} is missing: run `apt-get install {package}` first")
    return path


def cjpeg(photo: npt.NDArray[np.uint8], *switches: str) -> bytes:
    """The picture as a JPEG file, made with libjpeg-turbo's own command."""
    ppm = io.BytesIO()
    Image.fromarray(photo).save(ppm, "ppm")
    command = [program("cjpeg", "libjpeg-turbo-progs"), *switches]
    return subprocess.run(command, input=ppm.getvalue(), capture_output=True, check=True).stdout
