"""``deploy/compose/swarm.yml`` on three engines: scaled, nodes drained, killed, cut off, updates.

    make test-swarm            # KEEP=1 keeps the images for the next time

The engines are Docker in containers of our own, with addresses of their own. What stands between
callers and gateways is played here: it asks ``/readyz`` and goes elsewhere where no connection is
made.
"""

import hashlib
import http.client
import itertools
import json
import os
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from engine import bases, inside
from engine.callers import Answer, Service, count
from engine.compose import BOX, PHOTO
from engine.daemon import Engine, engine
from engine.run import ROOT, program, run, wait_until
from rig.goals import Report, say

NODES = {"node1": "172.31.77.11", "node2": "172.31.77.12", "node3": "172.31.77.13"}
SUBNET = "172.31.77.0/24"
PORT = 8080
CALLERS = 8
STACK = ROOT / "deploy/compose/swarm.yml"
NODE_IMAGE = "lacuna-swarm-node"
VALKEY = "lacuna.invalid/valkey:test"
IMAGES = ("lacuna.invalid/gateway", "lacuna.invalid/triton-cpu")
VERSIONS = ("0.1.0", "0.1.1")


@dataclass(frozen=True)
class Sent:
    """One request, and by which node it went."""

    node: str
    started: float
    answer: Answer


@dataclass
class Balancer:
    """Goes by ``/readyz``, and to another gateway where no connection is made."""

    token: str
    ready: list[str] = field(default_factory=list)
    _end: threading.Event = field(default_factory=threading.Event)
    _turn: Iterator[int] = field(default_factory=itertools.count)

    def __enter__(self) -> "Balancer":
        for node in NODES:
            threading.Thread(target=self._watch, args=(node,), daemon=True).start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._end.set()

    def _watch(self, node: str) -> None:
        while not self._end.wait(0.5):
            probe = http.client.HTTPConnection(NODES[node], PORT, timeout=2)
            try:
                probe.request("GET", "/readyz")
                well = probe.getresponse().status == 200
            except (OSError, http.client.HTTPException):
                well = False
            finally:
                probe.close()
            if well and node not in self.ready:
                self.ready.append(node)
            elif not well and node in self.ready:
                self.ready.remove(node)

    def send(self) -> Sent:
        """Once, by a gateway to which there is a connection within two seconds."""
        begin = time.monotonic()
        while time.monotonic() - begin < 60:
            ready = list(self.ready)
            if not ready:
                time.sleep(0.1)
                continue
            node = ready[next(self._turn) % len(ready)]
            service = Service(PORT, self.token, host=NODES[node])
            try:
                http.client.HTTPConnection(NODES[node], PORT, timeout=2).connect()
            except OSError:
                continue
            started = time.monotonic()
            return Sent(node, started, service.inpaint(PHOTO, BOX))
        return Sent("none", begin, Answer(0, {}, b"no gateway", time.monotonic() - begin))


