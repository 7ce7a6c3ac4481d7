"""The command line of ``scripts/stack.py``."""

import argparse
import signal
import sys

from local_stack import commands
from local_stack.machine import StackError


def main(arguments: list[str]) -> int:
    """Runs one command and gives the exit status."""
    chosen = _parser().parse_args(arguments)
    try:
        match chosen.command:
            case "setup":
                return commands.install()
            case "deps":
                return commands.deps()
            case "dev":
                return commands.dev()
            case "prepare":
                return commands.get_ready()
            case "web":
                return commands.web()
            case "triton":
                return commands.triton()
            case "run":
                return commands.run()
            case "with-triton":
                return commands.with_triton(chosen.count, chosen.program)
            case other:
                raise AssertionError(f"no command {other}. This is a bug.")
    except StackError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except commands.Interrupted as interrupted:
        return 128 + interrupted.number
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="stack.py", description="A real Triton on this machine.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("setup", help="install what the local Triton needs, under .triton")
    commands.add_parser("deps", help="install the system packages of the Rust build")
    commands.add_parser("dev", help="setup, and what the tests need")
    commands.add_parser("prepare", help="setup, while the gateway is built")
    commands.add_parser("web", help="install what the tests of the page need")
    commands.add_parser(
        "triton",
        help="one Triton in the foreground, on TRITON_GRPC_PORT (8001), TRITON_HTTP_PORT (8000) "
        "and TRITON_METRICS_PORT (8002)",
    )
    commands.add_parser("run", help="Triton and the gateway together, until Ctrl-C")
    beside = commands.add_parser(
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
