"""The embedded models as a real Triton serves them over gRPC."""

import queue
import time

import grpc
import numpy as np
import pytest

from grpc_client import Client
from pictures import Pixels, as_mask, square_hole, texture

QUEUE = 64
"""max_queue_size of patchmatch."""


def window(side: int, hole: int, seed: int = 0) -> dict[str, Pixels]:
    """One window with a square hole, as a batch of one."""
    return {"image": texture(side, seed)[None], "mask": as_mask(square_hole(side, hole))[None]}


def fill(triton: Client, inputs: dict[str, Pixels]) -> Pixels:
    return triton.infer("patchmatch", "output", inputs)


def wait_for_room(triton: Client) -> None:
    """Cancelled calls keep their places in the queue until an instance is free to drop them."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            fill(triton, window(256, 10))
            return
        except grpc.RpcError as error:
            assert error.code() is grpc.StatusCode.UNAVAILABLE
            time.sleep(0.1)
    pytest.fail("the queue stayed full")


def joined(parts: list[dict[str, Pixels]]) -> dict[str, Pixels]:
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


@pytest.mark.parametrize("model", ["patchmatch", "isnet"])
def test_a_model_is_ready_and_names_its_label(model: str, triton: Client) -> None:
    assert triton.is_ready(model)
    assert triton.label(model) == model


@pytest.mark.parametrize("side", [256, 257, 301, 512, 768, 1024])
def test_a_hole_is_filled_and_known_pixels_stay(side: int, triton: Client) -> None:
    asked = window(side, 50)
    hole = square_hole(side, 50)
    asked["image"][0][hole] = 0
    output = fill(triton, asked)
    assert output.shape == asked["image"].shape
    assert np.array_equal(output[0][~hole], asked["image"][0][~hole])
    assert np.abs(output[0][hole].mean(0) - texture(side)[hole].mean(0)).max() < 20


def test_a_mask_value_of_128_is_hole_and_127_is_not(triton: Client) -> None:
    asked = window(256, 40)
    asked["mask"][asked["mask"] == 255] = 127
    assert np.array_equal(fill(triton, asked), asked["image"])
    asked["mask"][asked["mask"] == 127] = 128
    assert not np.array_equal(fill(triton, asked), asked["image"])


def test_any_mask_value_marks_a_pixel_or_keeps_it(triton: Client) -> None:
    asked = window(256, 0)
    asked["mask"][0, 90:140, 60:180, 0] = np.random.default_rng(5).integers(0, 256, (50, 120))
    hole = asked["mask"] >= 128
    answer = fill(triton, asked)
    assert np.array_equal(answer, fill(triton, asked | {"mask": as_mask(hole[0, :, :, 0])[None]}))
    assert ((answer == asked["image"]) | hole).all()


def test_what_is_inside_the_hole_does_not_count(triton: Client) -> None:
    asked = window(256, 61)
    black = np.where(asked["mask"] > 0, np.uint8(0), asked["image"])
    white = np.where(asked["mask"] > 0, np.uint8(255), asked["image"])
    assert np.array_equal(
        fill(triton, asked | {"image": black}), fill(triton, asked | {"image": white})
    )


@pytest.mark.parametrize(("height", "width"), [(120, 200), (121, 256), (256, 37), (3, 5), (1, 2)])
def test_mirrored_padding_shows_the_fill_mirrored(height: int, width: int, triton: Client) -> None:
    hole = np.zeros((height, width), bool)
    hole[: height // 2 + 1, : width // 2] = True
    edges = [((256 - side) // 2, 256 - side - (256 - side) // 2) for side in hole.shape]
    asked = {
        "image": np.pad(texture(256)[:height, :width], [*edges, (0, 0)], mode="reflect")[None],
        "mask": as_mask(np.pad(hole, edges, mode="reflect"))[None],
    }
    answer = fill(triton, asked)
    content = answer[0, edges[0][0] :][:height, edges[1][0] :][:, :width]
    assert np.array_equal(answer[0], np.pad(content, [*edges, (0, 0)], mode="reflect"))
    assert ((answer == asked["image"]) | (asked["mask"] > 0)).all()


def test_no_colour_comes_from_beyond_the_content(triton: Client) -> None:
    edges = ((67, 68), (27, 28))
    hole = np.zeros((121, 201), dtype=bool)
    hole[:40, 50:90] = True
    asked = {
        "image": np.full((1, 256, 256, 3), 128, np.uint8),
        "mask": as_mask(np.pad(hole, edges, mode="reflect"))[None],
    }
    assert (fill(triton, asked) == 128).all()


def test_an_item_has_the_same_bytes_in_any_batch_and_instance(triton: Client) -> None:
    windows = [window(256, 40 + seed, seed) for seed in range(3)]
    alone = [fill(triton, each) for each in windows]
    together = fill(triton, joined(windows))
    assert np.array_equal(together, np.concatenate(alone))
    at_once = [triton.start("patchmatch", "output", windows[0]) for _ in range(4)]
    for call in at_once:
        assert np.array_equal(triton.result(call), alone[0])


def test_a_window_that_is_all_hole_is_answered(triton: Client) -> None:
    assert (fill(triton, window(256, 256)) == 128).all()


@pytest.mark.parametrize(
    ("image", "mask", "why"),
    [
        ((255, 255, 3), (255, 255, 1), "a side of 256 to 1024 pixels, got 255x255"),
        ((1025, 1025, 3), (1025, 1025, 1), "a side of 256 to 1024 pixels, got 1025x1025"),
        ((256, 300, 3), (256, 300, 1), "image must be a square"),
        ((256, 256, 3), (256, 257, 1), "mask is 256x257, image 256x256"),
        ((256, 256, 1), (256, 256, 1), "unexpected shape for input 'image'"),
        ((256, 256, 3), (256, 256, 3), "unexpected shape for input 'mask'"),
    ],
)
def test_a_window_of_the_wrong_shape_is_refused_with_the_reason(
    image: tuple[int, ...], mask: tuple[int, ...], why: str, triton: Client
) -> None:
    inputs = {"image": np.zeros((1, *image), np.uint8), "mask": np.zeros((1, *mask), np.uint8)}
    with pytest.raises(grpc.RpcError) as refused:
        fill(triton, inputs)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert why in refused.value.details()


@pytest.mark.parametrize("datatype", ["INT8", "BOOL", "FP32"])
def test_another_type_is_refused(datatype: str, triton: Client) -> None:
    call = triton.start("patchmatch", "output", window(256, 40), datatype=datatype)
    with pytest.raises(grpc.RpcError) as refused:
        triton.result(call)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize("name", ["image", "mask"])
def test_a_missing_input_is_refused(name: str, triton: Client) -> None:
    asked = window(256, 40)
    del asked[name]
    with pytest.raises(grpc.RpcError) as refused:
        fill(triton, asked)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_a_call_that_is_refused_touches_no_other(triton: Client) -> None:
    good, bad = window(256, 40), window(255, 40)
    expected = fill(triton, good)
    calls = [triton.start("patchmatch", "output", (good, bad)[n % 2]) for n in range(16)]
    for call in calls[::2]:
        assert np.array_equal(triton.result(call), expected)
    for call in calls[1::2]:
        with pytest.raises(grpc.RpcError):
            triton.result(call)


def test_a_full_queue_refuses(triton: Client) -> None:
    asked = window(512, 300)
    ended: queue.Queue[grpc.Call] = queue.Queue()
    calls = [triton.start("patchmatch", "output", asked) for _ in range(QUEUE + 20)]
    for call in calls:
        call.add_done_callback(ended.put)
    codes: list[grpc.StatusCode] = []
    while grpc.StatusCode.UNAVAILABLE not in codes:
        assert len(codes) < len(calls), "the windows were filled too fast for the queue to get full"
        call = ended.get(timeout=60)
        codes.append(call.code())
    details = call.details()
    for other in calls:
        other.cancel()
    wait_for_room(triton)
    assert set(codes) <= {grpc.StatusCode.OK, grpc.StatusCode.UNAVAILABLE}
    assert "Exceeds maximum queue size" in details


def test_a_call_that_waits_longer_than_it_asked_to_is_refused(triton: Client) -> None:
    # All instances are busy for longer than the queue timeout of the last call.
    busy = [triton.start("patchmatch", "output", window(1024, 400)) for _ in range(12)]
    waiting = triton.start("patchmatch", "output", window(256, 10), queue_timeout_us=1)
    with pytest.raises(grpc.RpcError) as refused:
        triton.result(waiting)
    for call in busy:
        call.cancel()
    assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
    assert "Request timeout expired" in refused.value.details()


def test_the_subject_is_found_wherever_it_is_in_the_batch(triton: Client) -> None:
    y, x = np.mgrid[:1024, :1024]
    disc = (x - 500) ** 2 + (y - 520) ** 2 < 200**2
    scene = np.full((1024, 1024, 3), (90, 140, 90), np.uint8)
    scene[disc] = (220, 60, 40)
    empty = np.full((1024, 1024, 3), 128, np.uint8)
    alpha = triton.infer("isnet", "alpha", {"image": np.stack([empty, scene])})
    assert alpha.shape == (2, 1024, 1024, 1)
    assert (alpha[0] < 128).all(), "there is no subject"
    assert ((alpha[1, :, :, 0] >= 128) == disc).mean() > 0.99
    alone = triton.infer("isnet", "alpha", {"image": scene[None]})
    assert np.array_equal(alone[0], alpha[1])


def test_a_picture_of_another_size_is_refused_by_the_segmenter(triton: Client) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        triton.infer("isnet", "alpha", {"image": np.zeros((1, 512, 512, 3), np.uint8)})
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "unexpected shape for input 'image'" in refused.value.details()