@dataclass
class Swarm:
    """Three engines, and what runs on them."""

    outer: Engine
    report: Report
    balancer: Balancer
    version: str = "0.1.0"

    def on(self, node: str, *arguments: str, given: bytes | None = None, check: bool = True) -> str:
        """What docker says on a node."""
        return run("docker", "exec", "--interactive", node, *arguments, given=given, check=check,
                   variables=self.outer.variables).stdout.strip()  # fmt: skip

    def manager(self, *arguments: str, given: bytes | None = None) -> str:
        """What docker says on the node that nobody touches."""
        return self.on("node1", "docker", *arguments, given=given)

    def running(self, service: str) -> list[str]:
        """The nodes on which tasks of a service run, a node for each."""
        said = self.manager(
            "service", "ps", f"lacuna_{service}", "--filter", "desired-state=running",
            "--format", "{{.Node}} {{.CurrentState}}",
        )  # fmt: skip
        return [line.split()[0] for line in said.splitlines() if line.split()[1] == "Running"]

    def scale(self, service: str, replicas: int) -> None:
        """Says how many, and waits until they are."""
        self.manager("service", "scale", "--detach", f"lacuna_{service}={replicas}")
        wait_until(f"{replicas} of {service}", partial(self.runs, service, replicas), 300, 1)

    def runs(self, service: str, replicas: int) -> bool:
        """Whether as many run as are wanted."""
        return len(self.running(service)) == replicas

    def deploy(self) -> None:
        """The stack, with quotas out of the way of what is measured."""
        command = [
            "env", f"LACUNA_VERSION={self.version}", f"VALKEY_IMAGE={VALKEY}",
            "LACUNA_RATE_PER_MINUTE=100000", "LACUNA_RATE_BURST=10000",
            "LACUNA_TOKEN_CONCURRENCY=64", "docker", "stack", "deploy", "--resolve-image", "never",
            "--compose-file", "-", "lacuna",
        ]  # fmt: skip
        self.on("node1", *command, given=STACK.read_bytes())

    def load(self, what: str, happens: Callable[[], None]) -> tuple[list[Sent], float]:
        """Callers while something happens; the requests, and when it began."""
        sent: list[Sent] = []
        end = threading.Event()

        def call() -> None:
            while not end.is_set():
                sent.append(self.balancer.send())

        threads = [threading.Thread(target=call) for _ in range(CALLERS)]
        for thread in threads:
            thread.start()
        try:
            wait_until("answers", lambda: len(sent) >= CALLERS, 120)
            begin = time.monotonic()
            happens()
            time.sleep(3)
        finally:
            end.set()
            for thread in threads:
                thread.join()
        lost = [each for each in sent if each.answer.status != 200]
        if lost:
            say(
                f"{what}: {count([each.answer for each in lost])} by {[each.node for each in lost]}"
            )
        return sent, begin

    def nothing_lost(self, what: str, happens: Callable[[], None]) -> None:
        """Every request is answered with its photo."""
        sent, _ = self.load(what, happens)
        good = sum(each.answer.status == 200 for each in sent)
        self.report.equal(f"{what}: answered of {len(sent)}", good, len(sent))

    def lost_with(self, node: str, what: str, happens: Callable[[], None]) -> None:
        """What was under way on the node's gateway may be lost, and nothing else."""
        sent, begin = self.load(what, happens)
        bad = [each for each in sent if each.answer.status != 200]
        there = [each for each in bad if each.node == node and each.started < begin + 3]
        under_way = [
            each for each in sent
            if each.node == node and each.started < begin < each.started + each.answer.seconds
        ]  # fmt: skip
        self.report.equal(f"{what}: lost of {len(sent)} elsewhere", len(bad) - len(there), 0)
        self.report.told(f"{what}: lost of {len(under_way)} under way on its gateway", len(there))


def _images(outer: Engine) -> None:
    bases.provide(outer, "gateway", "triton-cpu")
    for file, image in (("gateway", IMAGES[0]), ("triton-cpu", IMAGES[1])):
        outer.docker("build", "--quiet", "--file", f"deploy/docker/{file}.Dockerfile",
                     "--tag", f"{image}:0.1.0", ".")  # fmt: skip
        # The next version: the same with another label.
        text = f"FROM {image}:0.1.0\nLABEL org.opencontainers.image.version=0.1.1\n"
        run("docker", "build", "--quiet", "--tag", f"{image}:0.1.1", "-", given=text.encode(),
            variables=outer.variables)  # fmt: skip
    base = next(name for name in bases.named("gateway") if name.startswith("debian:"))
    packages = "apt-get update -qq && apt-get install -y -qq --no-install-recommends"
    for tag, lines in (
        (NODE_IMAGE, f"RUN {packages} docker.io iptables iproute2 && mkdir -p /var/lib/docker"),
        (VALKEY, f"RUN {packages} redis-server && ln -s redis-server /usr/bin/valkey-server"),
    ):
        run("docker", "build", "--quiet", "--tag", tag, "-",
            given=f"FROM {base}\n{lines}\n".encode(), variables=outer.variables)  # fmt: skip
    say("Debian's redis-server stands in for Valkey")


