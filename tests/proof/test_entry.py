"""Who gets in: tokens that are wrong in every way, floods of them, and what the log says of them.

No Triton is needed: a request that got in is refused for its form, another for its token.
"""

from __future__ import annotations

import asyncio
import hashlib
import http.client
import json
import secrets
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from rig.gateway import Gateway

GOOD = "lacuna-good-4f6d1c0b9e"
FEW = "lacuna-few-83b7aa52d1"
FEW_BURST = 5
NOWHERE = "http://127.0.0.1:9"
FLOOD = 4000
FLOOD_THREADS = 8
FLOOD_MIB = 16.0
"""What a flood may add: connections and buffers, and nothing for each token that was tried."""

Header = tuple[str, bytes]


def test_the_token_lets_in(service: Gateway) -> None:
    assert ask(service, bearer(GOOD)) == (415, "unsupported_media_type")


@pytest.mark.parametrize(
    "token",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b" ", id="a space"),
        pytest.param(b"a" * 65_536, id="64 kB"),
        pytest.param(b"\xff\xfe\x80", id="not UTF-8"),
        pytest.param(GOOD.encode() + b"\xff", id="good and a byte more that is not UTF-8"),
        pytest.param(GOOD.encode()[:-1], id="a character less"),
        pytest.param(GOOD.encode() + b"0", id="a character more"),
        pytest.param(GOOD.upper().encode(), id="in capitals"),
        pytest.param(GOOD.encode() + b" " + GOOD.encode(), id="twice in one value"),
        pytest.param(GOOD.encode() + b", Bearer " + GOOD.encode(), id="joined with a comma"),
        pytest.param(hashlib.sha256(GOOD.encode()).hexdigest().encode(), id="its hash in hex"),
        pytest.param(b"good", id="the caller's name"),
        pytest.param(b"good:" + GOOD.encode(), id="name and token"),
    ],
)
def test_another_token_does_not(service: Gateway, token: bytes) -> None:
    assert ask(service, [("Authorization", b"Bearer " + token)]) == (401, "unauthorized")


@pytest.mark.parametrize("scheme", ["", "Basic ", "Token ", "Bearer", "Bearer:", "Bearer\t"])
def test_another_scheme_does_not(service: Gateway, scheme: str) -> None:
    header = [("Authorization", (scheme + GOOD).encode())]
    assert ask(service, header) == (401, "unauthorized")


def test_a_token_in_another_place_does_not(service: Gateway) -> None:
    for name in ("access_token", "token", "api_key", "authorization"):
        assert ask(service, [], f"/inpaint?{name}={GOOD}") == (401, "unauthorized")
    for header in ("X-Api-Key", "Proxy-Authorization", "Cookie", "X-Authorization"):
        assert ask(service, [(header, f"Bearer {GOOD}".encode())]) == (401, "unauthorized")


def test_two_headers_do_not_whatever_they_say(service: Gateway) -> None:
    bad = [("Authorization", b"Bearer no")]
    for headers in (bearer(GOOD) + bearer(GOOD), bearer(GOOD) + bad, bad + bearer(GOOD)):
        assert ask(service, headers) == (401, "unauthorized")


def test_a_flood_of_wrong_tokens_costs_a_good_caller_nothing(tmp_path: Path) -> None:
    with running(tmp_path, log="warn") as service:
        flood(service, 500)
        before, left = service.memory(), allowance(service)
        assert left == FEW_BURST - 1
        flood(service, FLOOD)
        grown = service.memory() - before
        # One a minute comes back, and two were sent: had the flood counted, none would be left.
        assert allowance(service) == FEW_BURST - 2
        assert grown < FLOOD_MIB, f"{FLOOD} wrong tokens took {grown:.1f} MiB"


def test_a_good_caller_is_answered_during_a_flood(service: Gateway) -> None:
    with ThreadPoolExecutor(1) as pool:
        flooding = pool.submit(flood, service, 1000)
        times = []
        while not flooding.done():
            begin = time.monotonic()
            assert ask(service, bearer(GOOD))[0] == 415
            times.append(time.monotonic() - begin)
        flooding.result()
    assert max(times) < 2


