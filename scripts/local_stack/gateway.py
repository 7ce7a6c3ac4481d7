"""The gateway process of ``run``: settings, start and shutdown."""

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
"""Default request timeout, and with it the default drain timeout, in seconds."""
AIR_SECONDS = 5.0


class Gateway:
    """A running gateway in front of one Triton; inherits every LACUNA_ variable."""

    def __init__(self, triton: Triton) -> None:
        """Starts it; call ``check_startable`` first."""
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
        """Whether it accepts requests and sees its model."""
        return answers_ok(f"{self.address}/readyz")

    def exit_status(self) -> int | None:
        """None while running."""
        return self._process.poll()

    def stop(self) -> int:
        """Stops it after draining; returns its exit status."""
        return end_process(self._process, drain_seconds(os.environ) + AIR_SECONDS)


def drain_seconds(environment: Mapping[str, str]) -> float:
    """How long draining may take; the gateway itself refuses invalid settings."""
    for name in ("LACUNA_DRAIN_TIMEOUT", "LACUNA_REQUEST_TIMEOUT"):
        with suppress(ValueError):
            return float(environment.get(name, ""))
    return REQUEST_SECONDS


def check_startable() -> None:
    """Raises ``StackError`` if the program has not been built or its address is in use."""
    if not program().is_file():
        raise StackError(f"{program()} is missing; build it with: cargo build --release")
    listen = os.environ.get("LACUNA_LISTEN") or LISTEN
    host, _, port = listen.rpartition(":")
    # Another server there would answer in place of the gateway, which would fail to start.
    # Invalid addresses are left to the gateway, whose message explains the format.
    try:
        free = is_free(int(port), host.strip("[]"))
    except (ValueError, OverflowError):
        return
    if not free:
        raise StackError(f"cannot listen on {listen}; set LACUNA_LISTEN to a free address")


def program() -> Path:
    """Path of the built gateway, which may not exist."""
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
        # The address must be known here, to wait for it and print it.
        settings["LACUNA_LISTEN"] = settings["LACUNA_LISTEN"][:-1] + str(free_ports(1)[0])
    return settings


def _is_local(listen: str) -> bool:
    """Whether a server listening there is reachable only from this machine."""
    host = listen.rpartition(":")[0].strip("[]")
    return host in ("localhost", "::1") or host.startswith("127.")


def _address(listen: str) -> str:
    """A URL for reaching a server that listens there."""
    host, _, port = listen.rpartition(":")
    reachable = {"0.0.0.0": HOST, "[::]": "[::1]"}.get(host, host)
    return f"http://{reachable}:{port}"
