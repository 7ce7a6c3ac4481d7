"""Sends spoilt uploads to the running service: only documented answers may come, and in time.

Run by ``make fuzz``. The same seed sends the same bytes. What was answered otherwise is kept in
``out/fuzz/``, each as the bytes that were sent and a note of what came back.
"""

import argparse
import asyncio
import json
import random
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from http.client import parse_headers
from io import BytesIO
from pathlib import Path

from local_stack.ports import HOST
from rig.fleet import CONSTANT, SUBJECT, addresses, fleet
from rig.gateway import ROOT, TOKEN, Gateway, gateway
from rig.goals import Report, percentile, say
from rig.mutate import Case, Mutator
from rig.uploads import BOX, box_form, form

FINDINGS = ROOT / "out/fuzz"
ONCE_FOUND = Path(__file__).parent / "findings"
KEPT = 20
"""How many findings of one kind are kept."""
MOST_DEATHS = 60
CONNECTIONS = 8
STALLING = 0.002
"""The share of uploads whose body stalls before its end."""
SECONDS = 20.0
"""How long an answer may take: the service waits 15 s for a body that stalls."""
CODES = {
    400: {
        *("empty_mask", "invalid_bbox", "invalid_dilation", "invalid_format", "invalid_image"),
        *("invalid_mask", "invalid_request"),
    },
    408: {"request_timeout"},
    413: {"payload_too_large"},
    415: {"unsupported_media_type"},
    422: {"no_subject_detected"},
}
"""The documented refusals that a spoilt upload may get. The others (a wrong token, too many
requests, a fault of our own) would be wrong answers to any of these uploads."""
PICTURES = {
    "image/png": b"\x89PNG\r\n\x1a\n",
    "image/jpeg": b"\xff\xd8\xff",
    "image/webp": b"RIFF",
}


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]
    content: bytes


def fault(answer: Answer, request_id: str) -> str | None:
    """What is not as documented; None for a good answer."""
    if answer.headers.get("x-request-id") != request_id:
        return "x-request-id is not the one that was sent"
    media_type = answer.headers.get("content-type", "")
    if answer.status == 200:
        if not answer.content.startswith(PICTURES.get(media_type, b"?")):
            return f"the content is no {media_type}"
        names = ("x-knockout-mode", "x-knockout-model", "x-knockout-latency", "server-timing")
        missing = [name for name in names if name not in answer.headers]
        return f"without {', '.join(missing)}" if missing else None
    if answer.status not in CODES:
        return f"status {answer.status}"
    try:
        body = json.loads(answer.content)
    except ValueError:
        return "the body is not JSON"
    if media_type != "application/json" or set(body) != {"error", "message", "request_id"}:
        return "the body is not of the schema Error"
    if body["request_id"] != request_id or not body["message"]:
        return "the body's request_id or message"
    return None if body["error"] in CODES[answer.status] else f"{answer.status} {body['error']}"


class Died(Exception):
    """The gateway's process ended."""


@dataclass(frozen=True)
class Shot:
    """A case as it is sent."""

    name: str
    case: Case
    stalls: bool


class Fuzzer:
    """Sends cases on a few connections at once and keeps what went wrong."""

    def __init__(self, seed: int, count: int) -> None:
        self._shots = shots(seed, count)
        self._sent = 0
        self.unsettled: list[Shot] = []
        """What was under way when the gateway died."""
        self.statuses: Counter[str] = Counter()
        self.faults: Counter[str] = Counter()
        self.times: list[float] = []

    async def run(self, service: Gateway) -> None:
        """Sends what is left; returns when all is sent or the gateway has died."""

        async def connection() -> None:
            with suppress(Died):
                for shot in self._shots:
                    await self._try(service, shot)
                    if service.status() is not None:
                        return

        await asyncio.gather(*(connection() for _ in range(CONNECTIONS)))

    async def alone(self, service: Gateway) -> None:
        """Sends again, one by one, what was under way, until all is settled or it dies again."""
        while self.unsettled:
            shot = self.unsettled.pop()
            with suppress(Died):
                await self._try(service, shot)
            if service.status() is not None:
                # No other was under way: this one did it.
                self.unsettled.remove(shot)
                self._keep(
                    shot, request(service, shot), f"the gateway died: {service.status()}", None
                )
                return

    async def _try(self, service: Gateway, shot: Shot) -> None:
        sent = request(service, shot)
        started = time.monotonic()
        answer: Answer | None = None
        try:
            answer = await asyncio.wait_for(exchange(service, sent), SECONDS)
            wrong = fault(answer, shot.name)
            self.statuses[str(answer.status)] += 1
        except TimeoutError:
            wrong = "no answer in time"
        except (OSError, ValueError, EOFError) as error:
            await asyncio.sleep(0.2)
            if service.status() is not None:
                self.unsettled.append(shot)
                raise Died from error
            wrong = f"no answer: {type(error).__name__}"
        self.times.append(time.monotonic() - started)
        if wrong:
            self._keep(shot, sent, wrong, answer)
        self._sent += 1
        if self._sent % 2000 == 0:
            say(f"{self._sent} uploads, {sum(self.faults.values())} findings")

    def _keep(self, shot: Shot, sent: bytes, wrong: str, answer: Answer | None) -> None:
        self.faults[wrong] += 1
        if self.faults[wrong] > KEPT:
            return
        FINDINGS.mkdir(parents=True, exist_ok=True)
        (FINDINGS / f"{shot.name}.http").write_bytes(sent)
        (FINDINGS / f"{shot.name}.txt").write_text(f"{wrong}\n{shot.case.how}\n{answer}\n")
        say(f"  finding {shot.name}: {wrong}; {shot.case.how}")


