"""Callers over HTTP, and what became of their requests."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Self

import aiohttp

from rig.gateway import TOKEN
from rig.uploads import Form

REFUSED = "refused"
"""The connection was never made: nothing was sent, and any client may go elsewhere."""
_SECONDS = 130.0
"""How long a caller waits: longer than the gateway lets a request take."""


@dataclass(frozen=True)
class Outcome:
    """What became of one request."""

    started: float
    seconds: float
    status: int
    """0 where there was no answer."""
    kind: str
    """``error`` of a refusal, the mode of a success, or how the connection failed."""

    @property
    def ended(self) -> float:
        """When its answer was there."""
        return self.started + self.seconds

    @property
    def ok(self) -> bool:
        """Whether the photo came back."""
        return self.status == 200

    def __str__(self) -> str:
        return f"{self.status or 'none'} {self.kind}"


@asynccontextmanager
async def session(*, keep_alive: bool = True) -> AsyncIterator[aiohttp.ClientSession]:
    """Connections for as many callers as there are."""
    connector = aiohttp.TCPConnector(limit=0, force_close=not keep_alive)
    timeout = aiohttp.ClientTimeout(total=_SECONDS)
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with aiohttp.ClientSession(
        connector=connector, timeout=timeout, headers=headers
    ) as opened:
        yield opened


async def call(client: aiohttp.ClientSession, address: str, upload: Form) -> Outcome:
    """Sends one request, once (a POST is not repeated); never raises for what the service does."""
    started = time.monotonic()
    try:
        async with client.post(
            f"{address}/inpaint",
            data=upload.body,
            headers={"Content-Type": upload.content_type},
        ) as answer:
            content = await answer.read()
            status = answer.status
            kind = answer.headers.get("x-knockout-mode", "")
            if status != 200:
                kind = str(json.loads(content)["error"])
    except aiohttp.ClientConnectorError:
        return Outcome(started, time.monotonic() - started, 0, REFUSED)
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        return Outcome(started, time.monotonic() - started, 0, type(error).__name__)
    except (ValueError, KeyError, TypeError):
        return Outcome(started, time.monotonic() - started, status, "an error that is not ours")
    return Outcome(started, time.monotonic() - started, status, kind)


class Load:
    """Callers in the background, who each send their next request once the last is answered."""

    def __init__(
        self,
        count: int,
        client: aiohttp.ClientSession,
        address: Callable[[], str],
        upload: Form,
    ) -> None:
        """So many callers; ``address`` says where to send, anew each time."""
        self._outcomes: list[Outcome] = []
        self._stopping = False
        callers = [self._caller(client, address, upload) for _ in range(count)]
        self._tasks = [asyncio.create_task(caller) for caller in callers]

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_error: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _caller(
        self, client: aiohttp.ClientSession, address: Callable[[], str], upload: Form
    ) -> None:
        while not self._stopping:
            outcome = await call(client, address(), upload)
            self._outcomes.append(outcome)
            if outcome.kind == REFUSED:
                await asyncio.sleep(0.02)

    async def finish(self) -> list[Outcome]:
        """Stops when what was sent is answered."""
        self._stopping = True
        await asyncio.gather(*self._tasks)
        return self._outcomes


async def open_loop(
    client: aiohttp.ClientSession, address: str, upload: Form, rate: float, seconds: float
) -> list[Outcome]:
    """Sends ``rate`` requests a second at even intervals, whatever becomes of them."""
    tasks: list[asyncio.Task[Outcome]] = []
    begin = time.monotonic()
    for number in range(round(rate * seconds)):
        await asyncio.sleep(begin + number / rate - time.monotonic())
        tasks.append(asyncio.create_task(call(client, address, upload)))
    return list(await asyncio.gather(*tasks))


def count(outcomes: Iterable[Outcome]) -> str:
    """How many of each kind."""
    kinds = Counter(str(outcome) for outcome in outcomes)
    return ", ".join(f"{number} x {kind}" for kind, number in kinds.most_common()) or "none"
