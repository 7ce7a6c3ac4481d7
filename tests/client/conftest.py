"""The published client, pointed at a running gateway."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from useknockout import AsyncKnockout, Knockout

from service import SECONDS, Inpaint, environment


@pytest.fixture(params=["sync", "async"])
def inpaint_as(request: pytest.FixtureRequest) -> Callable[[str], Inpaint]:
    """The client's `inpaint` with the given token; every test runs with both of its kinds."""
    url = environment("LACUNA_TEST_URL")

    def connect(token: str) -> Inpaint:
        def sync_inpaint(photo: Path | bytes, **fields: Any) -> bytes:
            with Knockout(token, base_url=url, timeout=SECONDS) as client:
                return bytes(client.inpaint(photo, **fields))

        async def async_inpaint(photo: Path | bytes, **fields: Any) -> bytes:
            async with AsyncKnockout(token, base_url=url, timeout=SECONDS) as client:
                return bytes(await client.inpaint(photo, **fields))

        if request.param == "sync":
            return sync_inpaint
        return lambda photo, **fields: asyncio.run(async_inpaint(photo, **fields))

    return connect


@pytest.fixture
def inpaint(inpaint_as: Callable[[str], Inpaint]) -> Inpaint:
    """The client's `inpaint`, with a token that may send much."""
    return inpaint_as(environment("LACUNA_TEST_TOKEN"))