def shots(seed: int, count: int) -> Iterator[Shot]:
    """The files that were findings once, and then ``count`` cases."""
    for file in sorted(ONCE_FOUND.iterdir()):
        for answer_format in ("png", "webp", "jpg"):
            upload = form(BOX | {"format": answer_format}, file=file.read_bytes())
            yield Shot(f"{file.stem}-{answer_format}", Case(upload, "once found"), stalls=False)
    mutator, chance = Mutator(seed), random.Random(seed)
    for number in range(count):
        stalls = chance.random() < STALLING
        yield Shot(f"fuzz-{seed}-{number}", mutator.case(), stalls)


async def exchange(service: Gateway, sent: bytes) -> Answer:
    """Sends bytes and reads one answer."""
    reader, writer = await asyncio.open_connection(HOST, service.port)
    try:
        writer.write(sent)
        head = await reader.readuntil(b"\r\n\r\n")
        line, _, rest = head.partition(b"\r\n")
        headers = {name.lower(): value for name, value in parse_headers(BytesIO(rest)).items()}
        content = await reader.readexactly(int(headers["content-length"]))
        return Answer(int(line.split()[1]), headers, content)
    finally:
        writer.transport.abort()


def request(service: Gateway, shot: Shot) -> bytes:
    """The whole request; one that stalls promises more than it sends."""
    upload = shot.case.upload
    head = (
        f"POST /inpaint HTTP/1.1\r\nHost: {HOST}:{service.port}\r\n"
        f"Authorization: Bearer {TOKEN}\r\nX-Request-Id: {shot.name}\r\n"
        f"Content-Type: {upload.content_type}\r\n"
        f"Content-Length: {len(upload.body) + (100 if shot.stalls else 0)}\r\n\r\n"
    )
    return head.encode() + upload.body


async def fuzz(report: Report, count: int, seed: int) -> None:
    """All cases; where the gateway dies, another takes the rest, so that one run finds more."""
    fuzzer = Fuzzer(seed, count)
    deaths = 0
    async with fleet(1, CONSTANT, SUBJECT) as replicas:
        while True:
            async with gateway(
                addresses(replicas), inpaint_model=CONSTANT, segment_model=SUBJECT
            ) as service:
                await fuzzer.alone(service)
                if service.status() is None:
                    await fuzzer.run(service)
                if service.status() is None:
                    whole = Shot("after", Case(box_form(), "whole"), stalls=False)
                    answer = await exchange(service, request(service, whole))
                    break
            deaths += 1
            if deaths > MOST_DEATHS:
                raise RuntimeError("the gateway dies again and again")
    report.told("fuzz: answers", dict(sorted(fuzzer.statuses.items())))
    report.equal(f"fuzz: findings in {count} uploads", dict(fuzzer.faults), {})
    report.most("fuzz: longest answer", percentile(fuzzer.times, 1), SECONDS, "s")
    report.equal("fuzz: times that the gateway died", deaths, 0)
    report.equal("fuzz: a good upload afterwards", answer.status, 200)


def main() -> int:
    """Runs it; gives the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=20_000, help="uploads (20000)")
    parser.add_argument("--seed", type=int, default=1, help="of the changes (1)")
    chosen = parser.parse_args()
    report = Report()
    asyncio.run(fuzz(report, chosen.count, chosen.seed))
    return report.finish()


if __name__ == "__main__":
    sys.exit(main())
