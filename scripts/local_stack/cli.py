"""The command line of ``scripts/stack.py``."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Callable

from local_stack import commands
from local_stack.machine import StackError


def main(arguments: list[str]) -> int:
    """Runs one command and returns the exit status."""
    chosen = _parser().parse_args(arguments)
    try:
        if chosen.command == "with-triton":
            return commands.with_triton(chosen.count, chosen.program)
        return _COMMANDS[chosen.command][0]()
    except StackError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except commands.Interrupted as interrupted:
        return 128 + interrupted.number
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


_COMMANDS: dict[str, tuple[Callable[[], int], str]] = {
    "setup": (commands.install, "install what the local Triton needs, under .triton"),
    "deps": (commands.deps, "install the system packages of the Rust build"),
    "dev": (commands.dev, "setup, and what the tests need"),
    "prepare": (commands.get_ready, "setup, while the gateway is built"),
    "web": (commands.web, "install what the tests of the page need"),
    "triton": (
        commands.triton,
        "one Triton in the foreground, on TRITON_GRPC_PORT (8001), TRITON_HTTP_PORT (8000) "
        "and TRITON_METRICS_PORT (8002)",
    ),
    "run": (commands.run, "Triton and the gateway together, until Ctrl-C"),
}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="stack.py", description="A real Triton on this machine.")
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, (_, text) in _COMMANDS.items():
        subparsers.add_parser(name, help=text)
    beside = subparsers.add_parser(
        "with-triton",
        help="run a command beside fresh Tritons, their addresses in LACUNA_TEST_TRITON and "
        "LACUNA_TEST_TRITON_METRICS",
    )
    beside.add_argument("--count", type=_count, default=1, help="how many Tritons (1)")
    beside.add_argument("program", nargs="+", metavar="-- CMD", help="the command")
    return parser


def _count(text: str) -> int:
    count = int(text)
    if count < 1:
        raise ValueError
    return count
