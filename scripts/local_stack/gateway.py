"""The gateway process of ``run``: its settings, its start and its end."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from local_stack import places
from local_stack.answers import answers_ok
from local_stack.machine import StackError
from local_stack.ports import HOST, free_ports, is_free
from local_stack.triton import Triton, end_process, end_with_parent

TOKEN = "local-dev-token"
LISTEN = "127.0.0.1:8080"
ADMIN_PORT = 9090
REQUEST_SECONDS = 120.0
"""How long a request may take, and with it the gateway's end, unless a setting says otherwise."""
AIR_SECONDS = 5.0


class Gateway:
    """A running gateway in front of one Triton; every LACUNA_ variable reaches it."""

    def __init__(self, triton: Triton) -> None:
        """Starts it; ``check_startable`` says beforehand whether that can work."""
        settings = _settings(triton)
        self.address = _address(settings["LACUNA_LISTEN"])
        self.is_local = _is_local(settings["LACUNA_LISTEN"])
        self.uses_default_token = settings.get("LACUNA_TOKENS") == f"local:{TOKEN}"
        self._process = subprocess.Popen(
            [str(program())],
            env=os.environ | settings,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=end_with_parent,
        )

    def ready(self) -> bool:
        """Whether it takes requests and sees its model."""
        return answers_ok(f"{self.address}/readyz")

    def exit_status(self) -> int | None:
        """None while it runs."""
        return self._process.poll()

    def stop(self) -> int:
        """Ends it when what it has begun is finished; gives its status."""
        return end_process(self._process, drain_seconds(os.environ) + AIR_SECONDS)


def drain_seconds(environment: Mapping[str, str]) -> float:
    """How long the gateway may take to finish what it has begun; a wrong setting ends its start."""
    for name in ("LACUNA_DRAIN_TIMEOUT", "LACUNA_REQUEST_TIMEOUT"):
        with suppress(ValueError):
            return float(environment.get(name, ""))
    return REQUEST_SECONDS


def check_startable() -> None:
    """Raises ``StackError`` where the program has not been built, or its address is taken."""
    if not program().is_file():
        raise StackError(f"{program()} is missing; build it with: cargo build --release")
    listen = os.environ.get("LACUNA_LISTEN") or LISTEN
    host, _, port = listen.rpartition(":")
    # Another server there would answer in the gateway's place while that fails to start. What
    # is no address is left to the gateway, whose message says how one is written.
    try:
        free = is_free(int(port), host.strip("[]"))
    except (ValueError, OverflowError):
        return
    if not free:
        raise StackError(f"cannot listen on {listen}; set LACUNA_LISTEN to a free address")


def program() -> Path:
    """The built gateway, whether it is there or not."""
    target = os.environ.get("CARGO_TARGET_DIR")
    return places.ROOT / (target or "target") / "release/lacuna"


def _settings(triton: Triton) -> dict[str, str]:
    given = {key: value for key, value in os.environ.items() if key.startswith("LACUNA_") and value}
    settings = {
        "LACUNA_LISTEN": LISTEN,
        "LACUNA_INPAINT_MODEL": "lama" if "lama" in triton.models else "patchmatch",
        "LACUNA_SEGMENT_MODEL": "birefnet" if "birefnet" in triton.models else "isnet",
    }
    if not is_free(ADMIN_PORT):
        settings["LACUNA_ADMIN_LISTEN"] = f"{HOST}:{free_ports(1)[0]}"
    if "LACUNA_TOKENS_FILE" not in given:
        settings["LACUNA_TOKENS"] = f"local:{TOKEN}"
    settings |= given
    settings["LACUNA_TRITON"] = f"http://{HOST}:{triton.ports.grpc}"
    if settings["LACUNA_LISTEN"].endswith(":0"):
        # The address has to be known here, to wait for it and to print it.
        settings["LACUNA_LISTEN"] = settings["LACUNA_LISTEN"][:-1] + str(free_ports(1)[0])
    return settings


def _is_local(listen: str) -> bool:
    """Whether only this machine can reach a server which listens there."""
    host = listen.rpartition(":")[0].strip("[]")
    return host in ("localhost", "::1") or host.startswith("127.")


def _address(listen: str) -> str:
    """A URL that reaches a server which listens there."""
    host, _, port = listen.rpartition(":")
    reachable = {"0.0.0.0": HOST, "[::]": "[::1]"}.get(host, host)
    return f"http://{reachable}:{port}"
