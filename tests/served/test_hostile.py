"""Requests that no model can answer: each is refused, and the server goes on."""

import grpc
import numpy as np
import pytest

from grpc_client import Client, Raw
from pictures import Pixels, as_mask, square_hole, texture

REFUSED = grpc.StatusCode.INVALID_ARGUMENT

PATCHMATCH = ("patchmatch", "output")
ISNET = ("isnet", "alpha")


def image(side: int, batch: int = 1, channels: int = 3) -> Raw:
    return Raw("image", (batch, side, side, channels), bytes(batch * side * side * channels))


def mask(side: int, batch: int = 1) -> Raw:
    return Raw("mask", (batch, side, side, 1), bytes(batch * side * side))


def with_content(raw: Raw, content: bytes) -> Raw:
    return Raw(raw.name, raw.shape, content, raw.datatype)


def with_type(raw: Raw, datatype: str) -> Raw:
    return Raw(raw.name, raw.shape, raw.content, datatype)


def asked(triton: Client, model: tuple[str, str], inputs: list[Raw]) -> grpc.RpcError:
    with pytest.raises(grpc.RpcError) as refused:
        triton.result(triton.start_raw(*model, inputs))
    return refused.value


CASES = {
    "another side": (ISNET, [image(512)]),
    "no square": (ISNET, [Raw("image", (1, 1024, 512, 3), bytes(1024 * 512 * 3))]),
    "one channel": (ISNET, [image(1024, channels=1)]),
    "four channels": (ISNET, [image(1024, channels=4)]),
    "no batch": (ISNET, [Raw("image", (1024, 1024, 3), bytes(1024 * 1024 * 3))]),
    "too large a batch": (ISNET, [image(1024, batch=3)]),
    "a batch of none": (ISNET, [image(1024, batch=0)]),
    "negative sizes": (ISNET, [Raw("image", (-1, 1024, 1024, 3), bytes(1024 * 1024 * 3))]),
    "sizes whose product is too large": (ISNET, [Raw("image", (1, 2**31, 2**31, 3), bytes(3))]),
    "sizes whose product is zero again": (ISNET, [Raw("image", (1, 2**32, 2**32, 3), b"")]),
    "no bytes": (ISNET, [with_content(image(1024), b"")]),
    "a byte too few": (ISNET, [with_content(image(1024), image(1024).content[:-1])]),
    "a byte too many": (ISNET, [with_content(image(1024), image(1024).content + b"x")]),
    "floats": (ISNET, [with_type(image(1024), "FP32")]),
    "texts": (ISNET, [with_type(image(1024), "BYTES")]),
    "a type that there is not": (ISNET, [with_type(image(1024), "UINT7")]),
    "no input": (ISNET, []),
    "an input of another name": (ISNET, [Raw("picture", (1, 1024, 1024, 3), image(1024).content)]),
    "an input too many": (ISNET, [image(1024), mask(1024)]),
    "the same input twice": (ISNET, [image(1024), image(1024)]),
    "a mask of another side": (PATCHMATCH, [image(256), mask(512)]),
    "a mask of another batch": (PATCHMATCH, [image(256, batch=2), mask(256)]),
    "a mask with a byte too few": (PATCHMATCH, [image(256), with_content(mask(256), bytes(65535))]),
    "a window that is too large": (PATCHMATCH, [image(2048), mask(2048)]),
    "a window without a pixel": (PATCHMATCH, [image(0), mask(0)]),
}


@pytest.mark.parametrize(("model", "inputs"), CASES.values(), ids=CASES)
def test_what_no_model_takes_is_refused(
    model: tuple[str, str], inputs: list[Raw], triton: Client
) -> None:
    assert asked(triton, model, inputs).code() is REFUSED


def test_an_output_that_there_is_not_is_refused(triton: Client) -> None:
    assert asked(triton, ("isnet", "beta"), [image(1024)]).code() is REFUSED


def test_any_request_is_answered_or_refused_and_good_ones_are_answered_beside_them(
    triton: Client,
) -> None:
    window = {"image": texture(256)[None], "mask": as_mask(square_hole(256, 30))[None]}
    picture = {"image": texture(1024)[None]}
    filled = triton.infer(*PATCHMATCH, window)
    alpha = triton.infer(*ISNET, picture)
    rng = np.random.default_rng(7)
    codes = set()
    for number in range(400):
        model, output = (PATCHMATCH, ISNET)[number % 2]
        call = triton.start_raw(model, output, [spoilt(rng, name) for name in names(rng)])
        beside = triton.start(*PATCHMATCH, window) if number % 20 == 0 else None
        codes.add(call.code())
        if beside is not None:
            assert np.array_equal(triton.result(beside), filled), number
    assert codes <= {grpc.StatusCode.OK, REFUSED}, codes
    assert REFUSED in codes
    for model in ("patchmatch", "isnet"):
        assert triton.is_ready(model)
    assert np.array_equal(triton.infer(*PATCHMATCH, window), filled)
    assert np.array_equal(triton.infer(*ISNET, picture), alpha)


def names(rng: np.random.Generator) -> list[str]:
    """Mostly those that models have."""
    count = int(rng.choice([0, 1, 1, 2, 2, 2, 3]))
    return ["image", "mask", "image"][:count] if rng.random() < 0.9 else ["other"] * count


def spoilt(rng: np.random.Generator, name: str) -> Raw:
    """An input of a shape, a type and a size that have been drawn; seldom do they fit."""
    channels = 1 if name == "mask" else 3
    shape = [1, 256, 256, channels]
    for _ in range(int(rng.choice([0, 1, 1, 2]))):
        place = int(rng.integers(0, 4))
        shape[place] = int(rng.choice([-1, 0, 1, 2, 3, 255, 257, 1024, 1025, 2**31, 2**40, 2**62]))
    if rng.random() < 0.1:
        shape = shape[: int(rng.integers(0, 4))]
    product = int(np.prod(np.array(shape, object), initial=1))
    size = product if 0 <= product <= 1 << 24 else 1000
    size = max(0, size + int(rng.choice([0, 0, 0, -1, 1, 7, -size, 3 * size])))
    datatype = str(rng.choice(["UINT8"] * 8 + ["INT8", "BOOL", "FP32", "BYTES", "", "nonsense"]))
    content: Pixels = rng.integers(0, 256, min(size, 1 << 24), dtype=np.uint8)
    return Raw(name, tuple(shape), content.tobytes(), datatype)
