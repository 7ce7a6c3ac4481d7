"""What this machine offers, and what it lacks."""

import json
import os
import platform
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

# numpy below 2 has wheels up to 3.12; this code needs 3.11.
PYTHONS = ("3.11", "3.12")
GLIBC = (2, 35)

_DESCRIBE = """
import json, os, sys, sysconfig
folders = [sysconfig.get_config_var("LIBDIR"), sysconfig.get_config_var("LIBPL"),
           "/usr/lib/x86_64-linux-gnu", "/usr/lib64", "/usr/lib"]
shared = "libpython%d.%d.so.1.0" % sys.version_info[:2]
found = [f for f in folders if f and os.path.exists(os.path.join(f, shared))]
try:
    import ensurepip
    venv = True
except ImportError:
    venv = False
print(json.dumps({"executable": sys.executable, "version": "%d.%d" % sys.version_info[:2],
                  "library": found[0] if found else None, "venv": venv}))
"""


class StackError(Exception):
    """Something a person has to settle; the message says what and how."""


@dataclass(frozen=True)
class Python:
    """An interpreter that can serve Triton's Python models."""

    executable: Path
    version: str
    """Major and minor, as in "3.11"."""
    library: Path | None
    """The folder of libpython3.x.so.1.0; None where the interpreter has no shared library."""
    can_make_venv: bool


def check_platform() -> None:
    """Raises ``StackError`` where Triton's wheel cannot run at all."""
    system, machine = platform.system(), platform.machine()
    if (system, machine) != ("Linux", "x86_64"):
        raise StackError(
            f"a local Triton needs Linux on x86-64, this is {system} on {machine}. Run Triton "
            "on another machine and start the gateway alone, with LACUNA_TRITON set to it."
        )
    library, version = platform.libc_ver()
    numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
    if library != "glibc" or numbers < GLIBC:
        raise StackError(
            f"a local Triton needs glibc {GLIBC[0]}.{GLIBC[1]} or later, this machine has "
            f"{library or 'another C library'} {version}. Debian 12 and Ubuntu 22.04 have it; "
            "or run Triton elsewhere and start the gateway alone, with LACUNA_TRITON set to it."
        )


def find_python() -> Python:
    """The interpreter for Triton's models: this one if it fits, else one from PATH.

    Raises ``StackError`` where there is none.
    """
    candidates = [sys.executable, *(shutil.which(f"python{version}") for version in PYTHONS)]
    for candidate in candidates:
        python = _describe(candidate) if candidate else None
        if python and python.version in PYTHONS:
            return python
    raise StackError(
        f"Triton's models need Python {' or '.join(PYTHONS)}, and this is Python "
        f"{platform.python_version()}. Install one of them (apt-get install python3.11) "
        "so that it is on PATH as python3.11 or python3.12."
    )


def _describe(executable: str) -> Python | None:
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONHOME"}
    done = subprocess.run(
        [executable, "-c", _DESCRIBE], capture_output=True, text=True, env=environment, check=False
    )
    if done.returncode != 0:
        return None
    facts = json.loads(done.stdout)
    library = Path(facts["library"]) if facts["library"] else None
    return Python(Path(facts["executable"]), facts["version"], library, facts["venv"])
