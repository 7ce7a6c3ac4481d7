"""The real gateway, in front of the Triton of LACUNA_TEST_TRITON, and the published client."""

from __future__ import annotations

import asyncio
import hashlib
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from useknockout import AsyncKnockout, Knockout

from local_stack.answers import wait_until_ok
from local_stack.machine import StackError
from local_stack.ports import HOST, free_ports

ROOT = Path(__file__).resolve().parents[2]
PHOTOS = ROOT / "tests" / "photos"
GATEWAY = ROOT / "target" / "release" / "lacuna"
MANY = "a-token-for-many-requests"
FEW = "a-token-for-few-requests"
SECONDS = 300.0
"""How long an answer may take, on a machine that computes everything itself."""

Inpaint = Callable[..., bytes]
"""The client's `inpaint`: a photo and, by name, mask, bbox, dilation and format."""


@pytest.fixture(scope="session")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a gateway that knows two callers, one of them with a quota of three."""
    triton = os.environ.get("LACUNA_TEST_TRITON", "")
    if not triton:
        pytest.fail("LACUNA_TEST_TRITON is not set; run `make test-client`", pytrace=False)
    folder = tmp_path_factory.mktemp("gateway")
    tokens = folder / "tokens"
    lines = [f"many {_hash(MANY)} 6000 1000", f"few {_hash(FEW)} 1 3"]
    tokens.write_text("\n".join(lines) + "\n")
    port, admin = free_ports(2)
    address = f"http://{HOST}:{port}"
    settings = {
        "LACUNA_LISTEN": f"{HOST}:{port}",
        "LACUNA_ADMIN_LISTEN": f"{HOST}:{admin}",
        "LACUNA_TRITON": triton,
        "LACUNA_TOKENS_FILE": str(tokens),
    }
    log = folder / "log"
    with log.open("wb") as errors:
        gateway = subprocess.Popen([GATEWAY], env=os.environ | settings, stderr=errors)
    try:
        try:
            wait_until_ok(f"{address}/livez", gateway, 30)
        except StackError as error:
            pytest.fail(f"{error}: {log.read_text()}", pytrace=False)
        yield address
    finally:
        gateway.terminate()
        gateway.wait(timeout=60)


@pytest.fixture(params=["sync", "async"])
def inpaint_as(request: pytest.FixtureRequest, url: str) -> Callable[[str], Inpaint]:
    """The client's `inpaint` with the given token; every test runs with both of its kinds."""

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
    return inpaint_as(MANY)


@pytest.fixture
def inpaint_with_few(inpaint_as: Callable[[str], Inpaint]) -> Inpaint:
    """The client's `inpaint`, with a token that may send little."""
    return inpaint_as(FEW)


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
