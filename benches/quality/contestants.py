"""Two ways to fill a hole with the same model: this service, and what public tools do."""

import io
import sys
from collections.abc import Callable

import grpc
import httpx
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gateway import ROOT, TOKEN

Pixels = NDArray[np.uint8]
Hole = NDArray[np.bool_]
Model = Callable[[Pixels, Hole], Pixels]
"""Fills a square picture [S, S, 3] where its hole [S, S] is."""

WORKING_SIDE = 1024
"""What public tools shrink the longest side of a photo to."""

_LARGEST_MESSAGE = 64 << 20


def ours(address: str, photo: Pixels, marked: Hole, dilation: int) -> Pixels:
    """The photo as the service at ``address`` fills it, PNG out.

    The photo is sent as lossless WebP: the service takes 10 MiB, and PNG needs more for 12
    megapixels.
    """
    answer = httpx.post(
        f"{address}/inpaint",
        headers={"authorization": f"Bearer {TOKEN}"},
        files={"file": _webp(photo), "mask": _webp(np.where(marked, np.uint8(255), np.uint8(0)))},
        data={"dilation": str(dilation)},
        timeout=300,
    )
    if answer.status_code != 200:
        raise SystemExit(f"the gateway answers {answer.status_code}: {answer.text}")
    with Image.open(io.BytesIO(answer.content)) as filled:
        return np.asarray(filled.convert("RGB"))


def theirs(model: Model, photo: Pixels, hole: Hole) -> Pixels:
    """The whole photo shrunk, filled, enlarged, and put under the hole.

    The photo is shrunk with Lanczos, its longest side to ``WORKING_SIDE``; a pixel of the small
    mask is set if any pixel under it is; the square that the model takes is padded with mirrored
    content; the fill is enlarged with a bicubic filter. A small photo keeps its size.
    """
    height, width = hole.shape
    scale = min(WORKING_SIDE / max(height, width), 1.0)
    size = (round(width * scale), round(height * scale))
    small = np.asarray(Image.fromarray(photo).resize(size, Image.Resampling.LANCZOS))
    coverage = Image.fromarray(hole.astype(np.float32))
    small_hole = np.asarray(coverage.resize(size, Image.Resampling.BOX)) > 0
    filled = Image.fromarray(_in_square(model, small, small_hole))
    large = np.asarray(filled.resize((width, height), Image.Resampling.BICUBIC))
    return np.where(hole[:, :, None], large, photo)


def triton(address: str, name: str) -> Model:
    """A model of the Triton at ``address``, called directly."""
    sys.path.append(str(ROOT / "proto"))
    messages, services = grpc.protos_and_services("inference.proto")
    sys.path.pop()
    options = [("grpc.max_receive_message_length", _LARGEST_MESSAGE)]
    channel = grpc.insecure_channel(address.removeprefix("http://"), options=options)
    service = services.GRPCInferenceServiceStub(channel)
    if not service.ModelReady(messages.ModelReadyRequest(name=name)).ready:
        raise SystemExit(f"this Triton does not serve {name}")

    def fill(image: Pixels, hole: Hole) -> Pixels:
        request = messages.ModelInferRequest(model_name=name)
        request.outputs.add(name="output")
        for tensor, array in (
            ("image", image),
            ("mask", hole[:, :, None].astype(np.uint8) * 255),
        ):
            request.inputs.add(name=tensor, datatype="UINT8", shape=[1, *array.shape])
            request.raw_input_contents.append(np.ascontiguousarray(array).tobytes())
        answer = service.ModelInfer(request, timeout=300)
        (output,) = answer.outputs
        if output.datatype != "UINT8" or list(output.shape) != [1, *image.shape]:
            raise SystemExit(f"{name} answers {output.datatype} {list(output.shape)}")
        return np.frombuffer(answer.raw_output_contents[0], np.uint8).reshape(image.shape)

    return fill


def _in_square(model: Model, image: Pixels, hole: Hole) -> Pixels:
    """The model's answer to a picture that is no square: padded, and cut out of the answer."""
    height, width = hole.shape
    side = max(height, width)
    top, left = (side - height) // 2, (side - width) // 2
    around = [(top, side - height - top), (left, side - width - left)]
    # As often as it takes: numpy's padding mirrors more than once.
    square = np.pad(image, [*around, (0, 0)], mode="reflect")
    filled = model(square, np.pad(hole, around, mode="reflect"))
    return filled[top : top + height, left : left + width]


def _webp(pixels: Pixels) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).convert("RGB").save(file, "WEBP", lossless=True, quality=0, method=0)
    return file.getvalue()
