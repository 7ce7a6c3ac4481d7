"""Pictures of every kind that the service reads, with the samples that a reference decoder sees.

The references are Pillow for JPEG, PNG of 8 bits and WebP, a later libheif for HEIC, and for PNG of
16 bits, which Pillow does not read in full, the samples that the file was made of.
"""

import io
import random
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pillow_heif
from PIL import Image, ImageCms, ImageOps

from rig.grid import grid_of

Samples = npt.NDArray[np.uint8 | np.uint16]
"""Rows, columns and channels, upright."""

PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
_ORIENTATION = 0x0112


@dataclass(frozen=True)
class Picture:
    """A file, and what it shows."""

    kind: str
    file: bytes
    samples: Samples
    icc: bytes | None

    @property
    def size(self) -> tuple[int, int]:
        """Width and height as displayed."""
        return self.samples.shape[1], self.samples.shape[0]


def draw(chance: random.Random) -> Picture:
    """A picture of a random kind, size and content."""
    kind = chance.choice(list(KINDS))
    width, height = chance.choice([(1, 1), *[(chance.randint(2, 90), chance.randint(2, 90))] * 15])
    return KINDS[kind](chance, kind, width, height)


def _levels(
    chance: random.Random, width: int, height: int, channels: int, bits: int = 8
) -> Samples:
    """Shades with noise; alpha, the last of two or four channels, is partly 0, partly whole."""
    generator = np.random.default_rng(chance.getrandbits(32))
    rows, columns = np.mgrid[0:height, 0:width]
    base = np.stack([(rows * 3 + columns * (c + 1)) % 230 for c in range(channels)], -1) / 255
    noise = generator.uniform(0, 0.1, base.shape)
    top = (1 << bits) - 1
    levels: Samples = ((base + noise).clip(0, 1) * top).astype(np.uint16 if bits > 8 else np.uint8)
    if channels in (2, 4):
        alpha = levels[..., -1]
        alpha[rows + columns < 20] = 0
        alpha[rows > columns] = top
    return levels


def _image(levels: Samples) -> Image.Image:
    return Image.fromarray(levels[..., 0] if levels.shape[2] == 1 else levels)


def _saved(image: Image.Image, file_format: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, file_format, **options)
    return file.getvalue()


def _seen(kind: str, file: bytes, mode: str, *, icc: bytes | None = None) -> Picture:
    """A file as Pillow shows it, upright."""
    with Image.open(io.BytesIO(file)) as image:
        upright = ImageOps.exif_transpose(image).convert(mode)
    samples = np.asarray(upright)
    return Picture(kind, file, samples if samples.ndim == 3 else samples[..., None], icc)


def _turned(chance: random.Random) -> bytes:
    exif = Image.Exif()
    exif[_ORIENTATION] = chance.randint(1, 8)
    return exif.tobytes()


def _profile(chance: random.Random) -> bytes | None:
    return PROFILE if chance.random() < 0.5 else None


def _png(mode: str) -> Callable[..., Picture]:
    def make(chance: random.Random, kind: str, width: int, height: int) -> Picture:
        levels = _levels(chance, width, height, len(Image.new(mode, (1, 1)).getbands()))
        icc = _profile(chance) if mode.startswith("RGB") else None
        options = {"icc_profile": icc} if icc else {}
        file = _saved(_image(levels), "PNG", exif=_turned(chance), **options)
        return _seen(kind, file, mode, icc=icc)

    return make


def _png_palette(*, transparent: bool) -> Callable[..., Picture]:
    def make(chance: random.Random, kind: str, width: int, height: int) -> Picture:
        image = _image(_levels(chance, width, height, 3)).quantize(chance.choice([2, 4, 16, 200]))
        options = {"transparency": bytes([0, 77, 255])} if transparent else {}
        return _seen(kind, _saved(image, "PNG", **options), "RGBA" if transparent else "RGB")

    return make


def _png_bits(chance: random.Random, kind: str, width: int, height: int) -> Picture:
    file = _saved(_image(_levels(chance, width, height, 1)).convert("1"), "PNG")
    return _seen(kind, file, "L")


