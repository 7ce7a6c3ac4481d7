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
from dataclasses import dataclass
from http.client import parse_headers
from io import BytesIO
from pathlib import Path

from local_stack.ports import HOST
from rig.fleet import CONSTANT, SUBJECT, addresses, fleet
from rig.gateway import ROOT, TOKEN, Gateway, gateway
from rig.goals import Report, percentile, say
from rig.mutate import Case, Mutator
from rig.uploads import box_form

FINDINGS = ROOT / "out/fuzz"
CONNECTIONS = 8
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


class Fuzzer:
    """Sends cases on a few connections at once and keeps what went wrong."""

    def __init__(self, service: Gateway, seed: int) -> None:
        self._service = service
        self._seed = seed
        self._mutator = Mutator(seed)
        self._chance = random.Random(seed)
        self.statuses: Counter[str] = Counter()
        self.faults: Counter[str] = Counter()
        self.times: list[float] = []

    async def run(self, count: int) -> None:
        """Sends ``count`` cases."""
        numbers = iter(range(count))

        async def connection() -> None:
            for number in numbers:
                # Taken in order, so that a case has the same number in every run.
                case, stalls = self._mutator.case(), self._chance.random() < 0.002
                await self._try(number, case, stalls=stalls)
                if (number + 1) % 2000 == 0:
                    say(f"{number + 1} uploads, {sum(self.faults.values())} findings")

        await asyncio.gather(*(connection() for _ in range(CONNECTIONS)))

    async def _try(self, number: int, case: Case, *, stalls: bool) -> None:
        request_id = f"fuzz-{self._seed}-{number}"
        sent = request(self._service, case, request_id, stalls=stalls)
        started = time.monotonic()
        try:
            answer = await asyncio.wait_for(self.exchange(sent), SECONDS)
            wrong = fault(answer, request_id)
            self.statuses[str(answer.status)] += 1
        except TimeoutError:
            answer, wrong = None, "no answer in time"
        except (OSError, ValueError, EOFError) as error:
            answer, wrong = None, f"no answer: {type(error).__name__}"
        self.times.append(time.monotonic() - started)
        if wrong:
            self.faults[wrong] += 1
            keep(request_id, sent, f"{wrong}\n{case.how}\n{answer}\n")

    async def exchange(self, sent: bytes) -> Answer:
        reader, writer = await asyncio.open_connection(HOST, self._service.port)
        try:
            writer.write(sent)
            head = await reader.readuntil(b"\r\n\r\n")
            line, _, rest = head.partition(b"\r\n")
            headers = {name.lower(): value for name, value in parse_headers(BytesIO(rest)).items()}
            content = await reader.readexactly(int(headers["content-length"]))
            return Answer(int(line.split()[1]), headers, content)
        finally:
            writer.transport.abort()


def request(service: Gateway, case: Case, request_id: str, *, stalls: bool) -> bytes:
    """The whole request; one that stalls promises more than it sends."""
    length = len(case.upload.body) + (100 if stalls else 0)
    head = (
        f"POST /inpaint HTTP/1.1\r\nHost: {HOST}:{service.port}\r\n"
        f"Authorization: Bearer {TOKEN}\r\nX-Request-Id: {request_id}\r\n"
        f"Content-Type: {case.upload.content_type}\r\nContent-Length: {length}\r\n\r\n"
    )
    return head.encode() + case.upload.body


def keep(name: str, sent: bytes, note: str) -> None:
    """Writes a finding."""
    FINDINGS.mkdir(parents=True, exist_ok=True)
    (FINDINGS / f"{name}.http").write_bytes(sent)
    (FINDINGS / f"{name}.txt").write_text(note)
    say(f"  finding {name}: {note.splitlines()[0]}")


async def fuzz(report: Report, count: int, seed: int) -> None:
    """All cases against one gateway, which must serve as before when they are through."""
    async with (
        fleet(1, CONSTANT, SUBJECT) as replicas,
        gateway(addresses(replicas), inpaint_model=CONSTANT, segment_model=SUBJECT) as service,
    ):
        pid = service.pid
        fuzzer = Fuzzer(service, seed)
        await fuzzer.run(count)
        report.told("fuzz: answers", dict(sorted(fuzzer.statuses.items())))
        report.equal(f"fuzz: findings in {count} uploads", dict(fuzzer.faults), {})
        report.most("fuzz: longest answer", percentile(fuzzer.times, 1), SECONDS, "s")
        whole = Case(box_form(), "whole")
        answer = await fuzzer.exchange(request(service, whole, "after", stalls=False))
        report.equal("fuzz: a good upload afterwards", answer.status, 200)
        alive = service.status() is None and Path(f"/proc/{pid}").exists()
        report.equal("fuzz: the process of the start still runs", alive, True)


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
