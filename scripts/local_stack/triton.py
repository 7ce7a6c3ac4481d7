"""One Triton process on loopback: start, readiness, shutdown."""

from __future__ import annotations

import ctypes
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from local_stack import isnet, places
from local_stack.answers import answers_ok
from local_stack.install import Installed
from local_stack.machine import StackError
from local_stack.ports import HOST, Ports

START_SECONDS = 300
"""Enough to load all models on a slow, busy machine."""
EXIT_SECONDS = 10
"""How long inferences in flight may take to finish at shutdown."""

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)


def models_here() -> list[str]:
    """The models that can be served with the files on this machine, in a fixed order."""
    models = ["patchmatch"]
    if isnet.present():
        models.append("isnet")
    for published in ("lama", "birefnet"):
        folder = places.REPOSITORY / published
        if (folder / "configs/cpu.pbtxt").is_file() and any(folder.glob("1/*.onnx")):
            models.append(published)
    return models


class Triton:
    """A running ``tritonserver``, which is one process.

    Stopped by ``stop``, or by the kernel if this process dies first.
    """

    def __init__(
        self,
        installed: Installed,
        ports: Ports,
        log: Path | None,
        models: Sequence[str] = (),
        repository: Path = places.REPOSITORY,
        backends: Path | None = None,
    ) -> None:
        """Starts a server; its output goes to ``log``, or else to the terminal.

        Serves these ``models`` of ``repository``, by default all that can be served here, with
        the installed ``backends`` unless given others.
        """
        self.ports = ports
        self.models = list(models) or models_here()
        self._repository = repository
        self._backends = backends or installed.backends
        self.log = log
        output = log.open("wb") if log else None
        try:
            self._process = subprocess.Popen(
                self._command(installed),
                cwd=places.TRITON_HOME,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT if output else None,
                start_new_session=True,
                preexec_fn=end_with_parent,
            )
        finally:
            if output:
                output.close()

    def _command(self, installed: Installed) -> list[str]:
        return [
            str(installed.server),
            f"--model-repository={self._repository}",
            f"--backend-directory={self._backends}",
            "--model-control-mode=explicit",
            *(f"--load-model={model}" for model in self.models),
            # Models without this configuration use their config.pbtxt.
            "--model-config-name=cpu",
            "--strict-readiness=true",
            f"--exit-timeout-secs={EXIT_SECONDS}",
            "--allow-gpu-metrics=false",
            f"--grpc-address={HOST}",
            f"--grpc-port={self.ports.grpc}",
            f"--http-address={HOST}",
            f"--http-port={self.ports.http}",
            f"--metrics-address={HOST}",
            f"--metrics-port={self.ports.metrics}",
        ]

    def exit_status(self) -> int | None:
        """None while running."""
        return self._process.poll()

    def send(self, number: signal.Signals) -> None:
        """Sends a signal to the server if it is still running."""
        self._process.send_signal(number)

    def is_ready(self) -> bool:
        """Whether the server and all its models are ready."""
        return answers_ok(f"http://{HOST}:{self.ports.http}/v2/health/ready")

    def wait_ready(self) -> None:
        """Waits until the server and all its models are ready.

        Raises ``StackError`` if it exits or takes longer than ``START_SECONDS``.
        """
        deadline = time.monotonic() + START_SECONDS
        while not self.is_ready():
            if self.exit_status() is not None:
                raise StackError(f"Triton ended before it was ready. {self.last_words()}")
            if time.monotonic() > deadline:
                raise StackError(f"Triton was not ready in {START_SECONDS} s. {self.last_words()}")
            time.sleep(0.1)

    def last_words(self) -> str:
        """The end of its output, for an error message."""
        if self.log is None:
            return "Its output is above."
        lines = self.log.read_text(errors="replace").splitlines()
        return "\n".join([f"The end of {self.log}:", *lines[-20:]])

    def stop(self) -> None:
        """Stops the server; never fails."""
        end_process(self._process, EXIT_SECONDS + 5)


def end_process(process: subprocess.Popen[bytes], patience: float) -> int:
    """Terminates a process, kills it after ``patience`` seconds; returns its exit status."""
    if process.poll() is None:
        process.terminate()
    try:
        return process.wait(patience)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def end_with_parent() -> None:
    """Runs in a new child process: has the kernel send it SIGTERM when its parent dies."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
