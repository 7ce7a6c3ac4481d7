"""A Docker engine of our own, with everything of it in one folder, ended without a trace."""

import contextlib
import fcntl
import json
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

from engine import debian
from engine.run import Failure, output, run, wait_until
from rig.goals import say

PLUGINS = {"docker-compose": (2, 24, 4), "docker-buildx": (0, 11)}
"""What has to be there, and since which version."""
_FORWARD = Path("/proc/sys/net/ipv4/ip_forward")
_ALONE = Path("/run/lacuna-engine.lock")


class Engine:
    """A running engine, and the way to talk to it."""

    def __init__(self, folder: Path) -> None:
        """Of the engine that lives in ``folder``."""
        self.folder = folder
        self.log = folder / "dockerd.log"
        self.variables = {
            "DOCKER_HOST": f"unix://{folder}/docker.sock",
            "DOCKER_CONFIG": str(folder / "config"),
            "DOCKER_BUILDKIT": "1",
            "BUILDKIT_PROGRESS": "plain",
        }

    def docker(self, *arguments: str | Path, check: bool = True) -> str:
        """What docker says; fails with it."""
        return run("docker", *arguments, check=check, variables=self.variables).stdout.strip()

    def inspect(self, thing: str, form: str) -> str:
        """One fact of a container or an image."""
        return self.docker("inspect", "--format", form, thing)


@contextlib.contextmanager
def engine(folder: Path, *, keep: bool) -> Iterator[Engine]:
    """Installs what is missing, starts dockerd, ends it; ``keep`` leaves its folder."""
    debian.as_root()
    with alone(_ALONE), _running(folder, keep=keep) as ours:
        yield ours


@contextlib.contextmanager
def alone(file: Path) -> Iterator[None]:
    """While no other proof has an engine here: each takes away rules and links when it ends."""
    with file.open("w") as opened:
        try:
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Failure("another of these proofs runs here: wait until it has ended") from None
        yield


@contextlib.contextmanager
def _running(folder: Path, *, keep: bool) -> Iterator[Engine]:
    if run("docker", "info", check=False).returncode == 0 and shutil.which("docker"):
        raise Failure("an engine runs here already: stop it, so that nobody's networks are touched")
    debian.install("docker.io", "iptables", "iproute2", "openssl", "ca-certificates")
    folder.mkdir(parents=True, exist_ok=True)
    ours = Engine(folder)
    plugins(ours)
    before = _network()
    process = _start(ours)
    try:
        say(f"engine {ours.docker('version', '--format', '{{.Server.Version}}')} in {folder}")
        yield ours
    finally:
        _remove_what_runs(ours)
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(60)
        finally:
            process.kill()
            _restore(before)
            _nothing_left(folder)
            if not keep:
                shutil.rmtree(folder)


def plugins(ours: Engine) -> None:
    """Compose and buildx, the machine's own where they are new enough."""
    place = ours.folder / "config/cli-plugins"
    missing = [name for name in PLUGINS if not _new_enough(ours, name)]
    if missing:
        debian.unpack_from_next_release(ours.folder / "unpacked", *missing)
        place.mkdir(parents=True, exist_ok=True)
        for name in missing:
            (place / name).unlink(missing_ok=True)
            plugin = ours.folder / "unpacked/usr/libexec/docker/cli-plugins" / name
            plugin.chmod(0o755)
            (place / name).symlink_to(plugin)
    for name in PLUGINS:
        if not _new_enough(ours, name):
            raise Failure(f"{name} is to be had in no version that is new enough")


def _new_enough(ours: Engine, name: str) -> bool:
    word = name.removeprefix("docker-")
    said = run("docker", word, "version", check=False, variables=ours.variables).stdout
    found = re.search(r"(\d+)\.(\d+)(?:\.(\d+))?", said)
    if not found:
        return False
    return tuple(int(part or 0) for part in found.groups()) >= PLUGINS[name]


