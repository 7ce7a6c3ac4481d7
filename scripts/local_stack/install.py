"""``setup``: a virtual environment with Triton and what its Python models need."""

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from local_stack import isnet, packages, places
from local_stack.machine import StackError, check_platform, find_python


@dataclass(frozen=True)
class Installed:
    """Where the parts of an installed Triton lie."""

    site_packages: Path
    python_library: Path

    @property
    def server(self) -> Path:
        """The ``tritonserver`` program."""
        return self.site_packages / "pytriton/tritonserver/bin/tritonserver"

    @property
    def backends(self) -> Path:
        """The folder for ``--backend-directory``."""
        return self.site_packages / "pytriton/tritonserver/backends"

    @property
    def libraries(self) -> tuple[Path, ...]:
        """The folders for ``LD_LIBRARY_PATH``."""
        return (self.site_packages / "nvidia_pytriton.libs", self.python_library)


def setup() -> Installed:
    """Installs what is missing under ``.triton``; quick when all is there.

    Two calls at once are safe: the second waits for the first. Raises ``StackError`` where
    this machine cannot run Triton or an install step fails.
    """
    check_platform()
    places.TRITON_HOME.mkdir(exist_ok=True)
    with _lock():
        installed = _from_stamp()
        if installed is None:
            installed = _install()
        isnet.fetch_if_missing()
    return installed


def install_dev_tools(installed: Installed) -> None:
    """Adds the tools that check the Python code; quick when they are there."""
    wanted = hashlib.sha256(places.DEV_REQUIREMENTS.read_bytes()).hexdigest()
    stamp = installed.site_packages / "lacuna-dev-tools"
    with _lock():
        if stamp.is_file() and stamp.read_text() == wanted:
            return
        _pip_install(places.DEV_REQUIREMENTS)
        stamp.write_text(wanted)


def _install() -> Installed:
    python = find_python()
    if packages.ensure(packages.python_needs(python)):
        python = find_python()
    if python.library is None:
        raise StackError(f"{python.executable} has no libpython{python.version}.so.1.0")
    print(f"installing Triton into {places.VENV} (about 400 MB, once)", flush=True)
    places.STAMP.unlink(missing_ok=True)
    shutil.rmtree(places.VENV, ignore_errors=True)
    _step([str(python.executable), "-m", "venv", str(places.VENV)])
    _pip_install(*places.REQUIREMENTS)
    site_packages = places.VENV / f"lib/python{python.version}/site-packages"
    installed = Installed(site_packages, python.library)
    stub = f"pytriton/tritonserver/python_backend_stubs/{python.version}/triton_python_backend_stub"
    shutil.copy2(site_packages / stub, installed.backends / "python")
    # Triton's Python processes ignore PYTHONPATH; a .pth file is how they find shared code.
    (site_packages / "lacuna_triton.pth").write_text(f"{places.SHARED_PYTHON}\n")
    stamp = {
        "key": _key(),
        "site_packages": str(site_packages),
        "python_library": str(python.library),
    }
    places.STAMP.write_text(json.dumps(stamp, indent=2) + "\n")
    return installed


def _from_stamp() -> Installed | None:
    """What an earlier call installed, if it is still what this one would install."""
    try:
        stamp = json.loads(places.STAMP.read_text())
        if stamp["key"] != _key():
            return None
        installed = Installed(Path(stamp["site_packages"]), Path(stamp["python_library"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    whole = installed.server.is_file() and (places.VENV / "bin/python3").exists()
    return installed if whole and installed.python_library.is_dir() else None


def _key() -> str:
    """Changes whenever the environment has to be made anew."""
    digest = hashlib.sha256(str(places.ROOT).encode())
    for file in (*places.REQUIREMENTS, Path(__file__)):
        digest.update(file.read_bytes())
    return digest.hexdigest()


def _pip_install(*requirements: Path) -> None:
    pip = [str(places.VENV / "bin/python"), "-m", "pip", "--disable-pip-version-check", "install"]
    pip += ["--quiet", "--no-deps", "--require-hashes", "--only-binary", ":all:"]
    for file in requirements:
        pip += ["--requirement", str(file)]
    _step(pip)


def _step(command: list[str]) -> None:
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    if subprocess.run(command, env=environment, check=False).returncode != 0:
        raise StackError(f"this step failed, see its message above: {' '.join(command)}")


@contextmanager
def _lock() -> Iterator[None]:
    with places.LOCK.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("waiting for another setup to finish", file=sys.stderr, flush=True)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
