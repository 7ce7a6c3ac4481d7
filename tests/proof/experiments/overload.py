"""Twice what the Tritons can do is offered."""

import asyncio

from rig.callers import Load, Outcome, count, open_loop, session
from rig.fleet import SLOW, SLOW_SECONDS, addresses, fleet
from rig.gateway import Gateway, gateway
from rig.goals import Report, percentile
from rig.uploads import box_form

REPLICAS = 4
CAPACITY = REPLICAS / SLOW_SECONDS
PLACES = 16
"""Photos worked on at once, and as many that may wait: who is let in waits for at most as many
others as are at work, so its answer takes at most twice as long."""
AT_CAPACITY_SECONDS = 30.0
SECONDS = 60.0
SETTLED_SECONDS = 10.0
FLAT_MIB = 8.0
"""What the allocator may hold more of; that is 4 kB for each of the 2 000
requests of that time."""


async def run(report: Report) -> None:
    """First as many callers as there are places, then twice the capacity in an open loop."""
    upload = box_form()
    async with (
        fleet(REPLICAS, SLOW) as replicas,
        gateway(
            addresses(replicas), inpaint_model=SLOW, max_concurrent=PLACES, max_queue=PLACES
        ) as service,
        session() as client,
    ):
        async with Load(PLACES, client, lambda: service.address, upload) as load:
            await asyncio.sleep(AT_CAPACITY_SECONDS)
            full = await load.finish()

        offered = asyncio.create_task(
            open_loop(client, service.address, upload, 2 * CAPACITY, SECONDS)
        )
        await asyncio.sleep(SETTLED_SECONDS)
        memory = [service.memory()]
        memory += await _memory_until(offered, service)
        outcomes = await offered
    _report(report, full, outcomes)
    report.told("overload: resident memory after 10 s", f"{memory[0]:.0f} MiB")
    report.most("overload: its growth from then on", max(memory) - memory[0], FLAT_MIB, "MiB")


async def _memory_until(done: asyncio.Task[list[Outcome]], service: Gateway) -> list[float]:
    seen = []
    while not done.done():
        await asyncio.sleep(0.5)
        seen.append(service.memory())
    return seen


def _report(report: Report, full: list[Outcome], outcomes: list[Outcome]) -> None:
    accepted = [outcome for outcome in outcomes if outcome.ok]
    refused = [outcome for outcome in outcomes if str(outcome) == "503 overloaded"]
    others = [outcome for outcome in outcomes if outcome not in accepted + refused]
    at_capacity = percentile([outcome.seconds for outcome in full if outcome.ok], 0.99)
    overloaded = percentile([outcome.seconds for outcome in accepted], 0.99)
    report.told("overload: offered", f"{2 * CAPACITY:.0f} a second: {count(outcomes)}")
    report.equal("overload: neither served nor 503 overloaded", count(others), "none")
    report.least(
        "overload: served, of what the Tritons can do",
        len(accepted) / (CAPACITY * SECONDS),
        0.95,
    )
    report.told("overload: p99 at capacity", f"{at_capacity * 1000:.0f} ms")
    report.told("overload: p99 of the served", f"{overloaded * 1000:.0f} ms")
    report.most("overload: p99 of the served, of that at capacity", overloaded / at_capacity, 2)
    seconds = [outcome.seconds for outcome in refused]
    report.told("overload: longest refusal", f"{percentile(seconds, 1) * 1000:.0f} ms")
    report.most("overload: p99 of the refusals", percentile(seconds, 0.99) * 1000, 50, "ms")
