"""``setup``: unpacks Triton into a folder and adds our backend."""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from local_stack import backend, isnet, packages, places, wheels
from local_stack.machine import check_platform

_RECIPE = 2
"""Increase when the installation steps change."""


@dataclass(frozen=True)
class Installed:
    """Paths of an installed Triton."""

    folder: Path

    @property
    def server(self) -> Path:
        """The ``tritonserver`` program, which finds its libraries by itself."""
        return self.folder / "bin/tritonserver"

    @property
    def backends(self) -> Path:
        """The folder for ``--backend-directory``."""
        return self.folder / "backends"


def setup() -> Installed:
    """Installs what is missing under ``.triton``; quick if nothing is.

    Concurrent calls are safe: the second waits for the first. Raises ``StackError`` if this
    machine cannot run Triton or a step fails.
    """
    check_platform()
    packages.ensure(packages.PYTHON)
    places.TRITON_HOME.mkdir(exist_ok=True)
    with _lock():
        installed = present()
        if installed is None:
            installed = _install()
        backend.install(installed.backends)
        isnet.fetch_if_missing()
    return installed


def present() -> Installed | None:
    """What an earlier call installed, if still up to date."""
    folder = places.TRITON_HOME / f"server-{_key()[:12]}"
    pointed = places.SERVER.resolve() == folder.resolve()
    return Installed(folder) if pointed and (folder / "bin/tritonserver").is_file() else None


def _install() -> Installed:
    # A separate folder, so that servers running from an earlier one carry on.
    folder = places.TRITON_HOME / f"server-{_key()[:12]}"
    print(f"installing Triton into {folder} (about 150 MB, once)", flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=places.TRITON_HOME) as temporary:
        unfinished = Path(temporary, "server")
        wheels.install(unfinished)
        unfinished.replace(folder)
    _point_to(folder)
    _remove_unused(folder)
    return Installed(folder)


def _point_to(folder: Path) -> None:
    """Atomically makes ``.triton/server`` a link to the folder."""
    link = places.TRITON_HOME / "server.next"
    link.unlink(missing_ok=True)
    link.symlink_to(folder.name)
    link.replace(places.SERVER)


def _remove_unused(kept: Path) -> None:
    """Removes earlier installations that no server is running from."""
    running = []
    for process in Path("/proc").glob("[0-9]*/exe"):
        # A process that has exited or belongs to another user.
        with suppress(OSError):
            running.append(process.readlink())
    earlier = [*places.TRITON_HOME.glob("server-*"), *places.TRITON_HOME.glob("venv-*")]
    for folder in earlier:
        used = any(program.is_relative_to(folder) for program in running)
        if folder != kept and not used:
            shutil.rmtree(folder)


def _key() -> str:
    """A key that changes whenever Triton must be unpacked again."""
    digest = hashlib.sha256(str(_RECIPE).encode())
    digest.update(places.REQUIREMENTS.read_bytes())
    return digest.hexdigest()


@contextmanager
def _lock() -> Iterator[None]:
    with places.LOCK.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("waiting for another setup to finish", file=sys.stderr, flush=True)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
