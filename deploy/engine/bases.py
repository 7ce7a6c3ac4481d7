"""The images that ours are built on: pulled, or made of Debian's packages where they cannot be.

What is made here is a stand-in under the name of the real one, in an engine of our own. Nothing
built on it may be published.
"""

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

from engine import debian
from engine.daemon import Engine
from engine.run import ROOT, Failure, run
from rig.goals import say

DOCKERFILES = ROOT / "deploy/docker"
PROMETHEUS = "prom/prometheus:v2.55.1"
CERTIFICATES = Path("/usr/local/share/ca-certificates")
"""Authorities that this machine trusts beside Debian's, as behind a proxy."""
_APT = "apt-get update -qq && apt-get install -y -qq --no-install-recommends"
_END = "rm -rf /var/lib/apt/lists/* /var/cache/apt/archives/*.deb"


def named(*files: str) -> set[str]:
    """The images, with their tags, that Dockerfiles begin with."""
    found = set()
    for file in files:
        text = (DOCKERFILES / f"{file}.Dockerfile").read_text()
        tags = dict(re.findall(r"^ARG (\w+)=(\S+)$", text, re.MULTILINE))
        for image, argument in re.findall(r"^FROM ([^:\s]+):\$\{(\w+)\}", text, re.MULTILINE):
            found.add(f"{image}:{tags[argument]}")
    return found


def provide(engine: Engine, *files: str) -> dict[str, str]:
    """Has the images that these Dockerfiles begin with; says of each how it came."""
    wanted = sorted(named(*files), key=lambda name: not name.startswith("debian:"))
    reached = True
    made = {}
    for name in wanted:
        if _present(engine, name):
            made[name] = "kept"
            continue
        # One that cannot be reached will not be for the next image either.
        reached = reached and _pulled(engine, name)
        if reached:
            made[name] = "pulled"
        else:
            _stand_in(engine, name)
            made[name] = "STAND-IN"
    if "STAND-IN" in made.values() or _marked(engine, wanted):
        bar = "!" * 78
        say(
            f"{bar}\nSTAND-INS of Debian's packages are used for {', '.join(wanted)}:\n"
            f"what is built on them is for this test and must not be published.\n{bar}"
        )
    return made


def prometheus(engine: Engine) -> str:
    """Has the image of Prometheus that Compose names; says how it came."""
    if _present(engine, PROMETHEUS):
        return "kept"
    if _pulled(engine, PROMETHEUS):
        return "pulled"
    base = next(name for name in named("gateway") if name.startswith("debian:"))
    _build(engine, PROMETHEUS, base, f"""
        RUN {_APT} prometheus wget && {_END} && install -d -o nobody -g nogroup /prometheus
        USER nobody
        WORKDIR /prometheus
        ENTRYPOINT ["/usr/bin/prometheus"]
    """)  # fmt: skip
    return "STAND-IN"


def _present(engine: Engine, name: str) -> bool:
    done = run("docker", "image", "inspect", name, check=False, variables=engine.variables)
    return done.returncode == 0


def _pulled(engine: Engine, name: str) -> bool:
    done = run("docker", "pull", "--quiet", name, check=False, variables=engine.variables)
    return done.returncode == 0


def _marked(engine: Engine, names: list[str]) -> bool:
    form = '{{index .Config.Labels "lacuna.stand-in"}}'
    return any(engine.docker("image", "inspect", "--format", form, name) == "1" for name in names)


def _stand_in(engine: Engine, name: str) -> None:
    kind, _, tag = name.partition(":")
    makers: dict[str, Callable[[Engine, str], None]] = {
        "debian": _debian, "rust": _rust, "node": _node,
    }  # fmt: skip
    if kind not in makers:
        raise Failure(f"{name} can neither be pulled nor be made of Debian's packages")
    say(f"makes a stand-in of {kind}:{tag}")
    makers[kind](engine, name)


def _debian(engine: Engine, name: str) -> None:
    debian.install("debootstrap")
    root = engine.folder / "debian"
    own = debian.sources()
    log = engine.folder / "debootstrap.log"
    run("rm", "-rf", root)
    run("debootstrap", "--variant=minbase", "--include=ca-certificates", own[0].release, root,
        own[0].site, log=log)  # fmt: skip
    (root / "etc/apt/sources.list").write_text("".join(each.line() for each in own))
    local = root / CERTIFICATES.relative_to("/")
    local.mkdir(parents=True, exist_ok=True)
    for certificate in CERTIFICATES.glob("**/*.crt"):
        (local / certificate.name).write_bytes(certificate.read_bytes())
    run("chroot", root, "update-ca-certificates", log=log)
    run("chroot", root, "sh", "-c", _END)
    with subprocess.Popen(["tar", "-C", root, "-c", "."], stdout=subprocess.PIPE) as packer:
        done = subprocess.run(
            ["docker", "import", "--change", "LABEL lacuna.stand-in=1", "--change", "CMD bash",
             "-", name],
            stdin=packer.stdout, capture_output=True, check=False,
            env={**engine.variables, "PATH": "/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/bin"},
        )  # fmt: skip
    if done.returncode or packer.returncode:
        raise Failure(f"docker import: {done.stderr.decode()}")
    run("rm", "-rf", root)


def _base() -> str:
    return next(name for name in named("gateway", "triton-cpu") if name.startswith("debian:"))


def _rust(engine: Engine, name: str) -> None:
    _build(engine, name, _base(), f"""
        RUN {_APT} ca-certificates cargo-web gcc libc6-dev rustc-web && {_END}
        ENV CARGO_HOME=/usr/local/cargo SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt
    """)  # fmt: skip


def _node(engine: Engine, name: str) -> None:
    _build(engine, name, _base(), f"""
        RUN {_APT} ca-certificates npm && {_END}
        ENV NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt
    """)  # fmt: skip


def _build(engine: Engine, name: str, base: str, lines: str) -> None:
    text = "\n".join(
        [f"FROM {base}", "LABEL lacuna.stand-in=1", *map(str.strip, lines.split("\n"))]
    )
    run("docker", "build", "--tag", name, "-", given=text.encode(), variables=engine.variables)
