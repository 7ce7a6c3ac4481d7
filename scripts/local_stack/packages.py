"""System packages: checks for them and installs missing ones with apt-get."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from local_stack.machine import StackError


@dataclass(frozen=True)
class Need:
    """A Debian package that something needs."""

    package: str
    purpose: str
    present: Callable[[], bool]


def _program(name: str) -> Callable[[], bool]:
    return lambda: shutil.which(name) is not None


def _libde265() -> bool:
    folders = (Path("/usr/include"), Path("/usr/local/include"))
    return any((folder / "libde265/de265.h").is_file() for folder in folders)


RUST_BUILD = (
    Need("g++", "building libheif", _program("c++")),
    Need("cmake", "building libheif", _program("cmake")),
    Need("nasm", "building the image codecs", _program("nasm")),
    Need("pkg-config", "finding libde265", _program("pkg-config")),
    Need("libde265-dev", "reading HEIC", _libde265),
)

TESTS = (
    Need("libjpeg-turbo-progs", "making and reading JPEG files", _program("cjpeg")),
    Need("netpbm", "reading PNG files", _program("pngtopam")),
    Need("pngcheck", "checking PNG files", _program("pngcheck")),
    Need("redis-server", "sharing quotas", _program("redis-server")),
    Need("curl", "running the example with curl", _program("curl")),
    Need("golang-go", "running the example in Go", _program("go")),
)
"""Codecs to compare with, a server for shared quotas, and runtimes for the examples."""


WEB = (
    Need("npm", "installing what the tests of the page need", _program("npm")),
    Need("chromium", "opening the page", _program("chromium")),
)
"""Packages for the tests of the page."""


PYTHON = (
    Need(
        f"python{sys.version_info[0]}.{sys.version_info[1]}-venv",
        "fetching Triton's wheels with pip",
        lambda: importlib.util.find_spec("ensurepip") is not None,
    ),
)
"""What this interpreter needs that Debian packages separately."""


def ensure(needs: tuple[Need, ...]) -> bool:
    """Installs what is missing and says so; returns False if nothing was.

    Raises ``StackError`` with the command to run if this user may not install packages or
    the machine has no apt-get.
    """
    missing = [need for need in needs if not need.present()]
    if not missing:
        return False
    listing = ", ".join(f"{need.package} ({need.purpose})" for need in missing)
    install = ["apt-get", "install", "-y", "--no-install-recommends"]
    install += [need.package for need in missing]
    if shutil.which("apt-get") is None:
        raise StackError(
            f"missing: {listing}. These are Debian's names; install them with this system's "
            "package manager."
        )
    prefix = _become_root()
    if prefix is None:
        raise StackError(f"missing: {listing}. Install with: sudo {' '.join(install)}")
    print(f"installing {listing}", flush=True)
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    for command in (["apt-get", "update", "-q"], [*install, "-q"]):
        done = subprocess.run([*prefix, *command], env=environment, check=False)
        if done.returncode != 0:
            raise StackError(f"{' '.join(command)} failed; see its message above")
    still = [need.package for need in missing if not need.present()]
    if still:
        raise StackError(f"installed {', '.join(still)}, but still cannot find it")
    return True


def _become_root() -> list[str] | None:
    """Prefix for a command that needs root; None if this user cannot become root."""
    if os.geteuid() == 0:
        return []
    if shutil.which("sudo") is None:
        return None
    asks_nothing = subprocess.run(["sudo", "-n", "true"], capture_output=True, check=False)
    return ["sudo", "-n"] if asks_nothing.returncode == 0 else None