def test_no_log_at_any_level_has_a_token_or_its_hash(tmp_path: Path) -> None:
    tried = f"lacuna-tried-{secrets.token_hex(8)}"
    inline = f"lacuna-inline-{secrets.token_hex(8)}"
    with running(tmp_path, log="trace", tokens=f"inline:{inline}") as service:
        for token in (GOOD, inline, tried):
            ask(service, bearer(token))
            ask(service, bearer(token) + bearer(token))
            ask(service, [], f"/inpaint?token={token}")
            ask_http2(service, token)
        log = service.log.read_bytes()
    assert b"TRACE" in log, "the log was not as detailed as asked"
    for token in (GOOD, inline, tried, FEW):
        digest = hashlib.sha256(token.encode())
        for secret in (token.encode(), digest.hexdigest()[:16].encode(), digest.digest()[:8]):
            assert secret.lower() not in log.lower(), log_line(log, secret)
        assert str(list(digest.digest()[:4]))[1:-1].encode() not in log


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway that knows two callers and reaches no Triton."""
    with running(tmp_path_factory.mktemp("entry"), log="warn") as gateway:
        yield gateway


@contextmanager
def running(folder: Path, log: str, tokens: str = "") -> Iterator[Gateway]:
    """A gateway with a tokens file, and these tokens beside it."""
    file = folder / "tokens"
    lines = [f"good {digest(GOOD)} 1000000 1000000", f"few {digest(FEW)} 1 {FEW_BURST}"]
    file.write_text("\n".join(lines) + "\n")
    settings = {"LACUNA_TOKENS_FILE": str(file), "LACUNA_TOKENS": tokens, "RUST_LOG": log}
    if not tokens:
        settings["LACUNA_TOKENS"] = "other:another-token"
    gateway = Gateway(NOWHERE, folder / "log", settings)
    try:
        asyncio.run(gateway.wait("/livez"))
        yield gateway
    finally:
        gateway.terminate()
        asyncio.run(gateway.ended())


def digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def bearer(token: str) -> list[Header]:
    return [("Authorization", f"Bearer {token}".encode())]


def ask(service: Gateway, headers: list[Header], path: str = "/inpaint") -> tuple[int, str]:
    """The status and ``error`` of a POST without a form."""
    connection = http.client.HTTPConnection(service.host, service.port, timeout=10)
    try:
        connection.putrequest("POST", path)
        for name, value in headers:
            connection.putheader(name, value)
        connection.putheader("Content-Length", "0")
        connection.endheaders()
        answer = connection.getresponse()
        if answer.status == 401:
            assert answer.headers["www-authenticate"] == "Bearer"
        return answer.status, json.loads(answer.read())["error"]
    finally:
        connection.close()


def ask_http2(service: Gateway, token: str) -> None:
    """The same over HTTP/2."""
    headers = {"Authorization": f"Bearer {token}"}
    with httpx.Client(http1=False, http2=True) as client:
        answer = client.post(f"{service.address}/inpaint", headers=headers)
    assert answer.http_version == "HTTP/2"
    assert answer.status_code in (401, 415)


def allowance(service: Gateway) -> int:
    """What the caller with few requests has left, after one of them."""
    headers = {"Authorization": f"Bearer {FEW}"}
    field = httpx.post(f"{service.address}/inpaint", headers=headers).headers["ratelimit"]
    return int(field.partition("r=")[2].partition(";")[0])


def flood(service: Gateway, count: int) -> None:
    """So many requests with tokens that nobody has, each another."""

    def some(_number: int) -> None:
        connection = http.client.HTTPConnection(service.host, service.port, timeout=10)
        for _ in range(count // FLOOD_THREADS):
            headers = {"Authorization": f"Bearer {secrets.token_hex(64)}"}
            connection.request("POST", "/inpaint", headers=headers)
            answer = connection.getresponse()
            answer.read()
            assert answer.status == 401
        connection.close()

    with ThreadPoolExecutor(FLOOD_THREADS) as pool:
        list(pool.map(some, range(FLOOD_THREADS)))


def log_line(log: bytes, secret: bytes) -> str:
    return next(line for line in log.lower().splitlines() if secret.lower() in line).decode()
