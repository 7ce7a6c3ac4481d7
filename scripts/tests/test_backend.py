"""Installing the backend into Triton's backend folder, without a build."""

import shutil
from pathlib import Path

import pytest

from local_stack import backend
from local_stack.machine import StackError


@pytest.fixture
def built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The output of a build."""
    library = tmp_path / "built.so"
    library.write_bytes(b"first")
    monkeypatch.setattr(backend, "_build", lambda *_: library)
    return library


def test_a_running_server_keeps_the_file_it_has_loaded(built: Path, tmp_path: Path) -> None:
    backend.install(tmp_path)
    installed = tmp_path / "lacuna/libtriton_lacuna.so"
    with installed.open("rb") as loaded:
        built.write_bytes(b"second")
        backend.install(tmp_path)
        assert loaded.read() == b"first"
    assert installed.read_bytes() == b"second"
    assert list(installed.parent.iterdir()) == [installed]


def test_what_is_there_already_is_left_alone(built: Path, tmp_path: Path) -> None:
    backend.install(tmp_path)
    installed = tmp_path / "lacuna/libtriton_lacuna.so"
    before = installed.stat()
    backend.install(tmp_path)
    assert installed.stat().st_ino == before.st_ino


def test_a_machine_without_cargo_is_told_where_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda program: None)
    with pytest.raises(StackError, match="rustup"):
        backend.install(tmp_path)
