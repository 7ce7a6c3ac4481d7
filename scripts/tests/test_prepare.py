"""The gateway is built while Triton is installed; if either fails, nothing keeps running."""

import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from local_stack import places, prepare
from local_stack.machine import StackError

Start = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def builds(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[subprocess.Popen[bytes]]:
    """The builds that were started, on a machine with nothing installed."""
    started: list[subprocess.Popen[bytes]] = []
    popen: Start = subprocess.Popen

    def start(command: tuple[str, ...], **options: object) -> subprocess.Popen[bytes]:
        started.append(popen(command, **options))
        return started[-1]

    monkeypatch.setattr(subprocess, "Popen", start)
    monkeypatch.setattr(shutil, "which", lambda _: "/bin/cargo")
    monkeypatch.setattr(places, "SERVER", tmp_path / "server")
    monkeypatch.setattr(places, "ROOT", tmp_path)
    return started


def test_the_build_runs_while_triton_is_installed(
    builds: list[subprocess.Popen[bytes]],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    # Exits only once it sees the other running.
    wait = f"until [ -e {tmp_path}/installing ]; do sleep 0.01; done"
    monkeypatch.setattr(prepare, "_BUILD", ("timeout", "5", "sh", "-c", wait))
    monkeypatch.setattr(prepare, "setup", lambda: (tmp_path / "installing").touch())
    prepare.prepare()
    assert builds[0].returncode == 0
    said = capfd.readouterr().err
    assert "minutes" in said.splitlines()[0]
    assert "done in" in said.splitlines()[-1]


def test_a_build_that_fails_is_an_error(
    builds: list[subprocess.Popen[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prepare, "_BUILD", ("false",))
    monkeypatch.setattr(prepare, "setup", lambda: None)
    with pytest.raises(StackError, match="false"):
        prepare.prepare()
    assert len(builds) == 1


def test_an_installation_that_fails_ends_the_build(
    builds: list[subprocess.Popen[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise StackError("no room")

    monkeypatch.setattr(prepare, "_BUILD", ("sleep", "60"))
    monkeypatch.setattr(prepare, "setup", fail)
    began = time.monotonic()
    with pytest.raises(StackError, match="no room"):
        prepare.prepare()
    assert builds[0].returncode is not None
    assert time.monotonic() - began < 30
