"""The whole command line, with a real Triton; ``run`` with a double of the gateway."""

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from local_stack.ports import free_ports

STACK = Path(__file__).resolve().parents[1] / "stack.py"
DOUBLE = Path(__file__).with_name("gateway_double.py")
PATIENCE = 300


class Running:
    """A ``stack.py`` started by a test, and what it may leave behind."""

    def __init__(self, arguments: list[str], environment: dict[str, str], output: Path) -> None:
        self.output = output
        with output.open("wb") as file:
            self.process = subprocess.Popen(
                [sys.executable, str(STACK), *arguments],
                env=os.environ | environment,
                stdout=file,
                stderr=subprocess.STDOUT,
            )

    def said(self) -> str:
        return self.output.read_text()

    def wait_until_it_says(self, text: str) -> None:
        wait_until(lambda: text in self.said() or self.process.poll() is not None)
        assert text in self.said(), self.said()

    def descendants(self) -> set[int]:
        """Its child processes and their descendants."""
        listing = subprocess.run(
            ["ps", "-eo", "pid=,ppid="], capture_output=True, text=True, check=True
        )
        children: dict[int, list[int]] = {}
        for line in listing.stdout.splitlines():
            child, parent = map(int, line.split())
            children.setdefault(parent, []).append(child)
        found: set[int] = set()
        pending = [self.process.pid]
        while pending:
            for child in children.get(pending.pop(), []):
                found.add(child)
                pending.append(child)
        return found


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Running]]:
    started: list[Running] = []

    def begin(*arguments: str, **environment: str) -> Running:
        output = tmp_path / f"output-{len(started)}"
        started.append(Running(list(arguments), environment, output))
        return started[-1]

    yield begin
    for each in started:
        if each.process.poll() is None:
            each.process.terminate()
            each.process.wait(PATIENCE)


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline, "it took too long"
        time.sleep(0.1)


def none_alive(pids: set[int]) -> bool:
    return not any(is_alive(pid) for pid in pids)