@contextmanager
def _nodes(swarm: Swarm) -> Iterator[None]:
    outer = swarm.outer
    outer.docker("network", "create", "--subnet", SUBNET, "lacuna-swarm")
    for name, address in NODES.items():
        outer.docker(
            "run", "--detach", *_all_rights(), "--cgroupns", "host", "--name", name, "--hostname",
            name, "--network", "lacuna-swarm", "--ip", address,
            "--volume", f"{name}:/var/lib/docker",
            "--volume", "/sys/fs/cgroup:/sys/fs/cgroup:rw",
            # What an engine that was killed says of its process must not outlive it.
            "--tmpfs", "/run:exec", NODE_IMAGE,
            "dockerd", "--storage-driver", "overlay2",
        )  # fmt: skip
    try:
        for name in NODES:
            wait_until(f"the engine of {name}", partial(_answers, swarm, name), 60)
        images = " ".join([*(f"{each}:{tag}" for each in IMAGES for tag in VERSIONS), VALKEY])
        for name in NODES:
            # All in one, in which a layer that several have is once.
            load = f"docker save {images} | docker exec -i {name} docker load -q"
            run("sh", "-c", load, variables=outer.variables)
        yield
    finally:
        for name in NODES:
            # So that it takes its containers with it.
            leave = "docker swarm leave --force; docker ps -qa | xargs -r docker rm -f"
            swarm.on(name, "sh", "-c", leave, check=False)
            outer.docker("rm", "--force", "--volumes", name, check=False)
            outer.docker("volume", "rm", "--force", name, check=False)
        outer.docker("network", "rm", "lacuna-swarm", check=False)


def _all_rights() -> list[str]:
    """As ``--privileged``, of the rights that this machine's root itself has."""
    held = int(inside.status(os.getpid())["CapBnd"], 16)
    rights = [name for number, name in enumerate(inside.RIGHTS.split()) if held >> number & 1]
    unconfined = [f"{kind}=unconfined" for kind in ("seccomp", "apparmor", "systempaths")]
    return [
        "--device-cgroup-rule", "a *:* rwm",
        *(word for name in rights for word in ("--cap-add", name)),
        *(word for option in unconfined for word in ("--security-opt", option)),
    ]  # fmt: skip


def _answers(swarm: Swarm, node: str) -> bool:
    return bool(swarm.on(node, "docker", "version", "--format", "{{.Server.Version}}", check=False))


def _start(swarm: Swarm, tokens: str) -> None:
    begin = time.monotonic()
    swarm.manager("swarm", "init", "--advertise-addr", NODES["node1"])
    join = swarm.manager("swarm", "join-token", "--quiet", "manager")
    for name in ("node2", "node3"):
        # Managers all: two of three decide when one is away.
        swarm.on(name, "docker", "swarm", "join", "--token", join, f"{NODES['node1']}:2377")
    swarm.manager("secret", "create", "lacuna-tokens", "-", given=tokens.encode())
    swarm.deploy()
    for service in ("triton", "gateway"):
        wait_until(f"two of {service}", partial(swarm.runs, service, 2), 300, 1)
    wait_until("two gateways ready", lambda: len(swarm.balancer.ready) == 2, 180)
    swarm.report.told("three nodes joined, stack ready after", f"{time.monotonic() - begin:.0f} s")


def _line(name: str, token: str, quota: str = "") -> str:
    """Of the tokens file."""
    return f"{name} {hashlib.sha256(token.encode()).hexdigest()}{quota}\n"


def _quotas(swarm: Swarm, token: str) -> None:
    gateways = [Service(PORT, token, host=NODES[node]) for node in swarm.running("gateway")]
    answers = [gateway.inpaint(PHOTO, BOX) for _ in range(3) for gateway in gateways]
    got = sum(answer.status == 200 for answer in answers)
    refused = sum(answer.status == 429 for answer in answers)
    swarm.report.equal(
        "a quota of 3 at once, 3 requests to each of two gateways: 200 and 429",
        (got, refused),
        (3, 3),
    )


