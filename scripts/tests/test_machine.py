import importlib.util
import platform
import shutil
import subprocess
import sys
from typing import Any

import pytest

from local_stack import machine, packages
from local_stack.machine import StackError
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


def test_an_interpreter_that_cannot_make_an_environment_lacks_a_package(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert packages.ensure(packages.PYTHON) is False, "the tests run in an environment"
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    (missing,) = [need.package for need in packages.PYTHON if not need.present()]
    assert missing == f"python{sys.version_info[0]}.{sys.version_info[1]}-venv"
