"""A thousand slow connections beside a caller who does no harm."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp

from rig import slow
from rig.callers import Load, Outcome, count, session
from rig.fleet import CONSTANT, addresses, fleet
from rig.gateway import TOKEN, Gateway, gateway
from rig.goals import Report, percentile, say
from rig.uploads import Form, box_form

CONNECTIONS = 1000
BEFORE_SECONDS = 20.0
OPENING_SECONDS = 5.0
SECONDS = 40.0
"""Longer than any of the service's own limits for a slow connection, so that each is reached."""
FACTOR = 2.0


async def run(report: Report) -> None:
    """The caller's p99 without the slow connections, and with them."""
    upload = box_form()
    async with (
        fleet(1, CONSTANT) as replicas,
        gateway(addresses(replicas), inpaint_model=CONSTANT) as service,
        session() as client,
    ):
        await _measure(service, client, upload, 3)
        before = await _measure(service, client, upload, BEFORE_SECONDS)
        memory = service.memory()
        async with _slow_connections(service):
            await asyncio.sleep(OPENING_SECONDS)
            report.least("hostile: descriptors open", service.descriptors(), CONNECTIONS)
            during = await _measure(service, client, upload, SECONDS)
            grown = service.memory() - memory
    whole = [outcome for outcome in during if outcome.ok]
    report.equal("hostile: answers meanwhile", count(during), f"{len(whole)} x 200 bbox")
    for outcome in [outcome for outcome in during if not outcome.ok][:3]:
        say(f"  {outcome.started - during[0].started:.2f} s after the begin: {outcome}")
    for share in (0.5, 0.99):
        was, became = (percentile([o.seconds for o in each], share) for each in (before, during))
        name = f"hostile: p{share * 100:.0f}"
        report.told(name, f"{was * 1000:.1f} ms before, {became * 1000:.1f} ms beside")
        report.most(f"{name}, of that before", became / was, FACTOR, "times")
    report.told(f"hostile: memory of {CONNECTIONS} connections", f"{grown:.0f} MiB")


async def _measure(
    service: Gateway, client: aiohttp.ClientSession, upload: Form, seconds: float
) -> list[Outcome]:
    """A caller who sends the next request once the one before is answered."""
    async with Load(1, client, lambda: service.address, upload) as load:
        await asyncio.sleep(seconds)
        return await load.finish()


@asynccontextmanager
async def _slow_connections(service: Gateway) -> AsyncIterator[None]:
    program = await asyncio.create_subprocess_exec(
        sys.executable,
        Path(slow.__file__),
        str(service.port),
        str(CONNECTIONS),
        stdin=asyncio.subprocess.PIPE,
        env=os.environ | {"PROOF_TOKEN": TOKEN},
    )
    try:
        yield
    finally:
        assert program.stdin, "it was asked for. This is a bug."
        program.stdin.close()
        await program.wait()
