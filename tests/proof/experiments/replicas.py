"""Tritons die, hang and come back under load."""

import asyncio
import time

import aiohttp

from rig.callers import Load, call, count, session
from rig.fleet import SLOW, Replica, addresses, fleet
from rig.gateway import Gateway, gateway
from rig.goals import Report, say
from rig.uploads import Form, box_form

CALLERS = 8
SECONDS = 60.0


async def run(report: Report) -> None:
    """Three Tritons, of which at least one is always well; then none; then one again."""
    upload = box_form()
    async with (
        fleet(3, SLOW) as replicas,
        gateway(addresses(replicas), inpaint_model=SLOW) as service,
        session() as client,
    ):
        await _some_gone(report, replicas, service, client, upload)
        await _all_gone(report, replicas, service, client, upload)
        await _one_back(report, replicas[0], service, client, upload)


async def _some_gone(
    report: Report,
    replicas: list[Replica],
    service: Gateway,
    client: aiohttp.ClientSession,
    upload: Form,
) -> None:
    begin = time.monotonic()
    async with Load(CALLERS, client, lambda: service.address, upload) as load:
        await _faults(replicas, begin)
        outcomes = await load.finish()
    failed = [outcome for outcome in outcomes if not outcome.ok]
    report.equal(f"replicas: failed of {len(outcomes)} requests while some go", len(failed), 0)
    for outcome in failed[:5]:
        say(f"  at {outcome.started - begin:.1f} s, after {outcome.seconds:.2f} s: {outcome}")
    longest = max(outcome.seconds for outcome in outcomes)
    report.told("replicas: longest answer meanwhile", f"{longest:.2f} s")


async def _faults(replicas: list[Replica], begin: float) -> None:
    """One Triton after the other is killed, stopped and told to end, and comes back."""

    async def at(second: float, what: str) -> None:
        await asyncio.sleep(begin + second - time.monotonic())
        say(f"{second:.0f} s: {what}")

    await at(5, "the first Triton is killed")
    replicas[0].kill()
    await at(15, "the first Triton is started")
    replicas[0].start()
    await replicas[0].ready()
    await at(22, "the second Triton is stopped with SIGSTOP")
    replicas[1].pause()
    await at(37, "the second Triton goes on")
    replicas[1].resume()
    await at(45, "the third Triton is told to end and started again")
    await replicas[2].end()
    replicas[2].start()
    await replicas[2].ready()
    await at(SECONDS, "the end")


async def _all_gone(
    report: Report,
    replicas: list[Replica],
    service: Gateway,
    client: aiohttp.ClientSession,
    upload: Form,
) -> None:
    """Those under way when all die, and those that come after."""
    under_way = [asyncio.create_task(call(client, service.address, upload)) for _ in range(6)]
    await asyncio.sleep(0.1)
    killed = time.monotonic()
    for replica in replicas:
        replica.kill()
    hit = await asyncio.gather(*under_way)
    after = [await call(client, service.address, upload) for _ in range(20)]
    await asyncio.sleep(3)
    later = [await call(client, service.address, upload) for _ in range(20)]
    outcomes = hit + after + later
    report.equal("replicas: answers with all gone", count(outcomes), _unavailable(len(outcomes)))
    # What was under way is answered from the moment of the kill on.
    seconds = [outcome.ended - max(outcome.started, killed) for outcome in outcomes]
    report.most("replicas: longest such answer", max(seconds), 1, "s")


def _unavailable(number: int) -> str:
    return f"{number} x 503 inference_unavailable"


async def _one_back(
    report: Report, replica: Replica, service: Gateway, client: aiohttp.ClientSession, upload: Form
) -> None:
    served = asyncio.create_task(_served_again(client, service, upload))
    replica.start()
    ready = await replica.ready()
    report.most("replicas: served again after one is ready", max(await served - ready, 0), 3, "s")


async def _served_again(client: aiohttp.ClientSession, service: Gateway, upload: Form) -> float:
    """When the first photo came back."""
    while not (outcome := await call(client, service.address, upload)).ok:
        await asyncio.sleep(0.05)
    return outcome.ended
