"""Holes of random shape, size and place; the same seed gives the same holes."""

from collections.abc import Callable

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

Hole = NDArray[np.bool_]

SIZES = {"small": (0.04, 0.075), "medium": (0.12, 0.20), "large": (0.30, 0.45)}
"""The longest side of a hole's box, as shares of the photo's longest side."""


def cut(random: Generator, height: int, width: int, size: str) -> Hole:
    """A hole in a photo of so many pixels."""
    length = round(random.uniform(*SIZES[size]) * max(height, width))
    # A long hole must fit the photo's short side.
    length = min(length, min(height, width) * 3 // 4)
    kinds: list[Callable[[Generator, int], Image.Image]] = [_blob, _rounded_polygon, _stroke]
    drawn = np.asarray(kinds[random.integers(len(kinds))](random, length)) >= 128
    rows, columns = np.nonzero(drawn)
    shape = drawn[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    top = int(random.integers(0, height - shape.shape[0] + 1))
    left = int(random.integers(0, width - shape.shape[1] + 1))
    hole = np.zeros((height, width), bool)
    hole[top : top + shape.shape[0], left : left + shape.shape[1]] = shape
    return hole


def _blob(random: Generator, length: int) -> Image.Image:
    """A round shape whose radius swings."""
    angles = np.linspace(0, 2 * np.pi, 180, endpoint=False)
    radius = np.ones_like(angles)
    for wave in range(2, 6):
        radius += random.uniform(0, 0.6 / wave) * np.cos(
            wave * angles + random.uniform(0, 2 * np.pi)
        )
    radius *= length / 2 / radius.max()
    return _polygon(length, radius * np.cos(angles), radius * np.sin(angles))


def _rounded_polygon(random: Generator, length: int) -> Image.Image:
    """A polygon of four to seven corners, which are rounded off."""
    corners = int(random.integers(4, 8))
    angles = np.linspace(0, 2 * np.pi, corners, endpoint=False) + random.uniform(0, 2 * np.pi)
    angles += random.uniform(-0.4, 0.4, corners)
    radius = random.uniform(0.6, 1, corners) * length / 2
    sharp = _polygon(length, radius * np.cos(angles), radius * np.sin(angles))
    return sharp.filter(ImageFilter.GaussianBlur(length / 25))


def _stroke(random: Generator, length: int) -> Image.Image:
    """What a brush leaves that goes to and fro across."""
    image = Image.new("L", (length, length))
    draw = ImageDraw.Draw(image)
    brush = max(3, round(length * random.uniform(0.08, 0.2)))
    low, high = brush, max(length - brush, brush + 1)
    steps = np.linspace(low, high, int(random.integers(3, 6)))
    points = [(float(x), float(random.uniform(low, high))) for x in steps]
    draw.line(points, fill=255, width=brush, joint="curve")
    for x, y in points:
        draw.ellipse([x - brush / 2, y - brush / 2, x + brush / 2, y + brush / 2], fill=255)
    return image if random.random() < 0.5 else image.transpose(Image.Transpose.ROTATE_90)


def _polygon(length: int, x: NDArray[np.float64], y: NDArray[np.float64]) -> Image.Image:
    image = Image.new("L", (length, length))
    points = [(float(px), float(py)) for px, py in zip(x + length / 2, y + length / 2, strict=True)]
    ImageDraw.Draw(image).polygon(points, fill=255)
    return image
