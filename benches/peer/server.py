"""A plain inpainting server: FastAPI, Pillow, the model in the process.

It does what such servers do. The photo is opened with Pillow; the mask is dilated with a square
maximum filter; both are shrunk to 1024 pixels; the model fills; the fill is enlarged and put under
the mask; Pillow encodes. The model is PatchMatch from PyPI (see ``fill``).
"""

import io
import os
import threading
import time
from typing import Annotated, Literal

import numpy as np
from fastapi import FastAPI, File, Form, HTTPException, Response, UploadFile
from PIL import Image, ImageFilter, ImageOps

from peer.fill import Hole, Pixels, fill

WORKING_SIDE = 1024
WITHOUT_MODEL = os.environ.get("PEER_WITHOUT_MODEL") == "1"
"""The hole is filled with the mean colour, to see what all else takes."""

Format = Literal["png", "webp", "jpg"]

app = FastAPI()
_one_at_a_time = threading.Lock()
"""The native code is not called from two threads; there are as many processes as cores."""


@app.get("/readyz")
def ready() -> str:
    """Answers when the server runs."""
    return "ready"


# Not async: FastAPI runs it in a thread, so that the server goes on answering.
@app.post("/inpaint")
def inpaint(
    file: Annotated[UploadFile, File()],
    mask: Annotated[UploadFile | None, File()] = None,
    x: Annotated[int, Form()] = 0,
    y: Annotated[int, Form()] = 0,
    w: Annotated[int, Form()] = 0,
    h: Annotated[int, Form()] = 0,
    dilation: Annotated[int, Form(ge=0, le=32)] = 8,
    format: Annotated[Format, Form()] = "png",
    optimize: Annotated[bool, Form()] = True,
) -> Response:
    """Fills a box or a mask; ``optimize`` is Pillow's option for PNG."""
    clock = _Clock()
    photo = ImageOps.exif_transpose(Image.open(file.file)).convert("RGB")
    clock.lap("decode")
    if mask is not None:
        hole = Image.open(mask.file).convert("L").resize(photo.size, Image.Resampling.NEAREST)
        hole = hole.point(lambda level: 255 * (level >= 128))
    else:
        hole = Image.new("L", photo.size)
        hole.paste(255, (x, y, x + w, y + h))
    if hole.getbbox() is None:
        raise HTTPException(400, "Mask has no pixels to inpaint.")
    if dilation:
        hole = hole.filter(ImageFilter.MaxFilter(2 * dilation + 1))
    clock.lap("mask")
    small, small_hole = photo.copy(), hole.copy()
    small.thumbnail((WORKING_SIDE, WORKING_SIDE), Image.Resampling.LANCZOS)
    small_hole = hole.resize(small.size, Image.Resampling.BOX).point(
        lambda level: 255 * (level > 0)
    )
    clock.lap("shrink")
    filled = Image.fromarray(_fill(np.asarray(small), np.asarray(small_hole) > 0))
    clock.lap("inpaint")
    filled = filled.resize(photo.size, Image.Resampling.BICUBIC)
    answer = Image.composite(filled, photo, hole)
    clock.lap("composite")
    encoded = io.BytesIO()
    match format:
        case "png":
            answer.save(encoded, "PNG", optimize=optimize)
        case "webp":
            answer.save(encoded, "WEBP", lossless=True)
        case "jpg":
            answer.save(encoded, "JPEG", quality=95)
    clock.lap("encode")
    kind = {"jpg": "image/jpeg"}.get(format, f"image/{format}")
    return Response(encoded.getvalue(), media_type=kind, headers={"server-timing": clock.text()})


def _fill(image: Pixels, hole: Hole) -> Pixels:
    if WITHOUT_MODEL:
        mean = image[~hole].mean(axis=0).astype(np.uint8)
        return np.where(hole[:, :, None], mean, image)
    with _one_at_a_time:
        return fill(image, hole)


class _Clock:
    """How long each step took."""

    def __init__(self) -> None:
        self._steps: list[str] = []
        self._last = time.perf_counter()

    def lap(self, step: str) -> None:
        now = time.perf_counter()
        self._steps.append(f"{step};dur={(now - self._last) * 1000:.1f}")
        self._last = now

    def text(self) -> str:
        return ", ".join(self._steps)
