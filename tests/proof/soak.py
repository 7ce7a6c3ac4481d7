"""Sends ten thousand requests of all kinds and watches the gateway's memory and descriptors.

Run by ``make soak``.
"""

import argparse
import asyncio
import random
import sys
from collections import Counter
from dataclasses import dataclass

import aiohttp

from rig.callers import call, session
from rig.fleet import CONSTANT, SUBJECT, addresses, fleet
from rig.gateway import Gateway, gateway
from rig.goals import Report, say
from rig.uploads import BOX, Form, form, mask, photo

CALLERS = 8
STEP = 1000
"""Requests between two looks at the process. All callers rest meanwhile."""
REST_SECONDS = 16.0
"""Until threads without work have ended, and unused memory has been given back."""
SHARE = 0.05
SPARE_DESCRIPTORS = 4


@dataclass(frozen=True)
class Kind:
    """A request and the answer that it must get."""

    upload: Form
    answer: str


def kinds() -> list[Kind]:
    """Modes, formats of photos, masks and answers, sizes, and requests that are refused."""
    photos = [
        photo(side, seed, file_format)
        for seed, (side, file_format) in enumerate(
            (side, name) for side in (96, 160, 300) for name in ("PNG", "JPEG", "WEBP", "HEIF")
        )
    ]
    made = []
    for number, file in enumerate(photos):
        wanted = {"format": ("png", "webp", "jpg")[number % 3], "dilation": str(number)}
        made.append(Kind(form(BOX | wanted, file=file), "200 bbox"))
        made.append(Kind(form(wanted, file=file, mask=mask(64)), "200 mask"))
        made.append(Kind(form(wanted, file=file, mask=mask(300, "JPEG")), "200 mask"))
        made.append(Kind(form(wanted, file=file), "200 auto-subject"))
    png = photos[0]
    nothing = mask(64, white=False)
    made += [
        Kind(form(BOX | {"dilation": "33"}, file=png), "400 invalid_dilation"),
        Kind(form(BOX | {"format": "gif"}, file=png), "400 invalid_format"),
        Kind(form(BOX | {"w": "4000"}, file=png), "400 invalid_bbox"),
        Kind(form(BOX | {"x": "left"}, file=png), "400 invalid_request"),
        Kind(form(BOX), "400 invalid_request"),
        Kind(form(BOX, file=png[: len(png) // 2]), "400 invalid_image"),
        Kind(form({}, file=png, mask=nothing), "400 empty_mask"),
        Kind(form({}, file=png, mask=png[:100]), "400 invalid_mask"),
        Kind(form(BOX, file=b"no picture at all"), "415 unsupported_media_type"),
        Kind(Form(b"x=1", "application/x-www-form-urlencoded"), "415 unsupported_media_type"),
        Kind(form(BOX, file=bytes(11 << 20)), "413 payload_too_large"),
    ]
    return made


async def soak(report: Report, count: int, seed: int) -> None:
    """All requests, in steps; the first step is the one the last is compared with."""
    chance = random.Random(seed)
    made = kinds()
    async with (
        fleet(1, CONSTANT, SUBJECT) as replicas,
        gateway(addresses(replicas), inpaint_model=CONSTANT, segment_model=SUBJECT) as service,
    ):
        seen: list[tuple[float, int]] = []
        wrong: Counter[str] = Counter()
        for begin in range(0, count, STEP):
            requests = chance.choices(made, k=min(STEP, count - begin))
            async with session() as client:
                wrong += await _send(service, client, requests)
            await asyncio.sleep(REST_SECONDS)
            seen.append((service.memory(), service.descriptors()))
            say(f"{begin + len(requests):6} requests: {seen[-1][0]:.1f} MiB, {seen[-1][1]} open")
            report.told(
                f"soak: after {begin + len(requests)}",
                f"{seen[-1][0]:.1f} MiB, {seen[-1][1]} descriptors",
            )
    report.equal(f"soak: wrong answers of {count}", dict(wrong), {})
    growth = seen[-1][0] / seen[0][0] - 1
    report.most(f"soak: memory after {count} beside {STEP}", growth * 100, SHARE * 100, "%")
    report.most(
        "soak: descriptors more than after the first step",
        seen[-1][1] - seen[0][1],
        SPARE_DESCRIPTORS,
    )


async def _send(
    service: Gateway, client: aiohttp.ClientSession, requests: list[Kind]
) -> Counter[str]:
    """Sends them from eight callers; gives the answers that were not as they must be."""
    left = iter(requests)
    wrong: Counter[str] = Counter()

    async def caller() -> None:
        for kind in left:
            outcome = await call(client, service.address, kind.upload)
            if str(outcome) != kind.answer:
                wrong[f"{outcome}, not {kind.answer}"] += 1

    await asyncio.gather(*(caller() for _ in range(CALLERS)))
    return wrong


def main() -> int:
    """Runs it; gives the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=10_000, help="requests (10000)")
    parser.add_argument("--seed", type=int, default=1, help="of the order (1)")
    chosen = parser.parse_args()
    report = Report()
    asyncio.run(soak(report, chosen.count, chosen.seed))
    return report.finish()


if __name__ == "__main__":
    sys.exit(main())
