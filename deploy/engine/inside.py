"""What a container's process is allowed, as the kernel says and as it shows when tried."""

import contextlib
import ctypes
import errno
import os
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

from engine.daemon import Engine
from engine.run import Failure, run, wait_until

_NEW_MOUNTS, _NEW_NETWORK = 0x00020000, 0x40000000
USER = 10001
RIGHTS = (
    "CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE "
    "NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO "
    "SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME "
    "SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG "
    "WAKE_ALARM BLOCK_SUSPEND AUDIT_READ"
)
"""Capabilities in the kernel's order, those that every engine has names for."""


def pid_of(engine: Engine, container: str) -> int:
    """The first process of a container, as this machine counts."""
    return int(engine.inspect(container, "{{.State.Pid}}"))


def status(pid: int) -> dict[str, str]:
    """What ``/proc/PID/status`` says."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def children(pid: int) -> list[int]:
    """The processes that a process started and that are there yet."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            found.extend(map(int, task.read_text().split()))
    return found


def root_is_read_only(pid: int) -> bool:
    """Whether the mount at ``/`` of a process is."""
    for line in Path(f"/proc/{pid}/mountinfo").read_text().splitlines():
        words = line.split()
        if words[4] == "/":
            return "ro" in words[5].split(",")
    raise Failure(f"process {pid} has no root")


def writes_outside_tmp(pid: int) -> str:
    """What becomes of a file that the container's user writes: at ``/``, and in ``/tmp``."""

    def tried(place: str) -> str:
        try:
            with Path(place).open("w") as file:
                file.write("x")
        except OSError as error:
            return errno.errorcode[error.errno or 0]
        Path(place).unlink()
        return "written"

    return _as_the_container(pid, "mnt", _NEW_MOUNTS, lambda: f"{tried('/x')}, {tried('/tmp/x')}")


@contextlib.contextmanager
def elsewhere() -> Iterator[tuple[str, int]]:
    """A machine of our own outside of all containers, with an address for documents (RFC 5737).

    It is a network namespace with a listener in it.
    """
    name, (near, far) = "lacuna-elsewhere", ("198.51.100.1", "198.51.100.2")
    inside_it = ("ip", "netns", "exec", name)
    run("ip", "netns", "add", name)
    listener = None
    try:
        run("ip", "link", "add", "lacuna-near", "type", "veth", "peer", "lacuna-far", "netns", name)
        run("ip", "address", "add", f"{near}/30", "dev", "lacuna-near")
        run("ip", "link", "set", "lacuna-near", "up")
        run(*inside_it, "ip", "address", "add", f"{far}/30", "dev", "lacuna-far")
        run(*inside_it, "ip", "link", "set", "lacuna-far", "up")
        run(*inside_it, "ip", "route", "add", "default", "via", near)
        serve = ("python3", "-m", "http.server", "8000", "--bind", far)
        listener = subprocess.Popen(
            [*inside_it, *serve], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        wait_until("the machine elsewhere", lambda: reached((far, 8000)) == "connected", 20)
        yield far, 8000
    finally:
        if listener:
            listener.terminate()
            listener.wait()
        run("ip", "link", "delete", "lacuna-near", check=False)
        run("ip", "netns", "delete", name)


def reached(address: tuple[str, int]) -> str:
    """What becomes of a connection from here."""
    with socket.socket() as opened:
        opened.settimeout(3)
        try:
            opened.connect(address)
        except OSError as error:
            return errno.errorcode.get(error.errno or 0, "no answer")
    return "connected"


def way_out(pid: int, address: tuple[str, int]) -> str:
    """What becomes of a connection from the network of a process."""
    return _as_the_container(pid, "net", _NEW_NETWORK, lambda: reached(address))


def _as_the_container(pid: int, kind: str, flag: int, tried: Callable[[], str]) -> str:
    """Does something in a child that has entered a namespace of the process, as its user."""
    library = ctypes.CDLL(None, use_errno=True)
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        said = "not entered"
        try:
            place = os.open(f"/proc/{pid}/ns/{kind}", os.O_RDONLY)
            if library.setns(place, flag) == 0:
                os.setgroups([])
                os.setgid(USER)
                os.setuid(USER)
                said = tried()
        except BaseException as error:
            said = repr(error)
        finally:
            os.write(writer, said.encode())
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        said = pipe.read()
    os.waitpid(child, 0)
    return said


def crash(pid: int) -> None:
    """Ends a process as the kernel does for memory, and not as the engine would."""
    os.kill(pid, signal.SIGKILL)


class Memory:
    """What a container takes, as its limit counts it."""

    def __init__(self, pid: int) -> None:
        """Of the container of this process."""
        for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if controllers == "memory":
                self._file = Path(f"/sys/fs/cgroup/memory{path}/memory.max_usage_in_bytes")
                break
            if not controllers and Path(f"/sys/fs/cgroup{path}/memory.peak").exists():
                self._file = Path(f"/sys/fs/cgroup{path}/memory.peak")
                break
        else:
            raise Failure(f"the memory of process {pid} is counted nowhere")

    def peak(self) -> float:
        """Gigabytes at most since the container started."""
        return int(self._file.read_text()) / 2**30