def _png_transparent_colour(chance: random.Random, kind: str, width: int, height: int) -> Picture:
    levels = _levels(chance, width, height, 3)
    colour = tuple(int(level) for level in levels[height // 2, width // 2])
    return _seen(kind, _saved(_image(levels), "PNG", transparency=colour), "RGBA")


def _png_sixteen(channels: int) -> Callable[..., Picture]:
    def make(chance: random.Random, kind: str, width: int, height: int) -> Picture:
        levels = _levels(chance, width, height, channels, 16)
        return Picture(kind, png_of(levels), levels, None)

    return make


def png_of(levels: Samples) -> bytes:
    """A PNG of 16 bits a sample, which Pillow does not write for all layouts (PNG, 11.2)."""
    height, width, channels = levels.shape

    def chunk(name: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content))
            + name
            + content
            + struct.pack(">I", zlib.crc32(name + content))
        )

    colour = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in levels)
    head = struct.pack(">IIBBBBB", width, height, 16, colour, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def _jpeg(mode: str, **options: object) -> Callable[..., Picture]:
    def make(chance: random.Random, kind: str, width: int, height: int) -> Picture:
        icc = _profile(chance) if mode == "RGB" else None
        channels = {"L": 1, "RGB": 3, "CMYK": 4}[mode]
        levels = _levels(chance, width, height, min(channels, 3))
        image = _image(levels).convert(mode)
        extra = {"icc_profile": icc} if icc else {}
        quality = chance.randint(30, 100)
        file = _saved(image, "JPEG", quality=quality, exif=_turned(chance), **options, **extra)
        return _seen(kind, file, "L" if mode == "L" else "RGB", icc=icc)

    return make


def _webp(mode: str, *, lossless: bool) -> Callable[..., Picture]:
    def make(chance: random.Random, kind: str, width: int, height: int) -> Picture:
        icc = _profile(chance)
        image = _image(_levels(chance, width, height, len(mode)))
        options = {"icc_profile": icc} if icc else {}
        file = _saved(image, "WEBP", lossless=lossless, exact=True, exif=_turned(chance), **options)
        # A file whose alpha is nowhere needed says so, and has none.
        with Image.open(io.BytesIO(file)) as opened:
            mode_of_file = opened.mode
        return _seen(kind, file, mode_of_file, icc=icc)

    return make


def _heic(mode: str, *, deep: bool) -> Callable[..., Picture]:
    def make(chance: random.Random, kind: str, width: int, height: int) -> Picture:
        # Even, since the embedded libheif 1.23.1 spoils the colours at an edge of what is turned
        # and odd; the later one of the reference does not.
        width, height = max(width, 16) & ~1, max(height, 16) & ~1
        levels = _levels(chance, width, height, len(mode), 16 if deep else 8)
        heif = pillow_heif.from_bytes(
            mode=f"{mode};16" if deep else mode, size=(width, height), data=levels.tobytes()
        )
        turn = chance.choice([1, 3, 6, 8])
        exif = Image.Exif()
        exif[_ORIENTATION] = turn
        file = io.BytesIO()
        heif.save(file, quality=chance.randint(40, 95), exif=exif.tobytes())
        seen = pillow_heif.open_heif(file.getvalue(), convert_hdr_to_8bit=False)
        samples = np.asarray(seen)
        if deep:
            # Ten bits in the upper bits; the service repeats them below, so that white is white.
            samples = samples | (samples >> 10)
        return Picture(kind, file.getvalue(), samples, None)

    return make


def _heic_grid(chance: random.Random, kind: str, width: int, height: int) -> Picture:
    width, height = max(width, 66) & ~1, max(height, 66) & ~1
    file = grid_of(_image(_levels(chance, width, height, 3)), 64, quality=chance.randint(40, 95))
    return Picture(kind, file, np.asarray(pillow_heif.open_heif(file)), None)


KINDS: dict[str, Callable[..., Picture]] = {
    "png grey": _png("L"),
    "png grey and alpha": _png("LA"),
    "png rgb": _png("RGB"),
    "png rgba": _png("RGBA"),
    "png 1 bit": _png_bits,
    "png palette": _png_palette(transparent=False),
    "png palette with transparency": _png_palette(transparent=True),
    "png rgb with a transparent colour": _png_transparent_colour,
    "png grey 16": _png_sixteen(1),
    "png grey and alpha 16": _png_sixteen(2),
    "png rgb 16": _png_sixteen(3),
    "png rgba 16": _png_sixteen(4),
    "jpeg grey": _jpeg("L"),
    "jpeg 4:4:4": _jpeg("RGB", subsampling=0),
    "jpeg 4:2:2": _jpeg("RGB", subsampling=1),
    "jpeg 4:2:0": _jpeg("RGB", subsampling=2),
    "jpeg progressive": _jpeg("RGB", progressive=True),
    "jpeg with restart markers": _jpeg("RGB", restart_marker_blocks=1),
    "jpeg cmyk": _jpeg("CMYK"),
    "webp lossy": _webp("RGB", lossless=False),
    "webp lossless": _webp("RGB", lossless=True),
    "webp lossy with alpha": _webp("RGBA", lossless=False),
    "webp lossless with alpha": _webp("RGBA", lossless=True),
    "heic": _heic("RGB", deep=False),
    "heic with alpha": _heic("RGBA", deep=False),
    "heic deep": _heic("RGB", deep=True),
    "heic of tiles": _heic_grid,
}
