"""The photos and forms that callers send."""

import io
from dataclasses import dataclass

import numpy as np
import pillow_heif
from PIL import Image

from rig.grid import grid_of

BOUNDARY = "lacuna-proof"
BOX = {"x": "20", "y": "20", "w": "24", "h": "24"}
"""Inside of every photo made here."""

pillow_heif.register_heif_opener()


@dataclass(frozen=True)
class Form:
    """A multipart body and its Content-Type."""

    body: bytes
    content_type: str = f"multipart/form-data; boundary={BOUNDARY}"


def photo(side: int = 96, seed: int = 0, file_format: str = "PNG") -> bytes:
    """A small photo: gradients and a little noise. ``TILES`` is a HEIC of tiles."""
    generator = np.random.default_rng(seed)
    rows, columns = np.mgrid[0:side, 0:side] * (200 / side)
    levels = np.stack([rows, columns, (rows + columns) / 2], -1)
    levels = levels + generator.uniform(0, 30, levels.shape)
    image = Image.fromarray(levels.astype(np.uint8))
    return grid_of(image, 64) if file_format == "TILES" else _file(image, file_format)


def mask(side: int = 96, file_format: str = "PNG", *, white: bool = True) -> bytes:
    """A mask with a white square in the middle, or black all over."""
    levels = np.zeros((side, side), np.uint8)
    if white:
        levels[side // 3 : side // 2, side // 3 : side // 2] = 255
    return _file(Image.fromarray(levels), file_format)


def _file(picture: Image.Image, file_format: str) -> bytes:
    file = io.BytesIO()
    picture.save(file, file_format)
    return file.getvalue()


def form(fields: dict[str, str], **files: bytes) -> Form:
    """A form of text fields and files."""
    parts = [
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in fields.items()
    ]
    for name, content in files.items():
        head = (
            f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"; filename="{name}"\r\n'
            "Content-Type: application/octet-stream\r\n\r\n"
        )
        parts.append(head.encode() + content + b"\r\n")
    return Form(b"".join(parts) + f"--{BOUNDARY}--\r\n".encode())


def box_form() -> Form:
    """A small PNG photo and a box: little work for the gateway, one window for the model."""
    return form(BOX, file=photo())
