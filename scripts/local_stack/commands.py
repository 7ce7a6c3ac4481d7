"""The commands. Each returns its exit status."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import FrameType

from local_stack import isnet, packages, places, ports
from local_stack.gateway import TOKEN, Gateway, check_startable
from local_stack.install import setup
from local_stack.machine import StackError
from local_stack.ports import HOST, Ports
from local_stack.prepare import prepare
from local_stack.triton import START_SECONDS, Triton, end_process


class Interrupted(BaseException):
    """A signal asked this process to exit."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def deps() -> int:
    """Installs the system packages of the Rust build."""
    packages.ensure(packages.RUST_BUILD)
    return 0


def install() -> int:
    """Installs what the local Triton needs."""
    setup()
    return 0


def dev() -> int:
    """Installs what the tests need in addition to the local Triton."""
    packages.ensure(packages.TESTS)
    setup()
    return 0


def get_ready() -> int:
    """Builds the gateway and installs what the local Triton needs."""
    prepare()
    return 0


def web() -> int:
    """Installs what the tests of the page need."""
    packages.ensure(packages.WEB)
    return 0


def triton() -> int:
    """Runs one Triton in the foreground until a signal."""
    installed = setup()
    wanted = ports.exact_ports()
    with _signals_end_it(), ExitStack() as stack:
        server = Triton(installed, wanted, log=None)
        stack.callback(server.stop)
        server.wait_ready()
        _say(_serving(server))
        while server.exit_status() is None:
            time.sleep(0.2)
        raise StackError(f"Triton ended with status {server.exit_status()}; its output is above")
    return 0


def run() -> int:
    """Runs Triton and the gateway until a signal or until one of them exits."""
    check_startable()
    installed = setup()
    with _signals_end_it(), ExitStack() as stack:
        server = Triton(installed, ports.near_ports(), log=_log("triton"))
        stack.callback(server.stop)
        gateway = Gateway(server)
        stack.callback(gateway.stop)
        _watch(server, gateway, until_ready=True)
        _say(_serving(server))
        _say(_greeting(gateway))
        _watch(server, gateway, until_ready=False)
    return 0


def with_triton(count: int, command: list[str]) -> int:
    """Runs a command alongside ``count`` Tritons; returns the command's exit status."""
    installed = setup()
    if shutil.which(command[0]) is None:
        raise StackError(f"{command[0]} is no program that can be run")
    with _signals_interrupt(), ExitStack() as stack:
        servers = []
        for number in range(count):
            chosen = ports.free_ports(3)
            server = Triton(installed, Ports(*chosen), log=_log(f"triton-{number}"))
            stack.callback(server.stop)
            servers.append(server)
        for server in servers:
            server.wait_ready()
        addresses = {
            "LACUNA_TEST_TRITON": [f"http://{HOST}:{server.ports.grpc}" for server in servers],
            "LACUNA_TEST_TRITON_METRICS": [
                f"http://{HOST}:{server.ports.metrics}" for server in servers
            ],
        }
        environment = os.environ | {name: ",".join(urls) for name, urls in addresses.items()}
        process = subprocess.Popen(command, env=environment)
        stack.callback(end_process, process, 10)
        status = process.wait()
        for server in servers:
            if server.exit_status() is not None:
                _say(f"warning: a Triton ended before the command. {server.last_words()}")
    return status if status >= 0 else 128 - status


def _watch(server: Triton, gateway: Gateway, *, until_ready: bool) -> None:
    """Waits; raises ``StackError`` when either program exits."""
    deadline = time.monotonic() + START_SECONDS
    while not (until_ready and gateway.ready()):
        if gateway.exit_status() is not None:
            raise StackError(f"the gateway ended with status {gateway.exit_status()}")
        if server.exit_status() is not None:
            raise StackError(f"Triton ended. {server.last_words()}")
        if until_ready and time.monotonic() > deadline:
            raise StackError(f"not ready in {START_SECONDS} s. {server.last_words()}")
        time.sleep(0.2)


def _serving(server: Triton) -> str:
    chosen = server.ports
    missing = "" if isnet.present() else " (without isnet: its weights are missing)"
    return (
        f"Triton serves {', '.join(server.models)}{missing} on {HOST}: "
        f"gRPC {chosen.grpc}, HTTP {chosen.http}, metrics {chosen.metrics}"
    )


def _greeting(gateway: Gateway) -> str:
    token = TOKEN if gateway.uses_default_token else "$TOKEN"
    lines = [f"Lacuna is ready: {gateway.address}"]
    if gateway.uses_default_token:
        lines.append(f"token: {TOKEN}")
        # Browsers never send what follows the hash, and the page removes it from the address at
        # once. Printed only for the well-known token on a local address.
        if gateway.is_local:
            lines.append(f"in a browser: {gateway.address}/#token={TOKEN}")
    lines += [
        "try:",
        f'  curl -H "Authorization: Bearer {token}" -F file=@tests/photos/rocket.jpg '
        f"-F x=295 -F y=70 -F w=75 -F h=330 {gateway.address}/inpaint -o out.png",
        "Ctrl-C ends both programs.",
    ]
    return "\n".join(lines)


def _log(name: str) -> Path:
    """A log file for a server of this process; removes those of processes that have exited."""
    places.LOGS.mkdir(exist_ok=True)
    for old in places.LOGS.glob("*.log"):
        if not Path("/proc", old.name.partition("-")[0]).exists():
            old.unlink(missing_ok=True)
    return places.LOGS / f"{os.getpid()}-{name}.log"


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


@contextmanager
def _signals_end_it() -> Iterator[None]:
    """For commands that run until told to stop: a signal is their normal end."""
    with suppress(Interrupted), _signals_interrupt():
        yield


@contextmanager
def _signals_interrupt() -> Iterator[None]:
    """Turns the first termination signal into ``Interrupted``; ignores later ones."""
    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def interrupt(number: int, _frame: FrameType | None) -> None:
        for each in signals:
            signal.signal(each, signal.SIG_IGN)
        raise Interrupted(number)

    for each in signals:
        signal.signal(each, interrupt)
    yield