def _update(swarm: Swarm) -> None:
    swarm.version = "0.1.1"
    swarm.deploy()
    for service, image in (("gateway", IMAGES[0]), ("triton", IMAGES[1])):

        def done(service: str = service, image: str = image) -> bool:
            said = swarm.manager(
                "service", "ps", f"lacuna_{service}", "--filter", "desired-state=running",
                "--format", "{{.Image}} {{.CurrentState}}",
            ).splitlines()  # fmt: skip
            state = swarm.manager("service", "inspect", f"lacuna_{service}", "--format",
                                  "{{if .UpdateStatus}}{{.UpdateStatus.State}}{{end}}")  # fmt: skip
            new = [line for line in said if line.startswith(f"{image}:0.1.1 Running")]
            return len(new) == len(said) and state == "completed"

        wait_until(f"update of {service}", done, 600, 1)


def prove(swarm: Swarm, other: str) -> None:
    """All of it, on a stack that is ready."""
    report = swarm.report
    _quotas(swarm, other)

    def up_and_down() -> None:
        swarm.scale("triton", 5)
        wait_until("five seen", lambda: _replicas(swarm) == 5, 300, 1)
        time.sleep(5)
        swarm.scale("triton", 1)
        time.sleep(5)

    swarm.nothing_lost("Triton scaled from 2 to 5 and to 1", up_and_down)
    swarm.scale("triton", 3)
    wait_until("three seen", lambda: _replicas(swarm) == 3, 300, 1)

    def drained() -> None:
        swarm.manager("node", "update", "--availability", "drain", "node3")
        wait_until("node3 empty", lambda: "node3" not in
                   swarm.running("gateway") + swarm.running("triton"), 300, 1)  # fmt: skip
        wait_until("all elsewhere", lambda: len(swarm.balancer.ready) == 2, 300, 1)

    swarm.nothing_lost("node3 drained", drained)
    swarm.manager("node", "update", "--availability", "active", "node3")

    def killed() -> None:
        swarm.outer.docker("kill", "node2")
        wait_until("two gateways again", lambda: len(swarm.balancer.ready) == 2
                   and "node2" not in swarm.balancer.ready, 300, 1)  # fmt: skip

    swarm.lost_with("node2", "node2 killed", killed)
    swarm.outer.docker("start", "node2")
    wait_until("node2 is back", lambda: "node2" in _up(swarm), 120, 1)

    def cut_off() -> None:
        swarm.outer.docker("network", "disconnect", "lacuna-swarm", "node3")
        wait_until("node3 is given up", lambda: "node3" not in _up(swarm), 120, 1)
        wait_until("two gateways again", lambda: len(swarm.balancer.ready) == 2
                   and "node3" not in swarm.balancer.ready, 300, 1)  # fmt: skip

    swarm.lost_with("node3", "node3 cut off", cut_off)
    swarm.outer.docker("network", "connect", "--ip", NODES["node3"], "lacuna-swarm", "node3")
    wait_until("node3 is back", lambda: "node3" in _up(swarm), 120, 1)
    wait_until("two gateways", lambda: len(swarm.running("gateway")) == 2, 120, 1)
    swarm.nothing_lost("both images updated", lambda: _update(swarm))
    report.equal("gateways at the end", len(swarm.running("gateway")), 2)


def _up(swarm: Swarm) -> list[str]:
    said = swarm.manager("node", "ls", "--format", "{{.Hostname}} {{.Status}}")
    return [line.split()[0] for line in said.splitlines() if line.split()[1] == "Ready"]


def _replicas(swarm: Swarm) -> int:
    """What the gateway that knows least finds ready."""
    found = []
    for node in list(swarm.balancer.ready):
        answer = Service(PORT, "", host=NODES[node]).get("/readyz")
        if answer.status == 200:
            found.append(sum(each["ready"] for each in json.loads(answer.content)["replicas"]))
    return min(found, default=0)


def main() -> int:
    """The whole of it; 1 where a goal is missed."""
    report = Report()
    folder = Path(os.environ.get("ENGINE", "/var/tmp/lacuna-engine"))
    with engine(folder, keep=bool(os.environ.get("KEEP"))) as outer:
        _images(outer)
        token, other = secrets.token_urlsafe(16), secrets.token_urlsafe(16)
        with Balancer(token) as balancer:
            swarm = Swarm(outer, report, balancer)
            with _nodes(swarm):
                _start(swarm, _line("test", token) + _line("few", other, " 6 3"))
                prove(swarm, other)
    return report.finish()


if __name__ == "__main__":
    program(main)
