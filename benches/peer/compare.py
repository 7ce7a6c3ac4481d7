"""``make bench-peer``: how long a request takes here and on a plain server (see ``peer.server``).

Both get the same files, on loopback, each request on a connection of its own. "Without the model":
ours is what the client sees less the time the gateway waits for Triton (``inpaint`` of its
``server-timing``), the peer is a server that fills with the mean colour.
"""

import argparse
import io
import os
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import lru_cache
from statistics import median

import cv2
import httpx
import numpy as np
from PIL import Image

import photos
import plot
from gateway import ROOT, TOKEN, gateway, running
from local_stack.ports import HOST, free_ports
from quality import holes

PLOT = ROOT / "out/peer.svg"
BOX = {"x": "400", "y": "300", "w": "300", "h": "300"}
FORMATS = ("png", "webp", "jpg")
DILATION = 8
WINDOW = 512
"""Side of the window that holds the box, dilated, and a quarter of it on each side."""
AT_ONCE = 8
SECONDS = 4.0
"""A measurement is repeated until it has taken so long, but at most ``MOST`` times."""
MOST = 9


@dataclass(frozen=True)
class Work:
    """A request, as the table names it."""

    megapixels: int
    region: str
    format: str

    def send(self, url: str, extra: dict[str, str]) -> "Sample":
        """Sends it once."""
        files = {"file": _jpeg(self.megapixels)}
        fields = {"format": self.format, "dilation": str(DILATION)} | extra
        if self.region == "mask":
            files["mask"] = _mask(self.megapixels)
        else:
            fields |= BOX
        started = time.perf_counter()
        answer = httpx.post(
            f"{url}/inpaint",
            headers={"authorization": f"Bearer {TOKEN}"},
            files=files,
            data=fields,
            timeout=600,
        )
        seen = (time.perf_counter() - started) * 1000
        if answer.status_code != 200:
            raise SystemExit(f"{url} answers {answer.status_code}: {answer.text}")
        steps = (step.split(";dur=") for step in answer.headers["server-timing"].split(", "))
        return Sample(seen, {name: float(duration) for name, duration in steps})


@dataclass(frozen=True)
class Sample:
    """What one request took, in milliseconds: as the client sees it, and by steps."""

    seen: float
    steps: dict[str, float]

    @property
    def without_inpaint(self) -> float:
        """All but the model."""
        return self.seen - self.steps["inpaint"]


@dataclass(frozen=True)
class Server:
    """One contestant."""

    url: str
    extra: dict[str, str]

    def one_by_one(self, work: Work) -> list[Sample]:
        """Samples of requests that are alone, less the first one where there are more."""
        samples: list[Sample] = []
        end = time.monotonic() + SECONDS
        while len(samples) <= MOST and (not samples or time.monotonic() < end):
            samples.append(work.send(self.url, self.extra))
        return samples[1:] or samples

    def at_once(self, work: Work) -> list[Sample]:
        """Samples of ``AT_ONCE`` requests that are sent at the same moment."""
        with ThreadPoolExecutor(AT_ONCE) as pool:
            return list(pool.map(lambda _: work.send(self.url, self.extra), range(AT_ONCE)))


@dataclass(frozen=True)
class Pair:
    """The same measured on both, in milliseconds."""

    peer: float
    ours: float

    @property
    def ratio(self) -> float:
        """How many times faster ours is."""
        return self.peer / self.ours

    def text(self) -> str:
        """Both and the ratio, for the table."""
        return f"{self.peer:8.0f} {self.ours:7.0f} {self.ratio:6.1f}x"