def _start(ours: Engine) -> subprocess.Popen[bytes]:
    folder = ours.folder
    settings = folder / "daemon.json"
    # What it is asked for is then in its log.
    settings.write_text('{"debug": true}')
    # Packets that are larger than the machine's own way out takes would be lost.
    way = json.loads(output("ip", "-json", "route", "show", "default"))
    mtu = (
        json.loads(output("ip", "-json", "link", "show", way[0]["dev"]))[0]["mtu"] if way else 1500
    )
    command: list[str | Path] = [
        "dockerd", "--data-root", folder / "data", "--exec-root", folder / "exec",
        "--pidfile", folder / "docker.pid", "--host", ours.variables["DOCKER_HOST"],
        "--config-file", settings, "--mtu", str(mtu),
    ]  # fmt: skip
    with ours.log.open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)

    def answers() -> bool:
        if process.poll() is not None:
            raise Failure(f"dockerd ended with {process.returncode}: see {ours.log}")
        return run("docker", "info", check=False, variables=ours.variables).returncode == 0

    try:
        wait_until("dockerd answers", answers, 60)
    except Failure:
        process.terminate()
        raise
    return process


def _remove_what_runs(ours: Engine) -> None:
    for what, listed in (
        (("rm", "--force", "--volumes"), ("ps", "--all", "--quiet")),
        (("network", "rm"), ("network", "ls", "--quiet", "--filter", "type=custom")),
        (("volume", "rm", "--force"), ("volume", "ls", "--quiet")),
    ):
        if names := ours.docker(*listed, check=False).split():
            ours.docker(*what, *names, check=False)


def _network() -> dict[str, str]:
    """The machine's network as an engine would change it."""
    links = {link["ifname"] for link in json.loads(output("ip", "-json", "link"))}
    policy = output("iptables", "-S", "FORWARD").splitlines()[0]
    return {"forward": _FORWARD.read_text(), "policy": policy, "links": " ".join(links)}


def _restore(before: dict[str, str]) -> None:
    """Takes away bridges, chains and rules that an engine leaves behind when it ends."""
    for link in json.loads(output("ip", "-json", "link")):
        if link["ifname"] not in before["links"].split():
            run("ip", "link", "delete", link["ifname"], check=False)
    for table in ("nat", "filter"):
        rules = output("iptables", "-t", table, "-S").splitlines()
        for rule in rules:
            if rule.startswith("-A") and re.search(r"DOCKER|docker0|\bbr-", rule):
                # Of a rule as iptables prints it.
                command = f"iptables -t {table} -D{rule.removeprefix('-A')}"
                run("sh", "-c", command, check=False)
        for rule in rules:
            if chain := re.fullmatch(r"-N (DOCKER\S*)", rule):
                run("iptables", "-t", table, "-F", chain[1], check=False)
        for rule in rules:
            if chain := re.fullmatch(r"-N (DOCKER\S*)", rule):
                run("iptables", "-t", table, "-X", chain[1], check=False)
    run("iptables", *before["policy"].split())
    _FORWARD.write_text(before["forward"])


def _nothing_left(folder: Path) -> None:
    """No process, no mount, no link and no rule of ours."""
    for line in reversed(Path("/proc/self/mounts").read_text().splitlines()):
        if line.split()[1].startswith(f"{folder}/"):
            run("umount", line.split()[1], check=False)
    mounts = [
        line for line in Path("/proc/self/mounts").read_text().splitlines() if f"{folder}/" in line
    ]
    processes = []
    for place in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if f"{folder}/".encode() in place.read_bytes() and int(place.parts[2]) != os.getpid():
                processes.append(place.parts[2])
    rules = output("iptables-save").count("DOCKER")
    if mounts or processes or rules:
        raise Failure(f"left behind: mounts {mounts}, processes {processes}, {rules} rules")
    say("nothing of the engine runs, is mounted or is in the machine's network any more")
