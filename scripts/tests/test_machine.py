import platform
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from local_stack import install, machine, packages, places
from local_stack.machine import Python, StackError
from local_stack.packages import Need


def pretend(
    monkeypatch: pytest.MonkeyPatch, system: str, processor: str, libc: tuple[str, str]
) -> None:
    monkeypatch.setattr(platform, "system", lambda: system)
    monkeypatch.setattr(platform, "machine", lambda: processor)
    monkeypatch.setattr(platform, "libc_ver", lambda: libc)


@pytest.mark.parametrize("version", ["2.35", "2.36", "2.41"])
def test_linux_on_x86_64_with_glibc_2_35_can_run_triton(
    version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(monkeypatch, "Linux", "x86_64", ("glibc", version))
    machine.check_platform()


@pytest.mark.parametrize(
    ("system", "processor", "libc", "reason"),
    [
        ("Darwin", "arm64", ("", ""), "this is Darwin on arm64"),
        ("Linux", "aarch64", ("glibc", "2.36"), "this is Linux on aarch64"),
        ("Linux", "x86_64", ("glibc", "2.31"), "this machine has glibc 2.31"),
        ("Linux", "x86_64", ("", ""), "this machine has another C library"),
    ],
)
def test_another_machine_is_told_what_is_missing_and_what_to_do(
    system: str,
    processor: str,
    libc: tuple[str, str],
    reason: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pretend(monkeypatch, system, processor, libc)
    with pytest.raises(StackError, match=reason) as told:
        machine.check_platform()
    assert "LACUNA_TRITON" in str(told.value)


def test_the_interpreter_at_hand_is_found_with_its_library() -> None:
    python = machine.find_python()
    assert python.version in machine.PYTHONS
    assert python.library is None or (python.library / f"libpython{python.version}.so.1.0").exists()


def test_without_a_fitting_interpreter_the_versions_are_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(machine, "PYTHONS", ("2.6", "2.5"))
    with pytest.raises(StackError, match=r"need Python 2\.6 or 2\.5"):
        machine.find_python()


NEEDS = (
    Need("there", "one thing", lambda: True),
    Need("libmissing-dev", "another", lambda: False),
)


def no_command(*_args: Any, **_options: Any) -> None:
    pytest.fail("nothing is to be run")


def test_nothing_is_run_where_all_packages_are_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subprocess, "run", no_command)
    assert packages.ensure(NEEDS[:1]) is False


def test_who_may_not_install_is_told_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "_become_root", lambda: None)
    monkeypatch.setattr(subprocess, "run", no_command)
    command = "sudo apt-get install -y --no-install-recommends libmissing-dev"
    with pytest.raises(StackError, match=command):
        packages.ensure(NEEDS)


def test_without_apt_get_the_packages_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _program: None)
    with pytest.raises(StackError, match=r"missing: libmissing-dev \(another\)"):
        packages.ensure(NEEDS)


def test_a_bare_interpreter_lacks_its_two_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    bare = Python(Path("/usr/bin/python3.11"), "3.11", library=None, can_make_venv=False)
    monkeypatch.setattr(packages, "find_python", lambda: bare)
    missing = [need.package for need in packages.python_needs("3.11") if not need.present()]
    assert missing == ["python3.11-venv", "libpython3.11"]


def test_an_installed_triton_is_taken_as_it_is_until_its_requirements_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    requirements = tmp_path / "requirements.txt"
    requirements.write_text("one==1\n")
    monkeypatch.setattr(places, "REQUIREMENTS", (requirements,))
    monkeypatch.setattr(places, "STAMP", tmp_path / "stamp.json")
    monkeypatch.setattr(places, "VENV", tmp_path / "venv")
    assert install._from_stamp() is None, "nothing is installed"

    installed = install.Installed(tmp_path / "venv/site-packages", Path(sys.prefix))
    for file in (installed.server, places.VENV / "bin/python3"):
        file.parent.mkdir(parents=True)
        file.touch()
    install._write_stamp(installed)
    assert install._from_stamp() == installed

    requirements.write_text("one==2\n")
    assert install._from_stamp() is None, "the requirements changed"


@pytest.mark.parametrize("content", ["", "{}", "[]", "null", '{"key": 1}'])
def test_a_damaged_stamp_means_that_nothing_is_installed(
    content: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stamp = tmp_path / "stamp.json"
    stamp.write_text(content)
    monkeypatch.setattr(places, "STAMP", stamp)
    assert install._from_stamp() is None
