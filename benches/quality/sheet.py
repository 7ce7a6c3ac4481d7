"""The contact sheet: what the figures stand for, to be looked at."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from quality.cases import Cut

Pixels = NDArray[np.uint8]

TILE = 288
COLUMNS = 6
LABEL = 18
SMALL_TILE = 120
SMALL_COLUMNS = 10
ROWS = ("before", "hole", "theirs", "ours")
_RED = np.array([255, 0, 60], np.uint8)


@dataclass(frozen=True)
class Strip:
    """One column of the sheet: the same part of the photo four times."""

    title: str
    tiles: tuple[Image.Image, ...]


def strips(title: str, cut: Cut, theirs: Pixels, ours: Pixels) -> list[Strip]:
    """The hole at the photo's own resolution; where it is too large for that, a part of its border
    so, and before it the whole hole scaled down."""
    truth, hole = cut.truth, cut.hole
    red = np.where(hole[:, :, None], _RED, truth)
    rows, columns = np.nonzero(hole)
    height, width = np.ptp(rows) + 1, np.ptp(columns) + 1
    y, x = int(rows.min() + height // 2), int(columns.min() + width // 2)
    side = round(max(height, width) * 1.4)

    def strip(title: str, y: int, x: int, side: int) -> Strip:
        crops = (_square(picture, y, x, side) for picture in (truth, red, theirs, ours))
        return Strip(title, tuple(crops))

    if side <= TILE:
        return [strip(title, y, x, TILE)]
    border = int(np.flatnonzero(hole[y])[0]) if hole[y].any() else x
    return [strip(f"{title}, all of it", y, x, side), strip(f"{title}, 1:1", y, border, TILE)]


def write(path: Path, columns: Sequence[Strip]) -> None:
    """Writes the strips as one picture, ``COLUMNS`` beside each other."""
    path.parent.mkdir(parents=True, exist_ok=True)
    bands = [columns[i : i + COLUMNS] for i in range(0, len(columns), COLUMNS)]
    band_height = len(ROWS) * (TILE + LABEL) + LABEL
    sheet = Image.new("RGB", (COLUMNS * (TILE + 4), max(len(bands), 1) * band_height), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(13)
    for number, band in enumerate(bands):
        for place, strip in enumerate(band):
            x = place * (TILE + 4)
            for row, (name, tile) in enumerate(zip(ROWS, strip.tiles, strict=True)):
                y = number * band_height + row * (TILE + LABEL)
                text = f"{name}: {strip.title}" if row == 0 else name
                draw.text((x + 2, y + 1), text, "black", font)
                sheet.paste(tile, (x, y + LABEL))
    sheet.save(path)


def write_small(path: Path, columns: Sequence[Strip]) -> None:
    """Writes the strips without titles as one small JPEG for the documentation."""
    path.parent.mkdir(parents=True, exist_ok=True)
    bands = [columns[i : i + SMALL_COLUMNS] for i in range(0, len(columns), SMALL_COLUMNS)]
    side = SMALL_TILE + 2
    band_height = len(ROWS) * side + 10
    sheet = Image.new("RGB", (SMALL_COLUMNS * side, max(len(bands), 1) * band_height), "white")
    for number, band in enumerate(bands):
        for place, strip in enumerate(band):
            for row, tile in enumerate(strip.tiles):
                small = tile.resize((SMALL_TILE, SMALL_TILE), Image.Resampling.LANCZOS)
                sheet.paste(small, (place * side, number * band_height + row * side))
    sheet.save(path, quality=70, optimize=True)


def _square(picture: Pixels, y: int, x: int, side: int) -> Image.Image:
    """The square of that side around a pixel, moved inside the picture, as a tile."""
    height, width = picture.shape[:2]
    side = min(side, height, width)
    top = min(max(y - side // 2, 0), height - side)
    left = min(max(x - side // 2, 0), width - side)
    crop = Image.fromarray(picture[top : top + side, left : left + side])
    return crop if side <= TILE else crop.resize((TILE, TILE), Image.Resampling.LANCZOS)
