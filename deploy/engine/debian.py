"""Debian's packages: installed, or taken from the next release and only unpacked."""

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from engine.run import Failure, output, run

NEXT = {"bookworm": "trixie"}
"""The release that has what this one lacks."""
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
QUIET = {"DEBIAN_FRONTEND": "noninteractive"}


@dataclass(frozen=True)
class Source:
    """A line of where apt gets packages from."""

    site: str
    release: str
    component: str

    def line(self, release: str = "") -> str:
        """As in ``sources.list``, signed by Debian."""
        return f"deb [signed-by={KEYRING}] {self.site} {release or self.release} {self.component}\n"


def codename() -> str:
    """The release of this machine."""
    words = dict(
        line.split("=", 1)
        for line in Path("/etc/os-release").read_text().split("\n")
        if "=" in line
    )
    if words.get("ID") != "debian":
        raise Failure("this machine is not Debian: install Docker, Compose and buildx on it first")
    return words["VERSION_CODENAME"]


def sources() -> list[Source]:
    """Where this machine gets Debian from, the release's own first."""
    name = codename()
    listed = output(
        "apt-get", "indextargets", "--format", "$(SITE)|$(RELEASE)|$(COMPONENT)",
        "Created-By: Packages",
    )  # fmt: skip
    found = {Source(*line.split("|")) for line in listed.splitlines()}
    debian = [each for each in found if each.release.partition("-")[0] == name]
    own = [each for each in debian if each.component == "main"]
    if not any(each.release == name for each in own):
        raise Failure("apt knows no source of Debian's main packages")
    return sorted(own, key=lambda each: len(each.release))


def install(*packages: str) -> None:
    """Installs what is not installed. No service is started by that."""
    missing = [name for name in packages if run("dpkg", "--status", name, check=False).returncode]
    if not missing:
        return
    policy = Path("/usr/sbin/policy-rc.d")
    # Debian's way of saying that no package may start what it brings.
    ours = not policy.exists()
    if ours:
        policy.write_text("#!/bin/sh\nexit 101\n")
        policy.chmod(0o755)
    try:
        run("apt-get", "update", "-qq", variables=QUIET)
        run("apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing, variables=QUIET)
    finally:
        if ours:
            policy.unlink()


def unpack_from_next_release(folder: Path, *packages: str) -> None:
    """Fetches packages of the next release and unpacks them into a folder; installs nothing."""
    release = NEXT.get(codename(), codename())
    own = sources()[0]
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        # apt reads as a user of its own where it may.
        place.chmod(0o755)
        for part in ("lists/partial", "archives/partial"):
            (place / part).mkdir(parents=True)
        listed = place / "sources.list"
        listed.write_text(own.line(release))
        options = [
            f"Dir::Etc::sourcelist={listed}", "Dir::Etc::sourceparts=-",
            f"Dir::State::lists={place}/lists", f"Dir::Cache={place}", "APT::Sandbox::User=root",
        ]  # fmt: skip
        apt = ["apt-get", *(word for option in options for word in ("-o", option))]
        run(*apt, "update", "-qq")
        run(*apt, "download", "-q", *packages, folder=place)
        for package in place.glob("*.deb"):
            run("dpkg-deb", "--extract", package, folder)


def as_root() -> None:
    """Ends where this is not root, which Debian and Docker both want."""
    if os.geteuid():
        raise Failure("only root may start an engine")