def is_alive(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    # The state follows the name, which is in parentheses; Z is a zombie.
    return status.rpartition(")")[2].split()[0] != "Z"


@pytest.fixture
def gateway_settings(tmp_path: Path) -> dict[str, str]:
    """The environment of a ``run`` with the double, on separate ports."""
    program = tmp_path / "target/release/lacuna"
    program.parent.mkdir(parents=True)
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{DOUBLE}"\n')
    program.chmod(0o755)
    listen, grpc, http, metrics = free_ports(4)
    return {
        "CARGO_TARGET_DIR": str(tmp_path / "target"),
        "LACUNA_LISTEN": f"127.0.0.1:{listen}",
        "LACUNA_TOKENS": "",
        "LACUNA_TOKENS_FILE": "",
        "TRITON_GRPC_PORT": str(grpc),
        "TRITON_HTTP_PORT": str(http),
        "TRITON_METRICS_PORT": str(metrics),
        "TEST_TRITON_HEALTH": f"http://127.0.0.1:{http}/v2/health/ready",
    }


def get(settings: dict[str, str], path: str) -> str:
    address = f"http://{settings['LACUNA_LISTEN']}{path}"
    with urllib.request.urlopen(address, timeout=10) as answer:
        return str(answer.read().decode())


def test_run_starts_both_and_ctrl_c_leaves_nothing(
    start: Callable[..., Running], gateway_settings: dict[str, str]
) -> None:
    stack = start("run", **gateway_settings, LACUNA_RATE_BURST="3")
    stack.wait_until_it_says("Ctrl-C ends both programs.")
    assert f"Lacuna is ready: http://{gateway_settings['LACUNA_LISTEN']}" in stack.said()
    assert '"Authorization: Bearer local-dev-token"' in stack.said()
    listen = gateway_settings["LACUNA_LISTEN"]
    assert f"in a browser: http://{listen}/#token=local-dev-token" in stack.said()
    settings = get(gateway_settings, "/settings").splitlines()
    assert f"LACUNA_TRITON=http://127.0.0.1:{gateway_settings['TRITON_GRPC_PORT']}" in settings
    assert "LACUNA_TOKENS=local:local-dev-token" in settings
    assert "LACUNA_RATE_BURST=3" in settings
    started = stack.descendants()
    assert len(started) == 2, "a Triton, which is one process, and the gateway"

    stack.process.send_signal(signal.SIGINT)
    assert stack.process.wait(PATIENCE) == 0, "Ctrl-C is the normal end"
    assert none_alive(started)


def test_a_token_of_ones_own_is_used_and_not_printed(
    start: Callable[..., Running], gateway_settings: dict[str, str]
) -> None:
    stack = start("run", **gateway_settings | {"LACUNA_TOKENS": "me:secret-of-mine"})
    stack.wait_until_it_says("Ctrl-C ends both programs.")
    assert "LACUNA_TOKENS=me:secret-of-mine" in get(gateway_settings, "/settings")
    assert "secret-of-mine" not in stack.said()
    assert "local-dev-token" not in stack.said()

    # When the gateway dies, Triton is stopped, and the exit is an error.
    started = stack.descendants()
    with pytest.raises((urllib.error.URLError, ConnectionError)):
        get(gateway_settings, "/die")
    assert stack.process.wait(PATIENCE) == 1
    assert "error: the gateway ended with status 3" in stack.said()
    assert none_alive(started)


def test_a_triton_that_dies_ends_the_gateway_and_is_an_error(
    start: Callable[..., Running], gateway_settings: dict[str, str]
) -> None:
    stack = start("run", **gateway_settings)
    stack.wait_until_it_says("Ctrl-C ends both programs.")
    started = stack.descendants()
    (server,) = [pid for pid in started if program_of(pid) == "tritonserver"]
    os.kill(server, signal.SIGKILL)
    assert stack.process.wait(PATIENCE) == 1
    assert "error: Triton ended" in stack.said()
    wait_until(lambda: none_alive(started))


def test_run_refuses_a_taken_address_before_it_starts_anything(
    start: Callable[..., Running], gateway_settings: dict[str, str]
) -> None:
    host, _, port = gateway_settings["LACUNA_LISTEN"].rpartition(":")
    other = subprocess.Popen(
        [sys.executable, "-m", "http.server", "--bind", host, port], stderr=subprocess.DEVNULL
    )
    try:
        wait_until(lambda: not_refused(gateway_settings))
        stack = start("run", **gateway_settings)
        assert stack.process.wait(PATIENCE) == 1
        assert "set LACUNA_LISTEN to a free address" in stack.said()
    finally:
        other.terminate()
        other.wait()


def test_run_says_how_to_build_a_missing_gateway(
    start: Callable[..., Running], gateway_settings: dict[str, str], tmp_path: Path
) -> None:
    stack = start("run", **gateway_settings | {"CARGO_TARGET_DIR": str(tmp_path / "empty")})
    assert stack.process.wait(PATIENCE) == 1
    assert "build it with: cargo build --release" in stack.said()


def test_with_triton_gives_addresses_to_the_command_and_its_status_back(
    start: Callable[..., Running],
) -> None:
    program = """
import os, sys, urllib.request
first, second = os.environ["LACUNA_TEST_TRITON"].split(",")
assert first != second
for address in os.environ["LACUNA_TEST_TRITON_METRICS"].split(","):
    assert b"nv_inference" in urllib.request.urlopen(address + "/metrics").read()
print("seen", flush=True)
sys.exit(7)
"""
    stack = start("with-triton", "--count", "2", "--", sys.executable, "-c", program)
    assert stack.process.wait(PATIENCE) == 7
    assert "seen" in stack.said()


def test_a_stack_that_is_killed_takes_its_triton_along(start: Callable[..., Running]) -> None:
    stack = start("with-triton", "--", "sh", "-c", "echo begun; exec sleep 600")
    stack.wait_until_it_says("begun")
    started = stack.descendants()
    sleeping = {pid for pid in started if program_of(pid) == "sleep"}
    stack.process.kill()
    stack.process.wait()
    wait_until(lambda: none_alive(started - sleeping))
    for pid in sleeping:
        os.kill(pid, signal.SIGKILL)


def test_a_signal_ends_the_command_and_triton(start: Callable[..., Running]) -> None:
    stack = start("with-triton", "--", "sh", "-c", "echo begun; exec sleep 600")
    stack.wait_until_it_says("begun")
    started = stack.descendants()
    assert "sleep" in {program_of(pid) for pid in started}
    stack.process.terminate()
    assert stack.process.wait(PATIENCE) == 128 + signal.SIGTERM
    assert none_alive(started)


def test_a_command_that_does_not_exist_is_an_error(start: Callable[..., Running]) -> None:
    stack = start("with-triton", "--", "/no/such/program")
    assert stack.process.wait(PATIENCE) == 1
    assert "/no/such/program is no program" in stack.said()


def program_of(pid: int) -> str:
    """The name of a process's program."""
    try:
        return Path(f"/proc/{pid}/exe").readlink().name
    except OSError:
        return ""


def not_refused(settings: dict[str, str]) -> bool:
    try:
        get(settings, "/")
    except OSError:
        return False
    return True
