"""The Dockerfiles: hadolint, and what they have to agree on with the rest of the repository."""

import re
from pathlib import Path

import pytest

from tests.run import DEPLOY, ROOT, tool

DOCKERFILES = sorted((DEPLOY / "docker").glob("*.Dockerfile"))


def test_there_are_dockerfiles() -> None:
    assert len(DOCKERFILES) == 4


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.name)
def test_hadolint_finds_nothing(path: Path) -> None:
    done = tool("hadolint", "--no-color", str(path))
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.name)
def test_an_image_runs_as_a_numbered_user_and_says_what_it_is(path: Path) -> None:
    final = path.read_text().rpartition("\nFROM ")[2]
    assert re.search(r"^USER 10001:10001$", final, re.MULTILINE)
    for label in ("title", "description", "licenses", "version", "revision"):
        assert f"org.opencontainers.image.{label}=" in final, label
    assert "HEALTHCHECK" in final


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.name)
def test_base_images_have_versions(path: Path) -> None:
    text = path.read_text()
    versions = dict(re.findall(r"^ARG (\w+)=(\S+)$", text, re.MULTILINE))
    for image, version in re.findall(r"^FROM ([^:\s]+):\$\{(\w+)\}", text, re.MULTILINE):
        assert re.match(r"\d+\.\d+", versions[version]), image
    assert len(re.findall(r"^FROM ", text, re.MULTILINE)) == len(
        re.findall(r"^FROM (?:scratch|[^:\s]+:\$\{\w+\}) AS ", text, re.MULTILINE)
    )


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.name)
def test_what_is_copied_is_there_and_not_ignored(path: Path) -> None:
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    kept = [line.removeprefix("!") for line in ignored if line.startswith("!")]
    for line in re.findall(r"^COPY (?!--from)(.+)$", path.read_text(), re.MULTILINE):
        for source in line.split()[:-1]:
            assert (ROOT / source).exists(), source
            assert any(
                Path(source).is_relative_to(each) or Path(each).is_relative_to(source)
                for each in kept
            ), f"{source} is not in .dockerignore"


@pytest.mark.parametrize("name", ["gateway", "triton-cpu"])
def test_rust_is_built_with_a_compiler_that_is_new_enough(name: str) -> None:
    wanted = re.search(r'rust-version = "(\d+)\.(\d+)"', (ROOT / "Cargo.toml").read_text())
    path = DEPLOY / f"docker/{name}.Dockerfile"
    used = re.search(r"ARG RUST=(\d+)\.(\d+)", path.read_text())
    assert wanted and used
    assert tuple(map(int, used.groups())) >= tuple(map(int, wanted.groups()))


def test_the_image_has_the_backends_that_its_models_name() -> None:
    text = (DEPLOY / "docker/triton-cpu.Dockerfile").read_text()
    for model in re.findall(r"--load-model=(\w+)", text):
        config = (ROOT / f"model_repository/{model}/config.pbtxt").read_text()
        backend = re.search(r'^backend: "(\w+)"', config, re.MULTILINE)
        assert backend
        assert re.search(rf"backends/{backend[1]}/", text), backend[1]


def test_triton_loads_the_embedded_models_that_the_gateway_asks_for() -> None:
    text = (DEPLOY / "docker/triton-cpu.Dockerfile").read_text()
    assert re.findall(r"--load-model=(\w+)", text) == ["patchmatch", "isnet"]
