"""Where the running gateway is, and as whom to speak to it.

The environment says it:

LACUNA_TEST_URL         the gateway's address, as http://127.0.0.1:8080
LACUNA_TEST_TOKEN       a token with room for some hundred requests at once
LACUNA_TEST_SLOW_TOKEN  a token whose quota is a few requests, and few a minute
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

PHOTOS = Path(__file__).resolve().parents[1] / "photos"
SECONDS = 300.0
"""How long an answer may take, on a machine that computes everything itself."""

Inpaint = Callable[..., bytes]
"""The client's `inpaint`: a photo and, by name, mask, bbox, dilation and format."""


def environment(name: str) -> str:
    """A variable that these tests cannot do without."""
    value = os.environ.get(name, "").strip()
    if not value:
        pytest.fail(f"{name} is not set; tests/client/service.py says what it is", pytrace=False)
    return value
