"""``setup``: builds the models' backend and installs it into Triton."""

from __future__ import annotations

import filecmp
import shutil
import subprocess
from pathlib import Path

from local_stack import places
from local_stack.machine import StackError

NAME = "libtriton_lacuna.so"


def install(backends: Path, *features: str) -> None:
    """Builds the backend and installs it into a backend folder; quick if it is up to date.

    Raises ``StackError`` if the build fails.
    """
    built = _build(*features)
    installed = backends / "lacuna" / NAME
    if installed.is_file() and filecmp.cmp(built, installed, shallow=False):
        return
    installed.parent.mkdir(parents=True, exist_ok=True)
    # A running server keeps the file it has loaded.
    following = installed.with_suffix(".next")
    shutil.copy2(built, following)
    following.replace(installed)


def _build(*features: str) -> Path:
    if shutil.which("cargo") is None:
        raise StackError(
            "cargo is missing, which builds the backend of Triton's models; "
            "https://rustup.rs installs it"
        )
    # A separate folder: the caller's may be locked by a build that waits for this Triton.
    target = places.TRITON_HOME / "-".join(["target", *features])
    build = ["cargo", "build", "--quiet", "--release", "--locked", "--package=triton-backend"]
    build += [f"--target-dir={target}", *(f"--features={feature}" for feature in features)]
    if subprocess.run(build, cwd=places.ROOT, check=False).returncode != 0:
        raise StackError(f"this step failed, see its message above: {' '.join(build)}")
    return target / "release" / NAME
