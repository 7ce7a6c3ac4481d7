"""What the lock files say is inside the images."""

import json
import re
import tomllib
from importlib.resources import files
from typing import Any
from urllib.parse import urljoin

import jsonschema
import pytest
from referencing import Registry
from referencing.jsonschema import DRAFT7

import sbom
from tests.run import ROOT


@pytest.fixture(scope="module", params=sorted(sbom.CRATES))
def image(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def listed(image: str) -> dict[str, Any]:
    found = [*sbom.crates(image), *sbom.python_packages(image), *sbom.npm_packages(image)]
    return sbom.document(image, found)


def valid(document: dict[str, Any]) -> None:
    """Holds it against CycloneDX's own schema and those that it refers to."""
    folder = files("cyclonedx.schema").joinpath("_res")

    def read(name: str) -> Any:
        return json.loads(folder.joinpath(f"{name}.SNAPSHOT.schema.json").read_text())

    whole = read("bom-1.5")
    registry: Registry[Any] = Registry().with_resources(
        (urljoin(whole["$id"], f"{name}.SNAPSHOT.schema.json"), DRAFT7.create_resource(read(name)))
        for name in ("spdx", "jsf-0.82")
    )
    jsonschema.Draft7Validator(whole, registry=registry).validate(document)


def test_it_is_cyclonedx(listed: dict[str, Any]) -> None:
    valid(listed)


def test_the_check_can_fail(listed: dict[str, Any]) -> None:
    broken = json.loads(json.dumps(listed))
    broken["components"][0]["tpye"] = broken["components"][0].pop("type")
    with pytest.raises(jsonschema.ValidationError):
        valid(broken)


def test_every_crate_is_that_of_the_lock_with_its_sum(listed: dict[str, Any]) -> None:
    lock = tomllib.loads((ROOT / "Cargo.lock").read_text())["package"]
    sums = {f"pkg:cargo/{each['name']}@{each['version']}": each.get("checksum") for each in lock}
    crates = [each for each in listed["components"] if each["purl"].startswith("pkg:cargo/")]
    assert crates
    for each in crates:
        assert each["licenses"][0]["expression"], each["name"]
        given = [found["content"] for found in each.get("hashes", [])]
        assert given == [found for found in [sums[each["purl"]]] if found], each["name"]


def test_what_is_linked_is_there_and_what_only_tests_and_builds_use_is_not() -> None:
    names = {each["name"] for each in sbom.crates("gateway")}
    assert {"lacuna", "warp", "tonic", "libheif", "libjpeg-turbo"} <= names
    assert not {"proptest", "protox", "cmake", "serde_derive"} & names


def test_the_locks_of_an_image_are_those_that_it_is_installed_from() -> None:
    lock = (ROOT / "requirements/triton.txt").read_text()
    named = re.findall(r"^([\w-]+)==", lock, re.MULTILINE)
    assert {"nvidia-pytriton", "onnxruntime"} <= set(named)
    assert [each["name"] for each in sbom.python_packages("triton-cpu")] == named
    assert sbom.python_packages("gateway") == []


def test_it_is_the_same_each_time(image: str, listed: dict[str, Any]) -> None:
    found = [*sbom.npm_packages(image), *sbom.python_packages(image), *sbom.crates(image)]
    assert sbom.document(image, found) == listed
