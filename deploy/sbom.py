"""What is inside the images, from the lock files: CycloneDX 1.5.

    python3 sbom.py gateway|triton-cpu [--image NAME] > FILE

Crates are those that are linked, by ``cargo metadata`` and Cargo.lock; Python's are those of the
locks that the image is installed from. With ``--image`` its Debian packages are listed, as the
image itself names them. Nothing in it depends on when or where it is made.
"""

import argparse
import email.parser
import io
import json
import re
import subprocess
import sys
import tarfile
import tomllib
import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
TARGET = "x86_64-unknown-linux-gnu"
CRATES = {"gateway": "lacuna", "triton-cpu": "triton-backend"}
COMPILED_IN = {"libheif-sys": ("libheif", "LGPL-3.0-or-later"),
               "turbojpeg-sys": ("libjpeg-turbo", "IJG AND BSD-3-Clause AND Zlib")}  # fmt: skip
"""Libraries of C that a crate carries and builds."""
Component = dict[str, Any]


def crates(image: str) -> list[Component]:
    """Every crate that is linked into the image's program, with licence and checksum."""
    known = json.loads(_said("cargo", "metadata", "--locked", "--format-version=1",
                             f"--filter-platform={TARGET}"))  # fmt: skip
    packages = {each["id"]: each for each in known["packages"]}
    nodes = {each["id"]: each for each in known["resolve"]["nodes"]}
    lock = tomllib.loads((ROOT / "Cargo.lock").read_text())["package"]
    sums = {(each["name"], each["version"]): each.get("checksum") for each in lock}
    todo = [id for id, each in packages.items() if each["name"] == CRATES[image]]
    linked: set[str] = set()
    while todo:
        if (id := todo.pop()) in linked:
            continue
        linked.add(id)
        for dependency in nodes[id]["deps"]:
            # Without a kind: neither for tests nor for build scripts. Macros run in the compiler.
            normal = any(kind["kind"] is None for kind in dependency["dep_kinds"])
            targets = packages[dependency["pkg"]]["targets"]
            if normal and not any("proc-macro" in target["kind"] for target in targets):
                todo.append(dependency["pkg"])
    found = []
    for package in (packages[id] for id in linked):
        name, version = package["name"], package["version"]
        found.append(_component(f"pkg:cargo/{name}@{version}", name, version, package["license"],
                                sums.get((name, version))))  # fmt: skip
        if name in COMPILED_IN:
            library, licence = COMPILED_IN[name]
            version = version.partition("+")[2] or _version_of_headers(package)
            found.append(
                _component(f"pkg:generic/{library}@{version}", library, version, licence, None)
            )
    return found


def _version_of_headers(package: dict[str, Any]) -> str:
    """Of libjpeg-turbo, which the crate that carries it does not name."""
    text = (Path(package["manifest_path"]).parent / "libjpeg-turbo/CMakeLists.txt").read_text()
    version = re.search(r"^set\(VERSION ([\d.]+)\)", text, re.MULTILINE)
    assert version, "libjpeg-turbo names its version elsewhere now. This is a bug."
    return version[1]


def python_packages(image: str) -> list[Component]:
    """What the locks of the image name. A lock has the hashes of all files of a version."""
    found = []
    for lock in sorted(set(re.findall(r"\brequirements/[\w.-]+\.txt", _dockerfile(image)))):
        for name, version in re.findall(
            r"^([A-Za-z0-9._-]+)==(\S+)", (ROOT / lock).read_text(), re.MULTILINE
        ):
            found.append(
                _component(f"pkg:pypi/{name.lower()}@{version}", name, version, None, None)
            )
    return found


def npm_packages(image: str) -> list[Component]:
    """The package of the segmenter's weights."""
    if "isnet" not in _dockerfile(image):
        return []
    text = (ROOT / "scripts/local_stack/isnet.py").read_text()
    wanted = re.search(r'^PACKAGE = "(@\S+/\S+)@(\S+)"', text, re.MULTILINE)
    assert wanted, "the package is named elsewhere now. This is a bug."
    name, version = wanted.groups()
    return [_component(f"pkg:npm/{name.replace('@', '%40')}@{version}", name, version, None, None)]


def debian_packages(image: str) -> list[Component]:
    """What an image names where scanners look: of a whole Debian, or of one without its tools."""
    container = _said("docker", "create", image).strip()
    try:
        copied = subprocess.run(
            ["docker", "cp", f"{container}:/var/lib/dpkg", "-"], capture_output=True, check=True
        ).stdout
    finally:
        _said("docker", "rm", container)
    texts = []
    with tarfile.open(fileobj=io.BytesIO(copied)) as archive:
        for member in archive:
            if member.isfile() and re.search(r"dpkg/(status|status\.d/[^/]+)$", member.name):
                file = archive.extractfile(member)
                assert file, "extractfile() raises where there is none. This is a bug."
                texts.append(file.read().decode())
    found = []
    for paragraph in re.split(r"\n\n+", "\n\n".join(texts).strip()):
        said = email.parser.HeaderParser().parsestr(paragraph)
        name, version, kind = (said[key] for key in ("Package", "Version", "Architecture"))
        found.append(_component(f"pkg:deb/debian/{name}@{version}?arch={kind}", name, version,
                                None, None))  # fmt: skip
    return found


def document(image: str, components: Iterable[Component]) -> dict[str, Any]:
    """The whole of it, in an order and with a number that follow from what is in it."""
    by_reference = {each["purl"]: each for each in components}
    ordered = [by_reference[key] for key in sorted(by_reference)]
    version = tomllib.loads((ROOT / "Cargo.toml").read_text())["package"]["version"]
    content = json.dumps(ordered, sort_keys=True)
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_OID, content)}",
        "version": 1,
        "metadata": {
            "component": {
                "type": "container",
                "bom-ref": f"lacuna-{image}",
                "name": f"lacuna-{image}",
                "version": version,
                "licenses": [{"license": {"id": "Apache-2.0"}}],
            }
        },
        "components": ordered,
    }


def _component(
    purl: str, name: str, version: str, licence: str | None, checksum: str | None
) -> Component:
    found: Component = {
        "type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl,
    }  # fmt: skip
    if licence:
        # Some write a slash for OR, as cargo once did.
        found["licenses"] = [{"expression": re.sub(r"\s*/\s*", " OR ", licence)}]
    if checksum:
        found["hashes"] = [{"alg": "SHA-256", "content": checksum}]
    return found


def _dockerfile(image: str) -> str:
    return (ROOT / f"deploy/docker/{image}.Dockerfile").read_text()


def _said(*command: str) -> str:
    return subprocess.run(command, cwd=ROOT, text=True, stdout=subprocess.PIPE, check=True).stdout


def main() -> None:
    """Writes it to standard output."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("of", choices=sorted(CRATES))
    parser.add_argument("--image", default="", help="list the Debian packages of this image too")
    chosen = parser.parse_args()
    found = [*crates(chosen.of), *python_packages(chosen.of), *npm_packages(chosen.of)]
    if chosen.image:
        found += debian_packages(chosen.image)
    json.dump(document(chosen.of, found), sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main()
