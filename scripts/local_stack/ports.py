"""Free ports on loopback."""

from __future__ import annotations

import os
import socket
from contextlib import ExitStack
from dataclasses import dataclass

from local_stack.machine import StackError

HOST = "127.0.0.1"
VARIABLES = {"TRITON_GRPC_PORT": 8001, "TRITON_HTTP_PORT": 8000, "TRITON_METRICS_PORT": 8002}


@dataclass(frozen=True)
class Ports:
    """The three ports of one Triton, all on loopback."""

    grpc: int
    http: int
    metrics: int


def wanted_ports() -> Ports:
    """The ports set in the environment, or Triton's defaults."""
    return Ports(*(_wanted(variable) for variable in VARIABLES))


def exact_ports() -> Ports:
    """The wanted ports; raises ``StackError`` if one is in use."""
    wanted = wanted_ports()
    for variable, port in zip(VARIABLES, (wanted.grpc, wanted.http, wanted.metrics)):
        if not is_free(port):
            raise StackError(f"port {port} is taken; set {variable} to a free one")
    return wanted


def near_ports() -> Ports:
    """The wanted ports, with those in use replaced by free ones."""
    wanted = wanted_ports()
    spare = iter(free_ports(3))
    return Ports(
        *(
            port if is_free(port) else next(spare)
            for port in (wanted.grpc, wanted.http, wanted.metrics)
        )
    )


def free_ports(count: int) -> list[int]:
    """``count`` different ports that are free at the moment."""
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind((HOST, 0))
        return [int(each.getsockname()[1]) for each in sockets]


def is_free(port: int, host: str = HOST) -> bool:
    """Whether this process could bind the port."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def _wanted(variable: str) -> int:
    text = os.environ.get(variable, "")
    if not text:
        return VARIABLES[variable]
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= 65535:
        raise StackError(f"{variable} must be a port, 1 to 65535, and is {text!r}")
    return int(text)
