"""``prepare``: builds the gateway while installing Triton, and reports progress."""

import shutil
import subprocess
import sys
import time

from local_stack import places
from local_stack.gateway import program
from local_stack.install import setup
from local_stack.machine import StackError
from local_stack.triton import end_process

_EXPECTED = "8 to 13 minutes on two cores, less on more"
_BUILD = ("cargo", "build", "--release", "--locked")


def prepare() -> None:
    """Returns when both are ready; quick and silent if they were already.

    Raises ``StackError`` if one of them fails, and stops the other.
    """
    if shutil.which("cargo") is None:
        raise StackError(
            "cargo is missing, which builds the gateway; https://rustup.rs installs it"
        )
    began = time.monotonic()
    first = not (program().is_file() and places.SERVER.is_dir())
    if first:
        _say(f"first start: the gateway is built while Triton is installed, {_EXPECTED}")
    build = subprocess.Popen(_BUILD, cwd=places.ROOT, stdin=subprocess.DEVNULL)
    try:
        setup()
        if first and build.poll() is None:
            _say("Triton is installed; the build goes on")
        if build.wait() != 0:
            raise StackError(f"this step failed, see its message above: {' '.join(_BUILD)}")
    finally:
        end_process(build, 10)
    if first:
        _say(f"first start: done in {(time.monotonic() - began) / 60:.1f} minutes")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
