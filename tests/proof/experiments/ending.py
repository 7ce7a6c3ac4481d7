"""The gateway and the Tritons are ended and changed under load."""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from operator import contains

from rig.callers import REFUSED, Load, Outcome, count, session
from rig.fleet import CONSTANT, SLOW, addresses, fleet
from rig.gateway import DRAIN_SECONDS, Gateway, gateway
from rig.goals import Report, say
from rig.uploads import box_form

CALLERS = 8
SURELY_SENT = 0.05
"""A request that began so long before the signal has reached the gateway."""
POLL_SECONDS = 0.1
"""How often the callers of a rolling change ask who is ready."""
HANDOVER_SECONDS = 1.0
"""How long both gateways run side by side before the old one is told to end."""


async def run(report: Report) -> None:
    """An end, a rolling change of the gateway, a rolling change of the Tritons."""
    # With answers at once there are many requests, and some at every moment of a change.
    async with fleet(1, CONSTANT) as replicas:
        for keep_alive in (True, False):
            await _rolling_gateways(report, addresses(replicas), keep_alive=keep_alive)
    async with fleet(2, SLOW) as replicas:
        triton = addresses(replicas)
        for keep_alive in (True, False):
            await _end(report, triton, keep_alive=keep_alive)
        upload = box_form()
        async with (
            gateway(triton, inpaint_model=SLOW) as service,
            session() as client,
            Load(CALLERS, client, lambda: service.address, upload) as load,
        ):
            for replica in replicas:
                await asyncio.sleep(3)
                await replica.end()
                replica.start()
                await replica.ready()
            await asyncio.sleep(3)
            outcomes = await load.finish()
        failed = [outcome for outcome in outcomes if not outcome.ok]
        what = f"ending: lost of {len(outcomes)} in a rolling change of the Tritons"
        report.equal(what, count(failed), "none")


def _kind(keep_alive: bool) -> str:
    return "kept connections" if keep_alive else "a connection each"


async def _end(report: Report, triton: str, *, keep_alive: bool) -> None:
    """SIGTERM while eight callers wait for answers."""
    kind = _kind(keep_alive)
    upload = box_form()
    async with (
        gateway(triton, inpaint_model=SLOW) as service,
        session(keep_alive=keep_alive) as client,
        Load(CALLERS, client, lambda: service.address, upload) as load,
    ):
        await asyncio.sleep(3)
        service.terminate()
        told = time.monotonic()
        status = await service.ended()
        seconds = time.monotonic() - told
        outcomes = await load.finish()
    under_way = [
        outcome
        for outcome in outcomes
        if outcome.started < told - SURELY_SENT < told < outcome.ended
    ]
    failed = [outcome for outcome in under_way if not outcome.ok]
    after = [outcome for outcome in outcomes if outcome.started >= told - SURELY_SENT]
    report.least(f"ending, {kind}: requests under way at SIGTERM", len(under_way), 1)
    report.equal(f"ending, {kind}: lost of these", count(failed), "none")
    refused = sum(outcome.kind == REFUSED for outcome in after)
    others = [outcome for outcome in after if outcome.kind != REFUSED]
    report.told(f"ending, {kind}: sent after it", f"{refused} refused; {count(others)}")
    report.equal(f"ending, {kind}: exit status", status, 0)
    report.most(f"ending, {kind}: time to end", seconds, DRAIN_SECONDS, "s")


async def _rolling_gateways(report: Report, triton: str, *, keep_alive: bool) -> None:
    """A new gateway is started beside the old one, which is then told to end; twice."""
    kind = _kind(keep_alive)
    upload = box_form()
    running: list[Gateway] = []
    ready: list[str] = []

    async def watch() -> None:
        """What a load balancer does: asks every gateway whether it is ready."""
        while True:
            known = list(running)
            answers = [await asyncio.to_thread(each.is_ready) for each in known]
            ready[:] = [each.address for each, answer in zip(known, answers, strict=True) if answer]
            await asyncio.sleep(POLL_SECONDS)

    turn = 0

    def choose() -> str:
        nonlocal turn
        turn += 1
        return ready[turn % len(ready)] if ready else "http://127.0.0.1:9"

    async with (
        gateway(triton, inpaint_model=CONSTANT) as first,
        gateway(triton, inpaint_model=CONSTANT) as second,
        gateway(triton, inpaint_model=CONSTANT) as third,
        session(keep_alive=keep_alive) as client,
    ):
        running.append(first)
        watching = asyncio.create_task(watch())
        await _until(partial(contains, ready, first.address))
        async with Load(CALLERS, client, choose, upload) as load:
            for old, new in ((first, second), (second, third)):
                await asyncio.sleep(2)
                running.append(new)
                await _until(partial(contains, ready, new.address))
                await asyncio.sleep(HANDOVER_SECONDS)
                old.terminate()
                status = await old.ended()
                running.remove(old)
                if status != 0:
                    report.equal(f"ending, {kind}: exit status of a rolled gateway", status, 0)
            await asyncio.sleep(3)
            outcomes = await load.finish()
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching
    _report_rolling(report, kind, outcomes)


def _report_rolling(report: Report, kind: str, outcomes: list[Outcome]) -> None:
    # Where the connection was refused nothing was sent, and the caller went to the other gateway.
    refused = sum(outcome.kind == REFUSED for outcome in outcomes)
    sent = [outcome for outcome in outcomes if outcome.kind != REFUSED]
    failed = [outcome for outcome in sent if not outcome.ok]
    report.equal(
        f"ending, {kind}: lost of {len(sent)} in two changes of the gateway", count(failed), "none"
    )
    report.told(f"ending, {kind}: refused before anything was sent", refused)
    for outcome in failed[:5]:
        say(f"  after {outcome.seconds:.3f} s: {outcome}")


async def _until(holds: Callable[[], bool]) -> None:
    while not holds():
        await asyncio.sleep(0.02)
