"""The client's typed errors, each from the gateway's own refusal."""

from __future__ import annotations

import io
import json
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image
from useknockout import (
    AuthError,
    BadRequestError,
    KnockoutError,
    PayloadTooLargeError,
    RateLimitError,
)

from conftest import PHOTOS, Inpaint

PHOTO = PHOTOS / "chelsea.png"


def code(error: KnockoutError) -> str:
    """The gateway's code for an error, whose body the client keeps as the message."""
    body = json.loads(error.message)
    assert set(body) == {"error", "message", "request_id"}
    assert all(body.values())
    return str(body["error"])


def png(picture: Image.Image) -> bytes:
    """The picture as a file."""
    file = io.BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"dilation": 33}, "invalid_dilation"),
        ({"dilation": -1}, "invalid_dilation"),
        ({"format": "gif"}, "invalid_format"),
        ({"bbox": (400, 0, 52, 10)}, "invalid_bbox"),
        ({"bbox": (-1, 0, 10, 10)}, "invalid_bbox"),
        ({"bbox": (0, 0, 0, 10)}, "invalid_bbox"),
        ({"mask": png(Image.new("L", (451, 300)))}, "empty_mask"),
        ({"mask": b"no picture"}, "invalid_mask"),
    ],
)
def test_what_cannot_be_used_is_a_bad_request(
    inpaint: Inpaint, fields: dict[str, object], expected: str
) -> None:
    with pytest.raises(BadRequestError) as caught:
        inpaint(PHOTO, **fields)
    assert caught.value.status == 400
    assert code(caught.value) == expected


def test_a_truncated_photo_is_a_bad_request(inpaint: Inpaint) -> None:
    with pytest.raises(BadRequestError) as caught:
        inpaint(PHOTO.read_bytes()[:50_000], bbox=(0, 0, 10, 10))
    assert code(caught.value) == "invalid_image"


def test_an_unknown_token_is_an_authentication_error(
    inpaint_as: Callable[[str], Inpaint],
) -> None:
    with pytest.raises(AuthError) as caught:
        inpaint_as("a-token-that-nobody-has")(PHOTO, bbox=(0, 0, 10, 10))
    assert caught.value.status == 401
    assert code(caught.value) == "unauthorized"


@pytest.mark.parametrize(
    "photo",
    [
        pytest.param(PHOTO.read_bytes() + bytes(11 * 1024 * 1024), id="11 MiB"),
        pytest.param(png(Image.new("L", (4097, 16))), id="4097 columns"),
        pytest.param(png(Image.new("L", (16, 4097))), id="4097 rows"),
    ],
)
def test_what_is_too_large_is_an_error_of_its_own(inpaint: Inpaint, photo: bytes) -> None:
    with pytest.raises(PayloadTooLargeError) as caught:
        inpaint(photo, bbox=(0, 0, 10, 10))
    assert caught.value.status == 413
    assert code(caught.value) == "payload_too_large"


def test_a_photo_without_a_subject_is_status_422(inpaint: Inpaint) -> None:
    gradient = np.tile(np.linspace(40, 200, 320, dtype=np.uint8), (240, 1))
    with pytest.raises(KnockoutError) as caught:
        inpaint(png(Image.fromarray(gradient)))
    assert caught.value.status == 422
    assert code(caught.value) == "no_subject_detected"


def test_a_file_that_is_no_picture_is_status_415(inpaint: Inpaint) -> None:
    with pytest.raises(KnockoutError) as caught:
        inpaint(b"%PDF-1.7", bbox=(0, 0, 10, 10))
    assert caught.value.status == 415
    assert code(caught.value) == "unsupported_media_type"


def test_a_used_up_quota_is_a_rate_limit_error(inpaint_with_few: Inpaint) -> None:
    def send_until_refused() -> None:
        for _ in range(20):
            # Refused after it was counted, and before anything is computed.
            with pytest.raises(BadRequestError):
                inpaint_with_few(PHOTO, dilation=33)

    with pytest.raises(RateLimitError) as caught:
        send_until_refused()
    assert caught.value.status == 429
    assert code(caught.value) == "rate_limit_exceeded"
