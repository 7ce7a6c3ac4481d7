"""``setup``: a virtual environment with Triton and what its Python models need."""

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from local_stack import backend, isnet, packages, places
from local_stack.machine import StackError, check_platform, find_python

_RECIPE = 1
"""To be raised when the steps of an installation change."""


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
        backend.install(installed.backends)
        isnet.fetch_if_missing()
    return installed


def install_dev_tools(installed: Installed) -> None:
    """Adds the tools that check the Python code; quick when they are there."""
    wanted = hashlib.sha256(places.DEV_REQUIREMENTS.read_bytes()).hexdigest()
    stamp = installed.site_packages / "lacuna-dev-tools"
    with _lock():
        if stamp.is_file() and stamp.read_text() == wanted:
            return
        _pip_install(places.VENV, places.DEV_REQUIREMENTS)
        stamp.write_text(wanted)


def _install() -> Installed:
    packages.ensure(packages.python_needs(find_python().version))
    python = find_python()
    assert python.library, "ensure() raises where there is none. This is a bug."
    # A folder of its own: a server that runs from an earlier environment goes on.
    folder = places.TRITON_HOME / f"venv-{_key()[:12]}"
    print(f"installing Triton into {folder} (about 400 MB, once)", flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    _step([str(python.executable), "-m", "venv", str(folder)])
    _pip_install(folder, *places.REQUIREMENTS)
    site_packages = folder / f"lib/python{python.version}/site-packages"
    installed = Installed(site_packages, python.library)
    stub = f"pytriton/tritonserver/python_backend_stubs/{python.version}/triton_python_backend_stub"
    shutil.copy2(site_packages / stub, installed.backends / "python")
    # Triton's Python processes ignore PYTHONPATH; a .pth file is how they find shared code.
    (site_packages / "lacuna_triton.pth").write_text(f"{places.SHARED_PYTHON}\n")
    _point_venv_to(folder)
    _write_stamp(installed)
    _remove_unused(folder)
    return installed


def _point_venv_to(folder: Path) -> None:
    """Makes ``.triton/venv`` a link to the environment, in one step."""
    link = places.TRITON_HOME / "venv-next"
    link.unlink(missing_ok=True)
    link.symlink_to(folder.name)
    link.replace(places.VENV)


def _remove_unused(kept: Path) -> None:
    """Removes earlier environments that no server runs from."""
    running = []
    for process in Path("/proc").glob("[0-9]*/exe"):
        # A process that has ended, or is another user's.
        with suppress(OSError):
            running.append(process.readlink())
    for folder in places.TRITON_HOME.glob("venv-*"):
        used = any(program.is_relative_to(folder) for program in running)
        if folder != kept and not used:
            shutil.rmtree(folder)


def _write_stamp(installed: Installed) -> None:
    stamp = {
        "key": _key(),
        "site_packages": str(installed.site_packages),
        "python_library": str(installed.python_library),
    }
    places.STAMP.write_text(json.dumps(stamp, indent=2) + "\n")


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
    digest = hashlib.sha256(f"{_RECIPE} {places.ROOT}".encode())
    for file in places.REQUIREMENTS:
        digest.update(file.read_bytes())
    return digest.hexdigest()


def _pip_install(environment: Path, *requirements: Path) -> None:
    pip = [str(environment / "bin/python"), "-m", "pip", "--disable-pip-version-check", "install"]
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
