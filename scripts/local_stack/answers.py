"""Checks whether a server responds, and waits until it does."""

from __future__ import annotations

import subprocess
import time
import urllib.error
import urllib.request

from local_stack.machine import StackError


def answers_ok(url: str) -> bool:
    """Whether a GET of ``url`` returns 200."""
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except (OSError, urllib.error.URLError):
        return False


def wait_until_ok(url: str, server: subprocess.Popen[bytes], seconds: float) -> None:
    """Waits until a GET of ``url`` returns 200.

    Raises ``StackError`` if ``server`` exits first or it takes longer than ``seconds``.
    """
    deadline = time.monotonic() + seconds
    while not answers_ok(url):
        if server.poll() is not None:
            raise StackError(
                f"the server ended with status {server.returncode} before {url} answered"
            )
        if time.monotonic() > deadline:
            raise StackError(f"{url} did not answer in {seconds:.0f} s")
        time.sleep(0.02)
