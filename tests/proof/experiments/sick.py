"""Tritons that are sick and not dead: their callers see none of it while another is well."""

import asyncio
import time

from rig.callers import Load, count, session
from rig.fleet import FAILING, HANGING, SLOW, fleet
from rig.gateway import gateway
from rig.goals import Report, percentile, say
from rig.uploads import box_form
from rig.way import way_to

CALLERS = 8
REQUEST_SECONDS = 8.0
"""How long a request may take. One that meets a hanging model is tried elsewhere after half."""
FAILS_AT, HANGS_AT, SILENT_AT, END = 5.0, 15.0, 30.0, 60.0
SETTLED_AT = 45.0
MOST_FAILURES = 25
"""Five in a row, those under way with them, and the trials of a minute: after 1, 2, 4, 8, 16 s."""


async def run(report: Report) -> None:
    """Four Tritons, of which one after the other turns sick, until one is well."""
    upload = box_form()
    async with (
        fleet(2, SLOW) as (well, other),
        fleet(1, SLOW, repository=FAILING) as (failing,),
        fleet(1, SLOW, repository=HANGING) as (hanging,),
        way_to(other.port) as first,
        way_to(other.port) as second,
        way_to(other.port) as third,
        gateway(
            ",".join([well.address, first.address, second.address, third.address]),
            inpaint_model=SLOW,
            request_timeout=REQUEST_SECONDS,
        ) as service,
        session() as client,
    ):
        begin = time.monotonic()

        async def at(second_of_run: float, what: str) -> None:
            await asyncio.sleep(begin + second_of_run - time.monotonic())
            say(f"{second_of_run:.0f} s: {what}")

        async with Load(CALLERS, client, lambda: service.address, upload) as load:
            await at(FAILS_AT, "the first answers INTERNAL at once")
            first.lead_to(failing.port)
            await at(HANGS_AT, "the model of the second hangs")
            second.lead_to(hanging.port)
            await at(SILENT_AT, "the third is behind a silent partition")
            third.fall_silent()
            await at(END, "the end")
            outcomes = await load.finish()
        failures = await failing.answers()
    failed = [outcome for outcome in outcomes if not outcome.ok]
    what = f"sick: failed of {len(outcomes)} requests with one Triton well"
    report.equal(what, count(failed), "none")
    for outcome in failed[:5]:
        say(f"  at {outcome.started - begin:.1f} s, after {outcome.seconds:.2f} s: {outcome}")
    report.least("sick: attempts at the one that fails", failures, 1)
    report.most("sick: attempts at the one that fails, at most", failures, MOST_FAILURES)
    longest = max(outcome.seconds for outcome in outcomes)
    report.most("sick: longest answer", longest, REQUEST_SECONDS, "s")
    settled = [o.seconds for o in outcomes if o.started - begin >= SETTLED_AT]
    report.told("sick: p50 once three are sick", f"{percentile(settled, 0.5):.2f} s")
