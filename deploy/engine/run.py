"""Running programs, and waiting."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).resolve().parents[2]


class Failure(Exception):
    """What ends the program, with the reason."""


def program(main: Callable[[], int]) -> NoReturn:
    """Ends this process with what ``main`` gives, or with the reason of its failure."""
    try:
        sys.exit(main())
    except Failure as failure:
        sys.exit(f"error: {failure}")


def run(
    *command: str | Path,
    check: bool = True,
    log: Path | None = None,
    variables: Mapping[str, str] | None = None,
    folder: Path = ROOT,
    given: bytes | None = None,
) -> subprocess.CompletedProcess[str]:
    """Runs a program to its end. Its output is kept, or goes to the end of ``log``."""
    environment = {**os.environ, **(variables or {})}
    if log:
        with log.open("ab") as file:
            raw = subprocess.run(
                command, cwd=folder, env=environment, stdout=file, stderr=file, check=False,
                input=given,
            )  # fmt: skip
    else:
        raw = subprocess.run(
            command, cwd=folder, env=environment, input=given, capture_output=True, check=False
        )
    done = subprocess.CompletedProcess(
        raw.args,
        raw.returncode,
        (raw.stdout or b"").decode(errors="replace"),
        (raw.stderr or b"").decode(errors="replace"),
    )
    said = f"see {log}" if log else done.stdout + done.stderr
    if check and done.returncode:
        raise Failure(f"{' '.join(map(str, command))} ended with {done.returncode}: {said}")
    return done


def output(*command: str | Path, **options: Mapping[str, str]) -> str:
    """What a program says on standard output."""
    return run(*command, variables=options.get("variables")).stdout.strip()


def wait_until(what: str, holds: Callable[[], bool], seconds: float, pause: float = 0.2) -> float:
    """Seconds until something holds; ``Failure`` where it does not in time."""
    begin = time.monotonic()
    while not holds():
        if time.monotonic() - begin > seconds:
            raise Failure(f"{what}: not within {seconds:.0f} s")
        time.sleep(pause)
    return time.monotonic() - begin
