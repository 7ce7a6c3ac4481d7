"""``docker compose up`` on a real engine: what docker-compose.yml promises, with figures.

    make test-compose            # KEEP=1 keeps the images for the next time

Everything of the engine lies in one folder (ENGINE, /var/tmp/lacuna-engine), which is removed at
the end.
"""

import hashlib
import json
import os
import re
import secrets
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from engine import bases, inside
from engine.callers import Fields, Load, Service, count, free_port, once_each, png
from engine.daemon import Engine, engine
from engine.run import ROOT, output, program, run, wait_until
from rig.goals import Report, say

SAMPLES = ROOT / "tests/samples"
PHOTO = (ROOT / "tests/photos/chelsea.png").read_bytes()
BOX: Fields = {"x": 60, "y": 80, "w": 60, "h": 60}
SMALL: Fields = {"x": 20, "y": 20, "w": 16, "h": 16}
CALLERS = 8
PULLS = re.compile(r"Calling POST /v[\d.]+/images/create")
"""What an engine's log has where somebody tried to fetch an image."""


@dataclass
class Proof:
    """The service in a project of its own."""

    engine: Engine
    report: Report
    project: str = field(default_factory=lambda: f"lacuna-test-{os.getpid()}")
    port: int = field(default_factory=free_port)
    token: str = field(default_factory=lambda: secrets.token_urlsafe(16))
    files: tuple[str, ...] = ("docker-compose.yml",)
    more: dict[str, str] = field(default_factory=dict)

    @property
    def service(self) -> Service:
        """The way in."""
        return Service(self.port, self.token)

    def variables(self) -> dict[str, str]:
        """What Compose reads; quotas out of the way of what is measured here."""
        return {
            **self.engine.variables,
            "LACUNA_PORT": str(self.port),
            "LACUNA_TOKENS": f"test:{self.token}",
            "LACUNA_RATE_PER_MINUTE": "100000",
            "LACUNA_RATE_BURST": "10000",
            "LACUNA_TOKEN_CONCURRENCY": "64",
            "LACUNA_PROJECT": self.project,
            **self.more,
        }

    def compose(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Runs Compose on the project."""
        files = [word for file in self.files for word in ("--file", file)]
        return run(
            "docker", "compose", "--project-name", self.project, *files, *arguments,
            check=check, variables=self.variables(),
        )  # fmt: skip

    def containers(self, service: str) -> list[str]:
        """The running containers of a service."""
        return self.compose("ps", "--quiet", service).stdout.split()

    def gateway(self) -> str:
        """The gateway's container."""
        (found,) = self.containers("gateway")
        return found

    def replicas(self) -> int:
        """Tritons that the gateway knows, and finds ready."""
        answer = self.service.get("/readyz")
        if answer.status not in (200, 503):
            return 0
        return sum(each["ready"] for each in json.loads(answer.content)["replicas"])

    def pulls(self) -> int:
        """How often something was to be fetched since the engine started."""
        return len(PULLS.findall(self.engine.log.read_text(errors="replace")))

    @contextmanager
    def load(self, what: str) -> Iterator[None]:
        """Callers for as long as the block takes; none of them may fail."""
        with Load(CALLERS, self.service, PHOTO, BOX) as load:
            time.sleep(1)
            yield
            time.sleep(1)
            answers = load.finish()
        good = [answer for answer in answers if answer.status == 200]
        if len(good) != len(answers):
            say(count(answers))
        self.report.equal(
            f"{what}, under {CALLERS} callers: answered of {len(answers)}", len(good), len(answers)
        )


def images(proof: Proof) -> None:
    """Builds, with seconds and sizes."""
    for image, how in bases.provide(proof.engine, "gateway", "triton-cpu").items():
        proof.report.told(f"base image {image}", how)
    for name in ("gateway", "triton"):
        begin = time.monotonic()
        proof.compose("build", "--quiet", name)
        proof.report.told(f"{name}: seconds to build", round(time.monotonic() - begin))
    for name, limit in (("gateway", 60), ("triton-cpu", None)):
        size = int(proof.engine.inspect(f"lacuna.invalid/{name}:0.1.0", "{{.Size}}")) / 1e6
        if limit:
            proof.report.most(f"image {name}", round(size, 1), limit, "MB")
        else:
            proof.report.told(f"image {name}", f"{size:.0f} MB")


def contents(proof: Proof) -> None:
    """What is in the gateway's image, and what it says of itself."""
    image = "lacuna.invalid/gateway:0.1.0"
    container = proof.engine.docker("create", image)
    folder = proof.engine.folder / f"gateway-{os.getpid()}"
    folder.mkdir()
    try:
        proof.engine.docker("export", "--output", folder / "image.tar", container)
        run("tar", "-C", folder, "-xf", folder / "image.tar")
        # Docker itself leaves empty files where it mounts its own.
        programs = [
            str(file.relative_to(folder))
            for file in folder.rglob("*")
            if file.is_file() and file.stat().st_size
            and ".so" not in file.name
            and file.stat().st_mode & 0o111
        ]  # fmt: skip
        wanted = ["usr/local/bin/lacuna"]
        proof.report.equal("gateway: programs in the image", programs, wanted)
        packages = sorted(file.name for file in (folder / "var/lib/dpkg/status.d").iterdir())
        proof.report.told("gateway: Debian packages of which it has files", ", ".join(packages))
        parts = {
            "the program": [folder / "usr/local/bin/lacuna"],
            "libraries": list(folder.rglob("*.so*")),
            "certificates": [folder / "etc/ssl/certs/ca-certificates.crt"],
        }
        sizes = {
            name: sum(file.stat().st_size for file in files if file.is_file()) / 1e6
            for name, files in parts.items()
        }
        told = ", ".join(f"{name} {size:.1f} MB" for name, size in sizes.items())
        proof.report.told("gateway: what takes the room", told)
        program = (folder / "usr/local/bin/lacuna").read_bytes()
        proof.report.told("gateway: SHA-256 of the program", hashlib.sha256(program).hexdigest())
    finally:
        shutil.rmtree(folder)
        proof.engine.docker("rm", container)
    label = '{{index .Config.Labels "org.opencontainers.image.licenses"}}'
    proof.report.equal(
        "gateway: its licence label", proof.engine.inspect(image, label), "Apache-2.0"
    )


def start(proof: Proof) -> None:
    """Up, from images that are here, with nothing fetched."""
    pulls = proof.pulls()
    begin = time.monotonic()
    proof.compose("up", "--detach", "--wait")
    proof.report.most("up --wait: healthy after", time.monotonic() - begin, 60, "s")
    proof.report.equal("images that it tried to fetch", proof.pulls() - pulls, 0)


def modes(proof: Proof) -> None:
    """A box, a mask, the subject and a HEIC."""
    mask = png(451, 300, channels=1, white=(120, 100, 180, 160))
    for name, photo, painted, fields, wanted in (
        ("a box", PHOTO, b"", BOX, "bbox"),
        ("a mask", PHOTO, mask, {"dilation": 0}, "mask"),
        ("the subject", PHOTO, b"", {}, "auto-subject"),
        ("a box in a HEIC", (SAMPLES / "plain.heic").read_bytes(), b"", SMALL, "bbox"),
        ("a box in a HEIC of tiles", (SAMPLES / "grid.heic").read_bytes(), b"", SMALL, "bbox"),
    ):
        proof.report.equal(
            f"erases {name}", str(proof.service.inpaint(photo, fields, painted)), f"200 {wanted}"
        )
    stranger = Service(proof.port, "wrong").inpaint(PHOTO, BOX)
    proof.report.equal("a wrong token", str(stranger), "401 unauthorized")


def hardening(proof: Proof) -> None:
    """What the processes may do, seen from inside."""
    gateway = inside.pid_of(proof.engine, proof.gateway())
    (triton,) = proof.containers("triton")
    for name, pid in (("gateway", gateway), ("triton", inside.pid_of(proof.engine, triton))):
        facts = inside.status(pid)
        found = [
            facts[key].split()[0] for key in ("Uid", "CapEff", "CapBnd", "NoNewPrivs", "Seccomp")
        ]
        proof.report.equal(
            f"{name}: user, effective and possible capabilities, no new privileges, seccomp",
            " ".join(found), f"{inside.USER} {16 * '0'} {16 * '0'} 1 2",
        )  # fmt: skip
        proof.report.equal(f"{name}: root read-only", inside.root_is_read_only(pid), True)
        proof.report.equal(
            f"{name}: a file at /, in /tmp", inside.writes_outside_tmp(pid), "EROFS, written"
        )
    with inside.elsewhere() as address:
        for name, pid, wanted in (
            ("gateway", gateway, "connected"),
            ("triton", inside.pid_of(proof.engine, triton), "no answer"),
        ):
            proof.report.equal(
                f"{name}: a connection to a machine outside", inside.way_out(pid, address), wanted
            )
    _heic_child(proof, gateway)


def _heic_child(proof: Proof, gateway: int) -> None:
    own = int(inside.status(gateway)["Seccomp_filters"])
    most = own
    photo = (SAMPLES / "grid.heic").read_bytes()
    end = time.monotonic() + 20
    with Load(4, proof.service, photo, SMALL):
        while most == own and time.monotonic() < end:
            for child in inside.children(gateway):
                try:
                    most = max(most, int(inside.status(child)["Seccomp_filters"]))
                except (OSError, KeyError, ValueError):
                    continue
    proof.report.least("HEIC: seccomp filters of the child that decodes", most, own + 1)


def scaling(proof: Proof) -> None:
    """Tritons more and fewer, one killed, one crashed; then the gateway stopped."""
    begin = time.monotonic()
    proof.compose("up", "--detach", "--no-recreate", "--scale", "triton=3", "triton")
    wait_until("three Tritons", lambda: proof.replicas() == 3, 300)
    proof.report.told(
        "--scale triton=3: all known and ready after", f"{time.monotonic() - begin:.1f} s"
    )
    with proof.load("docker kill of one of three Tritons"):
        proof.engine.docker("kill", proof.containers("triton")[0])
        time.sleep(8)
    with proof.load("SIGKILL to one of two Tritons, as the kernel ends one for memory"):
        one = proof.containers("triton")[0]
        inside.crash(inside.pid_of(proof.engine, one))
        time.sleep(8)
    restarts = [
        int(proof.engine.inspect(each, "{{.RestartCount}}")) for each in proof.containers("triton")
    ]
    proof.report.equal("that one was started again, times", sum(restarts), 1)
    proof.compose("up", "--detach", "--no-recreate", "--scale", "triton=3", "triton")
    wait_until("three Tritons again", lambda: proof.replicas() == 3, 300)
    with proof.load("--scale triton=1"):
        proof.compose("up", "--detach", "--no-recreate", "--scale", "triton=1", "triton")
    proof.report.equal("Tritons then", len(proof.containers("triton")), 1)
    _stop_under_load(proof)


def _stop_under_load(proof: Proof) -> None:
    gateway = proof.gateway()
    with Load(CALLERS, proof.service, PHOTO, BOX) as load:
        wait_until("answers", lambda: len(load.answers) >= CALLERS, 60)
        load.hold()
        before = len(load.answers)
        begin = time.monotonic()
        proof.compose("stop", "gateway")
        took = time.monotonic() - begin
        answers = load.finish()
    rest = answers[before:]
    good = sum(answer.status == 200 for answer in rest)
    if good != len(rest):
        say(count(rest))
    proof.report.equal(f"stop: answered of {len(rest)} under way", good, len(rest))
    proof.report.equal(
        "stop: exit status", proof.engine.inspect(gateway, "{{.State.ExitCode}}"), "0"
    )
    proof.report.told("stop: took", f"{took:.1f} s")
    proof.compose("up", "--detach", "--wait")


def memory(proof: Proof) -> None:
    """The largest photos that are allowed, from more callers than there are places."""
    proof.compose("up", "--detach", "--wait", "--force-recreate", "--no-deps", "gateway")
    gateway = proof.gateway()
    taken = inside.Memory(inside.pid_of(proof.engine, gateway))
    deep = png(4096, 4096, depth=16, channels=4)
    plain = png(4096, 4096)
    begin = time.monotonic()
    answers = once_each(
        [(proof.service, photo, {**BOX, "format": wanted})
         for photo, wanted in ((deep, "png"), (plain, "png"), (plain, "jpg"), (plain, "webp"))
         for _ in range(10)]
    )  # fmt: skip
    say(f"{count(answers)} in {time.monotonic() - begin:.0f} s")
    fair = {"200 bbox", "503 overloaded", "504 inference_timeout"}
    odd = [str(answer) for answer in answers if str(answer) not in fair]
    proof.report.equal(
        "40 callers of 16-MP photos, 10 of 16-bit RGBA: answers of another kind", odd, []
    )
    proof.report.told("answered with the photo", sum(answer.status == 200 for answer in answers))
    proof.report.most("peak memory of the gateway", round(taken.peak(), 2), 3, "GiB")
    state = proof.engine.inspect(gateway, "{{.RestartCount}} {{.State.OOMKilled}}")
    proof.report.equal("restarts, killed for memory", state, "0 false")


def public(proof: Proof, folder: Path) -> None:
    """TLS, tokens from a file, and what the operator's page says of whose the files are."""
    token, line = _token(proof, "anna")
    folder.mkdir()
    (folder / "tokens").write_text(line)
    _certificate(folder, "first.example")
    own(folder, 0)
    proof.compose("down")
    proof.files = ("docker-compose.yml", "deploy/compose/public.yml")
    proof.more = {"LACUNA_SECRETS": str(folder)}
    failed = proof.compose("up", "--detach", "--wait", "--wait-timeout", "60", check=False)
    proof.report.equal("a key of mode 0600 of root: up --wait fails", failed.returncode != 0, True)
    said = proof.compose("logs", "--no-log-prefix", "gateway").stdout
    wanted = "is of user 0, group 0, mode 0600, and this process is user 10001, group 10001"
    proof.report.equal("and the log says whose it is and who asks", wanted in said, True)
    own(folder, inside.USER)
    begin = time.monotonic()
    proof.compose("up", "--detach", "--wait")
    proof.report.told("chown 10001: healthy after", f"{time.monotonic() - begin:.1f} s")
    service = Service(proof.port, token, tls=True)
    said = str(service.inpaint(PHOTO, BOX))
    proof.report.equal("TLS, a token of `docker run … token new`", said, "200 bbox")
    proof.report.equal("plain HTTP there", Service(proof.port, token).get("/livez").status, 0)
    _reload(proof, folder, service)


def _reload(proof: Proof, folder: Path, service: Service) -> None:
    def replaced(name: str, content: str) -> None:
        new = folder / f".{name}"
        new.write_text(content)
        new.chmod(0o600)
        os.chown(new, inside.USER, inside.USER)
        new.rename(folder / name)

    before = proof.engine.inspect(proof.gateway(), "{{.RestartCount}}")
    other, line = _token(proof, "berta")
    replaced("tokens", line)
    after = wait_until("the new token", lambda: Service(
        proof.port, other, tls=True).inpaint(PHOTO, BOX).status == 200, 60)  # fmt: skip
    proof.report.most("tokens replaced: the new one gets in after", after, 30, "s")
    proof.report.equal("and the old one", str(service.inpaint(PHOTO, BOX)), "401 unauthorized")
    fresh = folder / "new"
    fresh.mkdir()
    _certificate(fresh, "second.example")
    for name in ("tls.key", "tls.crt"):
        replaced(name, (fresh / name).read_text())
    after = wait_until("the new certificate", lambda: "second.example" in _shown(proof.port), 60)
    proof.report.most("certificate replaced: shown after", after, 30, "s")
    after_that = proof.engine.inspect(proof.gateway(), "{{.RestartCount}}")
    proof.report.equal("restarts for that", int(after_that) - int(before), 0)


def _token(proof: Proof, name: str) -> tuple[str, str]:
    """A new token, and its line for the file, as they are had without the program."""
    made = run(
        "docker", "run", "--rm", "lacuna.invalid/gateway:0.1.0", "token", "new", name,
        variables=proof.engine.variables,
    )  # fmt: skip
    return made.stderr.split()[-1], made.stdout


def _certificate(folder: Path, name: str) -> None:
    run(
        "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
        "-subj", f"/CN={name}", "-keyout", folder / "tls.key", "-out", folder / "tls.crt",
    )  # fmt: skip


def _shown(port: int) -> str:
    return run("openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-showcerts", given=b"",
               check=False).stdout  # fmt: skip


def own(folder: Path, user: int) -> None:
    """``chown -R`` and ``chmod 0600``, as the operator's page has it."""
    os.chown(folder, user, user)
    for file in folder.iterdir():
        os.chown(file, user, user)
        file.chmod(0o600)


def observed(proof: Proof) -> None:
    """Prometheus beside it: targets, rules, one alert by a real fault; and no Grafana to be had."""
    proof.compose("down")
    proof.files, proof.more = ("docker-compose.yml",), {}
    proof.compose("up", "--detach", "--wait", "--scale", "triton=2")
    proof.report.told(f"image {bases.PROMETHEUS}", bases.prometheus(proof.engine))
    port = free_port()
    beside = Proof(
        proof.engine, proof.report, f"{proof.project}-observe", proof.port, proof.token,
        ("deploy/compose/observe.yml",),
        {
            "PROMETHEUS_PORT": str(port),
            "GRAFANA_PORT": str(free_port()),
            "LACUNA_PROJECT": proof.project,
        },
    )  # fmt: skip
    with proof.load("up of observe.yml with a Grafana that cannot be fetched"):
        all_of_it = beside.compose("up", "--detach", check=False)
    proof.report.told("that up ended with", all_of_it.returncode)
    beside.compose("up", "--detach", "--wait", "prometheus")

    def asked(path: str) -> dict[str, object]:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/{path}", timeout=10) as answer:
            found: dict[str, object] = json.load(answer)["data"]
            return found

    def up() -> int:
        targets = asked("targets")["activeTargets"]
        assert isinstance(targets, list)
        return sum(each["health"] == "up" for each in targets)

    after = wait_until("targets", lambda: up() == 3, 90, 1)
    proof.report.told("targets up: one gateway, two Tritons, after", f"{after:.0f} s")
    groups = asked("rules")["groups"]
    assert isinstance(groups, list)
    loaded = {rule["name"] for group in groups for rule in group["rules"]}
    text = (ROOT / "deploy/prometheus/alerts.yml").read_text()
    proof.report.equal("alerts loaded of those in alerts.yml", len(loaded), text.count("- alert:"))

    def firing() -> bool:
        alerts = asked("alerts")["alerts"]
        assert isinstance(alerts, list)
        return any(
            (each["labels"]["alertname"], each["state"]) == ("LacunaNotReady", "firing")
            for each in alerts
        )

    proof.report.equal("LacunaNotReady fires while all is well", firing(), False)
    proof.compose("stop", "triton")
    after = wait_until("LacunaNotReady", firing, 240, 1)
    proof.report.told("all Tritons stopped: LacunaNotReady fires after", f"{after:.0f} s")
    begin = time.monotonic()
    proof.compose("start", "triton")
    wait_until("both back", lambda: proof.replicas() == 2, 120)
    proof.report.told("started again: both ready after", f"{time.monotonic() - begin:.1f} s")
    beside.compose("down", "--volumes")


def end(proof: Proof) -> None:
    """Down, and nothing of the project left."""
    proof.compose("down", "--volumes", "--remove-orphans")
    mark = f"label=com.docker.compose.project={proof.project}"
    left = [
        name
        for kind in (("ps", "--all"), ("network", "ls"), ("volume", "ls"))
        for name in proof.engine.docker(*kind, "--quiet", "--filter", mark).split()
    ]
    proof.report.equal("down: containers, networks and volumes left", len(left), 0)


def main() -> int:
    """The whole of it; 1 where a goal is missed."""
    report = Report()
    folder = Path(os.environ.get("ENGINE", "/var/tmp/lacuna-engine"))
    wanted = sys.argv[1:]
    with engine(folder, keep=bool(os.environ.get("KEEP"))) as running:
        proof = Proof(running, report)
        private = folder / f"secrets-{os.getpid()}"
        try:
            for step in (images, contents, start, modes, hardening, scaling, memory, observed):
                if not wanted or step.__name__ in wanted or step in (images, contents, start):
                    say(step.__name__)
                    step(proof)
            if not wanted or "public" in wanted:
                say("public")
                public(proof, private)
            end(proof)
        finally:
            shutil.rmtree(private, ignore_errors=True)
    version = output("uname", "-r")
    say(f"Linux {version}, {os.cpu_count()} cores")
    return report.finish()


if __name__ == "__main__":
    program(main)
