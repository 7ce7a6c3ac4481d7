"""Where everything lies, and running the programs that check it."""

import os
import subprocess
from pathlib import Path

DEPLOY = Path(__file__).resolve().parents[1]
ROOT = DEPLOY.parent
CHART = DEPLOY / "helm/lacuna"
PROMETHEUS = DEPLOY / "prometheus"


def tool(name: str, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Runs a program of ``.venv/bin``; its status is left to the caller.

    No setting of the caller's environment reaches it, since Compose would take it over.
    """
    environment = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), **variables}
    return subprocess.run(
        [str(DEPLOY / ".venv/bin" / name), *arguments],
        cwd=ROOT,
        env=environment,
        text=True,
        capture_output=True,
        check=False,
    )


def output(name: str, *arguments: str, **variables: str) -> str:
    """What the program says; fails with its errors where it fails."""
    done = tool(name, *arguments, **variables)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
