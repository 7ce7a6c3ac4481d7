"""The gateway as a process: its settings, its memory, its end."""

import asyncio
import os
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from local_stack.answers import answers_ok, wait_until_ok
from local_stack.machine import StackError
from local_stack.ports import HOST, free_ports
from local_stack.triton import end_with_parent

ROOT = Path(__file__).resolve().parents[3]
LOGS = ROOT / "out/proof"
"""What the gateways logged, kept to see why a goal was missed."""
TOKEN = "a-token-of-the-proofs"
DRAIN_SECONDS = 120
"""How long the gateway may take to end once it is told to."""
_START_SECONDS = 30
_UNBOUNDED = {"LACUNA_RATE_PER_MINUTE": "1000000000", "LACUNA_RATE_BURST": "1000000000"}
_UNBOUNDED["LACUNA_TOKEN_CONCURRENCY"] = "1000"


class Gateway:
    """A gateway on ports of its own."""

    def __init__(self, triton: str, log: Path, settings: Mapping[str, str]) -> None:
        """Starts it in front of ``triton``; ``settings`` are variables that matter here."""
        self.host = HOST
        self.port, admin = free_ports(2)
        self.address = f"http://{HOST}:{self.port}"
        self.admin = f"http://{HOST}:{admin}"
        self.log = log
        environment = {
            key: value for key, value in os.environ.items() if not key.startswith("LACUNA_")
        }
        environment |= {
            "LACUNA_LISTEN": f"{HOST}:{self.port}",
            "LACUNA_ADMIN_LISTEN": f"{HOST}:{admin}",
            "LACUNA_TRITON": triton,
            "LACUNA_TOKENS": f"proof:{TOKEN}",
            "RUST_LOG": "warn,lacuna::triton=info",
        }
        environment |= _UNBOUNDED
        environment |= settings
        with log.open("wb") as errors:
            self._process = subprocess.Popen(
                [program()],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=errors,
                stderr=errors,
                preexec_fn=end_with_parent,
            )

    @property
    def pid(self) -> int:
        """Its process."""
        return self._process.pid

    def status(self) -> int | None:
        """Its exit status; None while it runs."""
        return self._process.poll()

    def memory(self) -> float:
        """Resident memory, in MiB."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1024
        raise RuntimeError("the gateway has ended")

    def descriptors(self) -> int:
        """How many file descriptors it has open."""
        return sum(1 for _ in Path(f"/proc/{self.pid}/fd").iterdir())

    def is_ready(self) -> bool:
        """Whether it takes requests and sees its model."""
        return answers_ok(f"{self.address}/readyz")

    async def wait(self, path: str = "/readyz") -> None:
        """Until ``path`` is answered with 200."""
        url = self.address + path
        try:
            await asyncio.to_thread(wait_until_ok, url, self._process, _START_SECONDS)
        except StackError as error:
            raise RuntimeError(f"{error}: {self.log.read_text()}") from error

    def terminate(self) -> None:
        """Asks it to end."""
        self._process.send_signal(signal.SIGTERM)

    async def ended(self, seconds: float = DRAIN_SECONDS + 5) -> int:
        """Its exit status, once it has ended; it is killed after so many seconds."""
        try:
            return await asyncio.to_thread(self._process.wait, seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return await asyncio.to_thread(self._process.wait)


@asynccontextmanager
async def gateway(triton: str, **settings: object) -> AsyncIterator[Gateway]:
    """A gateway that is ready; ``max_queue=8`` stands for LACUNA_MAX_QUEUE."""
    variables = {f"LACUNA_{name.upper()}": str(value) for name, value in settings.items()}
    LOGS.mkdir(parents=True, exist_ok=True)
    running = Gateway(triton, LOGS / f"{time.strftime('%H%M%S')}-{free_ports(1)[0]}.log", variables)
    try:
        await running.wait()
        yield running
    finally:
        if running.status() is None:
            running.terminate()
        await running.ended()


def program() -> Path:
    """The built gateway."""
    target = os.environ.get("CARGO_TARGET_DIR")
    path = ROOT / (target or "target") / "release/lacuna"
    if not path.is_file():
        raise SystemExit(f"{path} is missing; build it with: make build")
    return path