@dataclass(frozen=True)
class Row:
    """A line of the table."""

    work: Work
    at_once: int
    without_model: Pair
    with_model: Pair
    peer_steps: dict[str, float]
    our_steps: dict[str, float]

    def is_the_goals(self) -> bool:
        """Whether it is what the goals are stated for."""
        return (self.work.megapixels, self.work.region, self.at_once) == (12, "box", 1)

    def name(self) -> str:
        """What is measured."""
        work = self.work
        at_once = f", {self.at_once} at once" if self.at_once > 1 else ""
        return f"{work.megapixels} MP {work.region}, {work.format}{at_once}"

    def text(self) -> str:
        """The line."""
        work = self.work
        return (
            f"{work.megapixels:3d} MP {work.region:4} {work.format:4} {self.at_once:7d}"
            f" | {self.without_model.text()} | {self.with_model.text()}"
        )


HEADER = (
    f"{'':24} |{'without the model':^25} |{'with the model':^25}\n"
    f"{'photo':>6} {'hole':4} {'to':4} {'at once':>7}" + " |     peer    ours  faster" * 2
)


def main() -> int:
    """Prints the table and the goals; a goal that is missed is no failure."""
    parser = argparse.ArgumentParser(prog="compare", description=__doc__)
    parser.parse_args()
    photos.fetch()
    started = time.monotonic()
    with ExitStack() as stack:
        ours = Server(stack.enter_context(gateway("patchmatch")), {})
        empty = Server(stack.enter_context(_peer(without_model=True)), {})
        full = Server(stack.enter_context(_peer(without_model=False)), {})
        print("p50, milliseconds; 'faster' is peer : ours")
        print(HEADER, flush=True)
        rows = []
        for work, at_once in _works():
            rows.append(_row(work, at_once, ours, empty, full))
            print(rows[-1].text(), flush=True)
        _print_goals(rows)
        _plot(rows)
        _print_beside_opencv(rows)
        _print_steps(rows, empty)
    print(f"{time.monotonic() - started:.0f} s in all")
    return 0


def _works() -> Iterator[tuple[Work, int]]:
    """The rows of the table. What takes the peer minutes and shows nothing new is left out: a mask
    to other formats, and large photos to them eight at once."""
    for megapixels in (1, 3, 8, 12):
        for format in FORMATS:
            yield Work(megapixels, "box", format), 1
    yield Work(12, "mask", "jpg"), 1
    for work in (Work(1, "box", "png"), Work(1, "box", "jpg"), Work(12, "box", "jpg")):
        yield work, AT_ONCE


def _row(work: Work, at_once: int, ours: Server, empty: Server, full: Server) -> Row:
    def samples(server: Server) -> list[Sample]:
        return server.one_by_one(work) if at_once == 1 else server.at_once(work)

    from_us, from_empty, from_full = samples(ours), samples(empty), samples(full)
    without = median(sample.without_inpaint for sample in from_us)
    return Row(
        work,
        at_once,
        Pair(_p50(from_empty), without),
        Pair(_p50(from_full), _p50(from_us)),
        _p50_steps(from_empty),
        _p50_steps(from_us),
    )


def _print_goals(rows: list[Row]) -> None:
    print("goals")
    boxes = [row for row in rows if row.is_the_goals()]
    for row in boxes:
        goal = 50 if row.work.format == "png" else 20
        _print_goal(f"12 MP box to {row.work.format} without the model", row.without_model, goal)
    for row in boxes:
        _print_goal(f"12 MP box to {row.work.format} with the model", row.with_model, 5)
    slowest = min(
        (pair for row in rows for pair in (row.without_model, row.with_model)), key=_ratio
    )
    _print_goal("never slower; the closest case", slowest, 1)


def _print_goal(name: str, pair: Pair, goal: int) -> None:
    verdict = "met" if pair.ratio >= goal else "not met"
    print(f"  {name}: {pair.ratio:.1f}x, goal {goal}x: {verdict}")


def _plot(rows: list[Row]) -> None:
    title = "Milliseconds of a request with the model"
    values = [(row.name(), row.with_model.peer, row.with_model.ours) for row in rows]
    plot.dots(PLOT, title, values, (20, 100, 1000, 10_000, 100_000), ("peer", "ours"))
    print(f"{PLOT.relative_to(ROOT)}: the same as a plot")


