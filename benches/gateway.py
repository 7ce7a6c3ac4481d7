"""The real gateway, started in front of a Triton that runs."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from local_stack.answers import wait_until_ok
from local_stack.ports import HOST, free_ports
from local_stack.triton import end_process

ROOT = Path(__file__).resolve().parents[1]
TOKEN = "bench"
START_SECONDS = 60
END_SECONDS = 60


def triton_address() -> str:
    """The gRPC address of the Triton that ``stack.py with-triton`` started."""
    address = os.environ.get("LACUNA_TEST_TRITON", "")
    if not address:
        raise SystemExit("LACUNA_TEST_TRITON is not set; make starts this beside a Triton")
    return address.split(",")[0]


@contextmanager
def gateway(model: str) -> Iterator[str]:
    """The address of a gateway whose inpainter is ``model``, without limits that matter here."""
    program = ROOT / "target/release/lacuna"
    if not program.is_file():
        raise SystemExit(f"{program} is missing; build it with: make build")
    port, admin = free_ports(2)
    settings = {
        "LACUNA_LISTEN": f"{HOST}:{port}",
        "LACUNA_ADMIN_LISTEN": f"{HOST}:{admin}",
        "LACUNA_TRITON": triton_address(),
        "LACUNA_TOKENS": f"bench:{TOKEN}",
        "LACUNA_INPAINT_MODEL": model,
        "LACUNA_RATE_PER_MINUTE": "100000",
        "LACUNA_RATE_BURST": "1000",
        "RUST_LOG": "warn",
    }
    others = {name: text for name, text in os.environ.items() if not name.startswith("LACUNA_")}
    address = f"http://{HOST}:{port}"
    with running([str(program)], others | settings, f"{address}/readyz"):
        yield address


@contextmanager
def running(command: list[str], environment: dict[str, str], ready: str) -> Iterator[None]:
    """A server that runs until the block ends; the block begins when ``ready`` answers 200."""
    process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL)
    try:
        wait_until_ok(ready, process, START_SECONDS)
        yield
    finally:
        end_process(process, END_SECONDS)
