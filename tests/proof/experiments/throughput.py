"""More Tritons do more work."""

import asyncio
import time

from rig.callers import Load, count, session
from rig.fleet import SLOW, SLOW_SECONDS, addresses, fleet
from rig.gateway import gateway
from rig.goals import Report
from rig.uploads import box_form

SHARE = 0.95
CALLERS_EACH = 8
WARM_SECONDS = 3.0
SECONDS = 30.0


async def run(report: Report) -> None:
    """Two and four Tritons of which each can give one answer in 200 ms."""
    for number in (2, 4):
        await _measure(report, number)


async def _measure(report: Report, number: int) -> None:
    upload = box_form()
    callers = CALLERS_EACH * number
    async with (
        fleet(number, SLOW) as replicas,
        gateway(addresses(replicas), inpaint_model=SLOW, max_concurrent=2 * callers) as service,
        session() as client,
        Load(callers, client, lambda: service.address, upload) as load,
    ):
        await asyncio.sleep(WARM_SECONDS)
        begin, before = time.monotonic(), sum([await replica.busy() for replica in replicas])
        await asyncio.sleep(SECONDS)
        end, after = time.monotonic(), sum([await replica.busy() for replica in replicas])
        outcomes = await load.finish()
    within = [outcome for outcome in outcomes if begin <= outcome.ended < end]
    report.equal(
        f"throughput: answers of {number} Tritons", count(within), f"{len(within)} x 200 bbox"
    )
    rate, ideal = len(within) / (end - begin), number / SLOW_SECONDS
    report.told(f"throughput: {number} Tritons, {callers} callers", f"{rate:.2f} a second")
    # Near 1 while the share is not: the machine is short of time, and the Tritons answer late.
    busy = (after - before) / (end - begin) / number
    report.told("throughput: share of the time that they were at work", f"{busy:.3f}")
    report.least(f"throughput: share of the ideal {ideal:.0f} a second", rate / ideal, SHARE)