def _print_beside_opencv(rows: list[Row]) -> None:
    """All of a request beside the fill alone of tools that need no weights either."""
    x, y, width, height = (int(BOX[side]) for side in "xywh")
    grown = max(width, height) + 2 * DILATION
    left, top = x - (WINDOW - width) // 2, y - (WINDOW - height) // 2
    photo = photos.scaled(photos.PHOTOS[0], 12)
    window = np.ascontiguousarray(photo[top : top + WINDOW, left : left + WINDOW])
    hole = np.zeros((WINDOW, WINDOW), np.uint8)
    edge = (WINDOW - grown) // 2
    hole[edge : edge + grown, edge : edge + grown] = 1
    taken = []
    for _ in range(MOST):
        started = time.perf_counter()
        cv2.inpaint(window, hole, 3, cv2.INPAINT_TELEA)
        taken.append((time.perf_counter() - started) * 1000)
    alone = median(taken)
    print(f"OpenCV's inpaint of the window alone: {alone:.0f} ms")
    for row in rows:
        if row.is_the_goals():
            ratio = row.with_model.ours / alone
            verdict = "met" if ratio <= 1.5 else "not met"
            print(
                f"  12 MP box to {row.work.format}, all of the request: {ratio:.2f} of that, "
                f"goal at most 1.5: {verdict}"
            )


def _print_steps(rows: list[Row], empty: Server) -> None:
    """Where the time goes at 12 megapixels."""
    print("milliseconds of the steps, 12 MP with a box, without the model")
    for row in rows:
        if row.is_the_goals():
            print(f"  {row.work.format:4} peer: {_steps_text(row.peer_steps)}")
            print(f"  {row.work.format:4} ours: {_steps_text(row.our_steps)}")
    lean = Server(empty.url, {"optimize": "false"}).one_by_one(Work(12, "box", "png"))
    print(f"  png  peer, its PNG not optimised: {_steps_text(_p50_steps(lean))}")


def _steps_text(steps: dict[str, float]) -> str:
    return ", ".join(f"{step} {duration:.0f}" for step, duration in steps.items())


def _p50_steps(samples: list[Sample]) -> dict[str, float]:
    steps = [step for step in samples[0].steps if step != "inpaint"]
    return {step: median(sample.steps[step] for sample in samples) for step in steps}


def _p50(samples: list[Sample]) -> float:
    return median(sample.seen for sample in samples)


def _ratio(pair: Pair) -> float:
    return pair.ratio


@contextmanager
def _peer(*, without_model: bool) -> Iterator[str]:
    """The address of a plain server with a process for each core."""
    (port,) = free_ports(1)
    url = f"http://{HOST}:{port}"
    server = ["peer.server:app", f"--host={HOST}", f"--port={port}", "--log-level=warning"]
    # Pillow holds the interpreter for seconds, and a process that does not react is taken for dead.
    server += ["--timeout-worker-healthcheck=600"]
    command = [sys.executable, "-m", "uvicorn", *server, f"--workers={os.cpu_count() or 1}"]
    settings = {
        "PYTHONPATH": str(ROOT / "benches"),
        "PEER_WITHOUT_MODEL": "1" if without_model else "0",
    }
    with running(command, os.environ | settings, f"{url}/readyz"):
        yield url


@lru_cache
def _jpeg(megapixels: int) -> bytes:
    file = io.BytesIO()
    Image.fromarray(photos.scaled(photos.PHOTOS[0], megapixels)).save(file, "JPEG", quality=90)
    return file.getvalue()


@lru_cache
def _mask(megapixels: int) -> bytes:
    height, width = photos.scaled(photos.PHOTOS[0], megapixels).shape[:2]
    hole = holes.cut(np.random.default_rng(1), height, width, "small")
    file = io.BytesIO()
    Image.fromarray(hole).save(file, "PNG")
    return file.getvalue()


if __name__ == "__main__":
    sys.exit(main())
