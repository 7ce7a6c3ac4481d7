"""Checks what this machine supports."""

from __future__ import annotations

import platform

GLIBC = (2, 35)


class StackError(Exception):
    """A problem that the user must solve; the message says what and how."""


def check_platform() -> None:
    """Raises ``StackError`` if Triton's wheel cannot run on this platform."""
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
